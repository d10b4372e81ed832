"""The journal with 100,000 jobs: the time to find one, of a page of /jobs, and of a commit while jobs are looked up."""

from __future__ import annotations

import random
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from app.core.jobs.job import Job, JobRequest, State, Transition
from app.discord.gateway.rest.component_builders import build
from app.discord.ui import lists
from app.discord.ui.lists import JOBS_ON_A_PAGE, JobsPage
from app.events import JobId
from app.journal.copies.copying import sync
from app.journal.opening import open_store
from app.journal.sqlite import SqliteJournal, open_journal
from bench.lag import GRAPH

JOBS = 100_000
LOOKUPS = 2_000
COMMITS = 300
PREFIX = 8
"""Characters of an id that people type: as many as `jobs list` shows."""

PAGES = 100

OF_ONE_PERSON = 10_000
"""Jobs that each person has."""

FOUND_MS = 1.0
DELAY_MS = 2.0
PAGE_MS = 50.0
"""The goals: a job is found within `FOUND_MS`, lookups delay a commit by at most `DELAY_MS`, and a page of /jobs takes
at most `PAGE_MS`."""


def fill(path: Path, ids: list[JobId], folder: str = ".") -> None:
    """Fill a journal with as many jobs as a busy year produces, all delivered and notified, and put it on the disk."""
    with open_store(path, clock=time.time, durable=False) as store:
        for start in range(0, len(ids), 1000):
            jobs = [
                Job(
                    request=JobRequest(
                        job=job,
                        workflow="bench",
                        graph=GRAPH,
                        folder=folder,
                        owner=f"{start // OF_ONE_PERSON}",
                        values={"prompt": f"a fox in the snow, number {job}"},
                    ),
                    state=State.DELIVERED,
                    notified=True,
                )
                for job in ids[start : start + 1000]
            ]
            store.write([(jobs, [Transition(job.id, 1, "delivered", "bench") for job in jobs])])
    sync(path)


async def _find(journal: SqliteJournal, names: list[str]) -> list[float]:
    """Return the milliseconds of each lookup, including the way to the reader's thread and back."""
    took: list[float] = []
    for name in names:
        began = time.perf_counter()
        job = await journal.find(name)
        took.append((time.perf_counter() - began) * 1000)
        assert job is not None
    return took


async def _turn_pages(journal: SqliteJournal, states: Collection[State]) -> list[float]:
    """Return the milliseconds of each page of one person's jobs, from the oldest to the newest, as hikari sends it."""
    took: list[float] = []
    key = 1
    for _ in range(PAGES):
        began = time.perf_counter()
        page = await journal.page_of("1", JOBS_ON_A_PAGE, states, key=key, newer=True)
        build(lists.jobs(JobsPage(page))).build()
        took.append((time.perf_counter() - began) * 1000)
        key = page.newer or 1
    return took


async def commit_times(journal: SqliteJournal, commits: int = COMMITS) -> list[float]:
    """Return the milliseconds of each commit of one job, until it is on the disk."""
    took: list[float] = []
    job = Job(request=JobRequest(job=JobId(str(uuid.uuid4())), workflow="bench", graph=GRAPH, folder="."))
    for _ in range(commits):
        job.version += 1
        began = time.perf_counter()
        await journal.record([job], [Transition(job.id, job.version, "running", "bench")])
        took.append((time.perf_counter() - began) * 1000)
    return took


async def _measure(path: Path, ids: list[JobId]) -> dict[str, float]:
    rng = random.Random(1)
    async with open_journal(path) as journal:
        by_id = await _find(journal, rng.sample(ids, LOOKUPS))
        # Of 100,000 ids, about two share their prefix, which then finds neither.
        unique = [prefix for prefix, count in Counter(job[:PREFIX] for job in ids).items() if count == 1]
        by_prefix = await _find(journal, rng.sample(unique, LOOKUPS))
        pages = await _turn_pages(journal, ())
        # There are none, so that all jobs of the person are looked at.
        rare = await _turn_pages(journal, (State.FAILED, State.LOST))
        alone: list[float] = []
        beside: list[float] = []

        async def look_up() -> None:
            while True:
                await _find(journal, [rng.choice(ids)])

        # Measured alternately, because the speed of the disk changes from second to second.
        for _ in range(3):
            alone += await commit_times(journal)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(look_up)
                beside += await commit_times(journal)
                tasks.cancel_scope.cancel()
    return {
        "find_by_id_p50_ms": percentile(by_id, 50),
        "find_by_id_p99_ms": percentile(by_id, 99),
        "find_by_prefix_p50_ms": percentile(by_prefix, 50),
        "find_by_prefix_p99_ms": percentile(by_prefix, 99),
        "jobs_page_p50_ms": percentile(pages, 50),
        "jobs_page_p99_ms": percentile(pages, 99),
        "jobs_page_of_rare_state_p50_ms": percentile(rare, 50),
        "jobs_page_of_rare_state_p99_ms": percentile(rare, 99),
        "commit_alone_p50_ms": percentile(alone, 50),
        "commit_alone_p99_ms": percentile(alone, 99),
        "commit_during_lookups_p50_ms": percentile(beside, 50),
        "commit_during_lookups_p99_ms": percentile(beside, 99),
        "commit_delay_p50_ms": round(percentile(beside, 50) - percentile(alone, 50), 3),
    }


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile of many values."""
    return round(statistics.quantiles(values, n=100)[percent - 1], 3)


def lookups(rounds: int) -> dict[str, object]:
    """Return all figures of both backends, as medians of the rounds, and the goals."""
    ids = [JobId(str(uuid.UUID(int=random.getrandbits(128), version=4))) for _ in range(JOBS)]
    with TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "atelier.db"
        fill(path, ids)
        figures: dict[str, object] = {
            "jobs": JOBS,
            "jobs_of_one_person": OF_ONE_PERSON,
            "goal_find_ms": FOUND_MS,
            "goal_page_ms": PAGE_MS,
            "goal_commit_delay_ms": DELAY_MS,
        }
        for backend in ("trio", "asyncio"):
            measured = [anyio.run(_measure, path, ids, backend=backend) for _ in range(rounds)]
            figures[backend] = {
                name: round(statistics.median(figure[name] for figure in measured), 3) for name in measured[0]
            }
    return figures
