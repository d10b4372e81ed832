"""What is deleted when, and what never is."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from app.config.settings import Retention
from app.core.gallery import Audience, GalleryQuery
from app.core.jobs.job import Job, JobRequest, State, Transition
from app.core.journal_port import JournalUnavailable, RemovedJobs
from app.events import FileRef, Finished, JobId, ServerName
from app.journal.opening import JOURNAL
from app.journal.sqlite import SqliteJournal, open_journal
from app.retention import actor
from app.retention.actor import DAY, FRESH, MB, ROUND, RetentionActor
from tests.conftest import inline, virtual

NOW = 1_000 * DAY


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def journal(tmp_path: Path, clock: Clock) -> AsyncGenerator[SqliteJournal]:
    async with open_journal(tmp_path / JOURNAL, run_sync=inline, clock=clock, durable=False) as journal:
        yield journal


@asynccontextmanager
async def retaining(folder: Path, journal: SqliteJournal, clock: Clock, settings: Retention) -> AsyncGenerator[None]:
    """A retention that has done its first round when the block begins."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(RetentionActor(settings, folder, journal, clock=clock, run_sync=inline).run)
        await anyio.sleep(ROUND / 2)
        yield
        tasks.cancel_scope.cancel()


async def once(folder: Path, journal: SqliteJournal, clock: Clock, **settings: int) -> None:
    """One round."""
    async with retaining(folder, journal, clock, Retention(**settings)):
        pass


def job(name: str, *, notified: bool = True, lead: str = "", files: tuple[str, ...] = ()) -> Job:
    request = JobRequest(job=JobId(name), workflow="w", graph={}, folder="results", owner="ada", lead=JobId(lead))
    made = Job(request=request, state=State.DELIVERED if notified else State.FINISHED, notified=notified)
    made.files = {FileRef(file): f"/elsewhere/results/{file}" for file in files}
    made.terminal_update = Finished(ServerName("studio"), files=tuple(made.files.values()), job=made.id)  # pyright: ignore[reportArgumentType]
    return made


async def record(journal: SqliteJournal, clock: Clock, age: float, *jobs: Job) -> None:
    """Record jobs as they were some days ago."""
    clock.now = NOW - age * DAY
    await journal.record(jobs, [Transition(each.id, 1, "delivered", "shown") for each in jobs])
    clock.now = NOW


async def names(journal: SqliteJournal) -> Sequence[str]:
    return [each.id for each in await journal.jobs_of("ada", 1000)][::-1]


def file(folder: Path, name: str, age: float, size: int = 0) -> Path:
    path = folder / "results" / name
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as opened:
        opened.truncate(size)
    os.utime(path, (NOW - age * DAY, NOW - age * DAY))
    return path


def bytes_of(folder: Path) -> bytes:
    """All that the disk has of the journal."""
    return b"".join((folder / name).read_bytes() for name in (JOURNAL, f"{JOURNAL}-wal"))


async def test_a_job_is_removed_with_its_transitions_once_it_is_old(
    tmp_path: Path, journal: SqliteJournal, clock: Clock
) -> None:
    await record(journal, clock, 31, job("old"))
    await record(journal, clock, 29, job("new"))
    await once(tmp_path, journal, clock, jobs=30)
    assert await names(journal) == ["new"]
    assert await journal.find("old") is None
    assert await journal.transitions("old") == []
    assert len(await journal.transitions("new")) == 1


async def test_a_job_that_is_unfinished_or_was_not_shown_stays_however_old_it_is(
    tmp_path: Path, journal: SqliteJournal, clock: Clock
) -> None:
    await record(journal, clock, 500, job("waits", notified=False), job("old"))
    await once(tmp_path, journal, clock, jobs=1)
    assert await names(journal) == ["waits"]


async def test_a_job_that_changed_lately_stays_although_it_is_old(
    tmp_path: Path, journal: SqliteJournal, clock: Clock
) -> None:
    await record(journal, clock, 40, job("edited"), job("old"))
    await record(journal, clock, 2, job("edited"))
    await once(tmp_path, journal, clock, jobs=30)
    assert await names(journal) == ["edited"]


async def test_a_batch_stays_whole_as_long_as_one_of_its_jobs_is_unfinished(
    tmp_path: Path, journal: SqliteJournal, clock: Clock
) -> None:
    await record(
        journal, clock, 40, job("lead"), job("part-1", lead="lead"), job("part-2", notified=False, lead="lead")
    )
    await record(journal, clock, 40, job("first", notified=False), job("part-3", lead="first"))
    await once(tmp_path, journal, clock, jobs=30)
    for kept in ("lead", "part-1", "part-2", "first", "part-3"):
        assert await journal.find(kept) is not None, kept
    await record(journal, clock, 40, job("part-2", lead="lead"))
    await once(tmp_path, journal, clock, jobs=30)
    for gone in ("lead", "part-1", "part-2"):
        assert await journal.find(gone) is None, gone


