"""The gallery with 100,000 results: the time of a page, of a search and of a filter, and what it costs each commit."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from msgspec.structs import replace

from app.core.gallery import GalleryQuery
from app.core.jobs.job import Job, JobRequest, State, Transition
from app.events import FileRef, Finished, JobId, ServerName
from app.journal.copies.copying import sync
from app.journal.opening import open_store
from app.journal.sqlite import SqliteJournal, open_journal
from app.retention.actor import JOBS_AT_ONCE, PAGES_AT_ONCE, PAUSE
from app.service.people.viewer import Viewer
from app.service.people.visibility import Place
from app.service.results.gallery import Gallery
from app.service.results.gallery_filler import JOBS_AT_ONCE as FILLED_AT_ONCE
from bench.lag import GRAPH
from bench.lookups import percentile

ENTRIES = 100_000
PEOPLE, CHANNELS, GUILDS, WORKFLOWS = 200, 60, 3, 17
CALLS = 100
COMMITS = 300
REMOVED = 5_000
"""Old jobs that are removed while commits are measured."""

PAGE_MS, SEARCH_MS = 20.0, 30.0
"""The goals for the data of a page and for a search, at the 50th percentile on an idle machine."""

WORDS = [
    "fox",
    "snow",
    "castle",
    "river",
    "lantern",
    "portrait",
    "city",
    "night",
    "rain",
    "forest",
    "dragon",
    "ship",
    "harbour",
    "meadow",
    "robot",
    "garden",
    "storm",
    "desert",
    "violin",
    "market",
    "bridge",
    "tower",
    "winter",
    "summer",
    "golden",
    "silver",
    "ancient",
    "futuristic",
    "watercolour",
    "photo",
    "cinematic",
    "detailed",
    "soft",
    "light",
    "dramatic",
    "wide",
    "angle",
    "macro",
    "minimal",
    "baroque",
    "gothic",
    "neon",
    "misty",
    "quiet",
    "tiny",
    "giant",
    "flying",
    "sleeping",
    "dancing",
]


class SomeChannels:
    """A `Visibility` that shows two of three channels."""

    async def may_see(self, person: str, place: Place) -> bool:
        """See `app.service.people.visibility.Visibility`."""
        del person
        await anyio.lowlevel.checkpoint()
        return int(place.channel) % 3 > 0


def prompt(rng: random.Random, number: int) -> str:
    """A prompt of some twenty words, of which a few are rare."""
    words = rng.choices(WORDS, k=18)
    return " ".join([*words, f"subject{number % 997}", f"seed{number % 10_007}"])


def result(rng: random.Random, number: int) -> Job:
    """A delivered picture of somebody, in some channel."""
    channel = rng.randrange(CHANNELS)
    job = JobId(str(uuid.UUID(int=rng.getrandbits(128), version=4)))
    path = f"/srv/atelier/data/results/txt2img-{job[:8]}-01.png"
    request = JobRequest(
        job=job,
        workflow=f"workflow{rng.randrange(WORKFLOWS)}",
        graph=GRAPH,
        folder="/srv/atelier/data/results",
        owner=str(rng.randrange(PEOPLE)),
        guild=str(channel % GUILDS),
        channel=str(channel),
        values={"prompt": prompt(rng, number)},
    )
    made = Job(request=request, state=State.DELIVERED, notified=True)
    made.files = {FileRef("a.png"): path}
    made.terminal_update = Finished(ServerName("studio"), files=(path,), job=job)
    return made


def fill(path: Path, rng: random.Random) -> None:
    """Fill a journal, each job with its end, and put it on the disk."""
    with open_store(path, clock=time.time, durable=False) as store:
        for start in range(0, ENTRIES, 1000):
            jobs = [result(rng, number) for number in range(start, start + 1000)]
            store.write([(jobs, [Transition(job.id, 1, "delivered", "bench") for job in jobs])])
    sync(path)


async def timed(call: Callable[[int], Awaitable[object]], calls: int = CALLS) -> list[float]:
    """The milliseconds of each call, which gets its number."""
    took: list[float] = []
    for number in range(calls):
        began = time.perf_counter()
        await call(number)
        took.append((time.perf_counter() - began) * 1000)
    return took


def both(name: str, took: list[float]) -> dict[str, float]:
    """The percentiles of a figure."""
    return {f"{name}_p50_ms": percentile(took, 50), f"{name}_p99_ms": percentile(took, 99)}


async def _read(journal: SqliteJournal, rng: random.Random) -> dict[str, float]:
    gallery, viewer = Gallery(journal, SomeChannels()), Viewer("7")
    queries: dict[str, Callable[[int], GalleryQuery]] = {
        "first_page": lambda _: GalleryQuery(),
        "search_two_words": lambda _: GalleryQuery(text=" ".join(rng.sample(WORDS, 2))),
        "search_two_rare_words": lambda number: GalleryQuery(text=f"subject{number} seed{number}"),
        "search_common_beginning": lambda _: GalleryQuery(text="fo"),
        "search_nothing": lambda _: GalleryQuery(text="quokka"),
        "filter_person": lambda number: GalleryQuery(owner=str(number)),
        "filter_workflow": lambda number: GalleryQuery(workflow=f"workflow{number % WORKFLOWS}"),
        "filter_nothing": lambda _: GalleryQuery(workflow="unknown"),
        "search_and_filter": lambda number: GalleryQuery(text="fox", owner=str(number)),
    }
    figures: dict[str, float] = {}
    for name, query in queries.items():

        async def page(number: int, query: Callable[[int], GalleryQuery] = query) -> None:
            await gallery.page(viewer, query(number))

        figures |= both(name, await timed(page))
    key: int | None = None

    async def next_page(_: int) -> None:
        nonlocal key
        key = (await gallery.page(viewer, GalleryQuery(), before=key)).older

    figures |= both("next_page", await timed(next_page))
    figures |= both("choices", await timed(lambda _: gallery.choices(viewer), 20))
    return figures


async def _commits(journal: SqliteJournal, rng: random.Random, *, result_too: bool) -> list[float]:
    """The milliseconds of each commit of a job that ends, with or without a result."""
    jobs = [result(rng, number) for number in range(COMMITS)]
    if not result_too:
        for job in jobs:
            # Of the same length, and no entry: it is not the whole of what was asked for.
            job.request = replace(job.request, lead=job.id)
    await journal.record(jobs[:1], [])

    async def record(number: int) -> None:
        job = jobs[number]
        await journal.record([job], [Transition(job.id, 2, "delivered", "bench")])

    return await timed(record, COMMITS)


async def _removed(journal: SqliteJournal) -> list[float]:
    """Remove old jobs as the retention does; return the milliseconds of each transaction."""
    took: list[float] = []
    position: int | None = 0
    removed = 0
    while position is not None and removed < REMOVED:
        began = time.perf_counter()
        step = await journal.remove_jobs(time.time() + 1000, position, JOBS_AT_ONCE)
        took.append((time.perf_counter() - began) * 1000)
        position, removed = step.position, removed + step.removed
        await anyio.sleep(PAUSE)
    more = True
    while more:
        began = time.perf_counter()
        more = await journal.give_back(PAGES_AT_ONCE)
        took.append((time.perf_counter() - began) * 1000)
        await anyio.sleep(PAUSE)
    return took


async def _measure(path: Path) -> dict[str, float]:
    rng = random.Random(1)
    async with open_journal(path) as journal:
        figures = await _read(journal, rng)
        plain: list[float] = []
        listed: list[float] = []
        # Measured alternately, because the speed of the disk changes from second to second.
        for _ in range(3):
            plain += await _commits(journal, rng, result_too=False)
            listed += await _commits(journal, rng, result_too=True)
        figures |= both("commit_without_entry", plain) | both("commit_with_entry", listed)
        beside: list[float] = []
        steps: list[float] = []

        async def record() -> None:
            while True:
                beside.extend(await _commits(journal, rng, result_too=True))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(record)
            steps += await _removed(journal)
            tasks.cancel_scope.cancel()
        figures |= both("remove_50_jobs", steps) | both("commit_during_removal", beside or [0.0, 0.0])
        figures["longest_removal_ms"] = round(max(steps), 3)
    return figures


async def _filled(path: Path) -> dict[str, float]:
    """Add the results of an earlier version; the milliseconds of each step."""
    with open_store(path, clock=time.time, durable=False) as store:
        database = store._database  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        database.executescript(
            "DELETE FROM gallery; DELETE FROM gallery_prompts;"
            " UPDATE gallery_filled SET number = (SELECT max(number) + 1 FROM jobs);"
        )
    async with open_journal(path) as journal:
        took = await timed(lambda _: journal.fill_gallery(FILLED_AT_ONCE, lambda _: True), CALLS)
    return both("fill_50_jobs", took)


def page_data(rounds: int) -> dict[str, object]:
    """Return all figures of both backends, and the goals. Each round would take a minute, so there is one."""
    del rounds
    with TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "atelier.db"
        fill(path, random.Random(0))
        figures: dict[str, object] = {
            "entries": ENTRIES,
            "journal_mb": round(path.stat().st_size / 2**20),
            "goal_first_page_ms": PAGE_MS,
            "goal_search_ms": SEARCH_MS,
        }
        for backend in ("trio", "asyncio"):
            figures[backend] = anyio.run(_measure, path, backend=backend)
        figures["filling"] = anyio.run(_filled, path, backend="trio")
    return figures