async def test_a_thousand_old_jobs_are_removed_in_short_steps(
    tmp_path: Path, journal: SqliteJournal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(journal, clock, 40, *[job(f"{number:04}") for number in range(1000)])
    steps: list[RemovedJobs] = []
    remove_jobs = journal.remove_jobs

    async def noted(before: float, position: int, limit: int) -> RemovedJobs:
        steps.append(await remove_jobs(before, position, limit))
        return steps[-1]

    monkeypatch.setattr(journal, "remove_jobs", noted)
    await once(tmp_path, journal, clock, jobs=30)
    assert sum(step.removed for step in steps) == 1000
    assert max(step.removed for step in steps) == actor.JOBS_AT_ONCE
    assert await names(journal) == []


async def test_the_file_of_the_journal_becomes_smaller(tmp_path: Path, journal: SqliteJournal, clock: Clock) -> None:
    await record(journal, clock, 40, *[job(f"{number:04}", files=("x" * 2000,)) for number in range(1000)])
    await record(journal, clock, 1, job("new"))
    await once(tmp_path, journal, clock, jobs=30)
    assert (tmp_path / JOURNAL).stat().st_size < 300_000
    assert await names(journal) == ["new"]


async def test_nothing_of_a_removed_job_is_left_in_the_files(
    tmp_path: Path, journal: SqliteJournal, clock: Clock
) -> None:
    await record(journal, clock, 40, job("old", files=("a-secret-name.png" * 500,)))
    await record(journal, clock, 1, job("new", files=("another-name.png",)))
    await once(tmp_path, journal, clock, jobs=30)
    stored = bytes_of(tmp_path)
    assert b"another-name" in stored
    assert b"a-secret-name" not in stored


async def test_a_removed_job_leaves_the_gallery_and_its_prompt_leaves_the_files(
    tmp_path: Path, journal: SqliteJournal, clock: Clock
) -> None:
    old, new = job("old", files=("old.png",)), job("new", files=("new.png",))
    old.request.values["prompt"], new.request.values["prompt"] = "a quokka", "a wombat"
    await record(journal, clock, 40, old)
    await record(journal, clock, 1, new)
    await once(tmp_path, journal, clock, jobs=30)
    rows = await journal.gallery(GalleryQuery(), Audience("ada"), limit=5)
    assert [row.entry.prompt for row in rows] == ["a wombat"]
    stored = bytes_of(tmp_path)
    assert b"wombat" in stored
    assert b"quokka" not in stored


async def test_files_are_deleted_by_their_age(tmp_path: Path, journal: SqliteJournal, clock: Clock) -> None:
    old, new = file(tmp_path, "old.png", 8), file(tmp_path, "new.png", 6)
    await once(tmp_path, journal, clock, files=7)
    assert (old.exists(), new.exists()) == (False, True)


async def test_the_oldest_files_are_deleted_until_the_rest_is_small_enough(
    tmp_path: Path, journal: SqliteJournal, clock: Clock
) -> None:
    files = [file(tmp_path, f"{age}.png", age, size=MB) for age in range(300, 0, -1)]
    await once(tmp_path, journal, clock, size=40)
    assert [path.exists() for path in files] == [False] * 260 + [True] * 40


async def test_a_file_that_an_unfinished_job_needs_is_never_deleted(
    tmp_path: Path, journal: SqliteJournal, clock: Clock
) -> None:
    await record(journal, clock, 50, job("a", notified=False, files=("needed.png",)), job("b", files=("shown.png",)))
    needed, shown = (file(tmp_path, name, 50, size=MB) for name in ("needed.png", "shown.png"))
    newer = file(tmp_path, "newer.png", 40, size=MB)
    await once(tmp_path, journal, clock, size=1)
    assert (needed.exists(), shown.exists(), newer.exists()) == (True, False, False)
    await once(tmp_path, journal, clock, files=1)
    assert needed.exists()


async def test_a_thumbnail_is_deleted_with_its_result_and_stays_while_an_unfinished_job_needs_that(
    tmp_path: Path, journal: SqliteJournal, clock: Clock
) -> None:
    await record(journal, clock, 40, job("waits", notified=False, files=("needed.png",)))
    for name in ("needed.png", "needed.png.thumbnail", "old.png", "old.png.thumbnail"):
        file(tmp_path, name, 40)
    await once(tmp_path, journal, clock, files=30)
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"needed.png", "needed.png.thumbnail"}


async def test_a_file_that_was_just_written_is_not_deleted(
    tmp_path: Path, journal: SqliteJournal, clock: Clock
) -> None:
    new, older = file(tmp_path, "new.png", 0, size=2 * MB), file(tmp_path, "older.png", 2 * FRESH / DAY, size=MB)
    await once(tmp_path, journal, clock, size=1)
    assert (new.exists(), older.exists()) == (True, False)


async def test_without_settings_everything_stays(tmp_path: Path, journal: SqliteJournal, clock: Clock) -> None:
    await record(journal, clock, 900, job("old"))
    old = file(tmp_path, "old.png", 900, size=MB)
    await once(tmp_path, journal, clock)
    assert old.exists()
    assert await names(journal) == ["old"]


async def test_each_round_looks_again(tmp_path: Path, journal: SqliteJournal, clock: Clock) -> None:
    await record(journal, clock, 29.9, job("a"))
    path = file(tmp_path, "a.png", 29.9)
    async with retaining(tmp_path, journal, clock, Retention(jobs=30, files=30)):
        assert path.exists()
        clock.now += DAY
        await anyio.sleep(ROUND)
        assert not path.exists()
        assert await names(journal) == []


async def test_a_journal_that_another_program_holds_is_tried_again(
    tmp_path: Path, journal: SqliteJournal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(journal, clock, 40, job("old"))
    remove_jobs = journal.remove_jobs
    refusals = [JournalUnavailable("The journal is held."), ValueError("a bug")]

    async def refuse(before: float, position: int, limit: int) -> RemovedJobs:
        if refusals:
            raise refusals.pop()
        return await remove_jobs(before, position, limit)

    monkeypatch.setattr(journal, "remove_jobs", refuse)
    await once(tmp_path, journal, clock, jobs=30)
    assert await names(journal) == []
