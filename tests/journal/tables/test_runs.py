"""Measured runs in the journal: they outlive a restart, harm no job, and do not grow for ever."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from app.core.jobs.cost import REMEMBERED, Run
from app.core.jobs.job import Job, JobRequest, Transition
from app.core.journal_port import MOST_RUNS, Journal, JournalError, UnwritableRecords
from app.core.limits.usage import DAY, Origin, Use
from app.events import JobId
from app.journal.memory import MemoryJournal
from app.journal.migrations import MIGRATIONS, NEWEST
from app.journal.opening import open_store
from app.journal.sqlite import open_journal
from app.journal.store import Store
from app.journal.tables.runs import MOST_RUNS_DELETED, RUNS_KEPT
from tests.journal.measured import run

# pyright: reportPrivateUsage=false

Opening: TypeAlias = Callable[[], AbstractAsyncContextManager[Journal]]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def _job(name: str) -> Job:
    return Job(request=JobRequest(job=JobId(name), workflow="w", graph={}, folder="out", owner="ada"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "atelier.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(path: Path, clock: Clock) -> Generator[Store]:
    with open_store(path, clock=clock) as store:
        yield store


@pytest.fixture(params=["memory", "sqlite"])
def opening(request: pytest.FixtureRequest, path: Path) -> Opening:
    """Opens an empty journal of either kind."""

    @asynccontextmanager
    async def in_memory() -> AsyncGenerator[Journal]:
        yield MemoryJournal()

    return in_memory if request.param == "memory" else lambda: open_journal(path)


def numbers(store: Store) -> list[int]:
    return [number for (number,) in store._database.execute("SELECT number FROM runs ORDER BY number")]


def test_runs_are_there_after_a_restart_as_they_were_oldest_first(path: Path, clock: Clock) -> None:
    runs = [
        run("a"),
        run("b", person="bob", workflow="x", server="there", work=0.25, seconds=0.0, loading=True),
        run("c", completed=False, waited=12.5, expected_wait=10.0, overtaken=True),
        run("nul\0", person="“ä”\n", workflow="", server="\U0010ffff"),
    ]
    with open_store(path, clock=clock) as store:
        store.write([([_job("a")], [])], runs[:1])
        store.write([], runs[1:])
    with open_store(path, clock=clock) as store:
        assert store.runs() == runs
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT DISTINCT at FROM runs").fetchall() == [(clock.now,)]


def test_a_run_is_recorded_in_the_transaction_of_the_end_of_its_job(store: Store) -> None:
    broken = [Transition(JobId("a"), None, "finished", "x")]  # pyright: ignore[reportArgumentType]
    with pytest.raises(JournalError):
        store.write([([_job("a")], broken)], [run("a")])
    assert store.runs() == []
    store.write([([_job("a")], [])], [run("a")])
    assert store.runs() == [run("a")]


@pytest.mark.parametrize(
    "fields",
    [
        {"job": "\ud83d"},
        {"person": "\ud83d"},
        {"workflow": "\ud83d"},
        {"server": "\ud83d"},
        {"work": math.nan},
        {"seconds": math.nan},
        {"seconds": math.inf},
        {"seconds": None},
    ],
    ids=str,
)
def test_a_run_that_cannot_be_recorded_is_left_out_and_logged_and_harms_nothing_else(
    store: Store, fields: dict[str, object]
) -> None:
    odd = run(**({"job": "odd"} | fields))
    with capture_logs() as lines:
        (refused,) = store.write([([_job("odd"), _job("b")], [])], [run("a"), odd, run("b")])
    assert refused == {}
    assert store.runs() == [run("a"), run("b")]
    assert [job.id for job in store.unfinished()] == ["odd", "b"]
    assert [(line["event"], line["job"]) for line in lines] == [("a measured run could not be recorded", odd.job)]


def test_a_damaged_text_of_a_run_spoils_no_other_run(path: Path, clock: Clock) -> None:
    with open_store(path, clock=clock) as store:
        store.write([], [run("a"), run("b")])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE runs SET workflow = CAST(? AS TEXT) WHERE job = 'a'", (b"\xff",))
    with open_store(path, clock=clock) as store:
        assert store.runs() == [run("a", workflow="\ufffd"), run("b")]


def test_as_many_runs_are_read_as_the_estimates_of_many_workflows_need(store: Store) -> None:
    assert MOST_RUNS >= 300 * REMEMBERED
    store.write([], [run(str(number)) for number in range(MOST_RUNS + 3)])
    read = store.runs()
    assert len(read) == MOST_RUNS
    assert (read[0].job, read[-1].job) == ("3", str(MOST_RUNS + 2))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Make the number of runs that are kept in any case a small one."""
    monkeypatch.setattr("app.journal.tables.runs.MOST_RUNS", 20)
    return 20


def test_runs_that_are_older_than_a_month_are_deleted_a_few_at_a_time(store: Store, clock: Clock, few: int) -> None:
    store.write([], [run(str(number)) for number in range(100)])
    clock.now += RUNS_KEPT + 1
    store.write([([_job("a")], [])])
    assert len(numbers(store)) == 100, "a commit without a run deletes none"
    store.write([], [run("later")])
    assert numbers(store) == list(range(1 + MOST_RUNS_DELETED, 102))
    for _ in range(100):
        store.write([], [run("later")])
    assert numbers(store) == list(range(101, 202)), "all that are younger are kept, also beyond the newest few"
    assert len(store.runs()) == few


def test_the_newest_runs_are_kept_however_old_they_are(store: Store, clock: Clock, few: int) -> None:
    for number in range(200):
        clock.now += RUNS_KEPT + 1
        store.write([], [run(str(number))])
    assert [run.job for run in store.runs()] == [str(number) for number in range(200 - few, 200)]
    assert len(numbers(store)) == few


@pytest.mark.usefixtures("few")
def test_runs_of_the_last_month_are_kept_however_many_they_are(store: Store, clock: Clock) -> None:
    for number in range(100):
        clock.now += RUNS_KEPT / 101
        store.write([], [run(str(number))])
    assert len(numbers(store)) == 100


def test_deleting_looks_at_no_more_rows_than_it_may_delete(store: Store) -> None:
    """Else every commit would read the runs of a whole month to find none that is old enough."""
    few, many = (_steps(store, count) for count in (MOST_RUNS + 100, 20_000))
    assert many < 1.5 * few


def _steps(store: Store, count: int) -> int:
    """How many times ten instructions of SQLite a commit of one run takes with this many others."""
    store.write([], [run(str(number)) for number in range(count - len(numbers(store)))])
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    store._database.set_progress_handler(step, 10)
    store.write([], [run("a")])
    store._database.set_progress_handler(None, 10)
    return steps


def test_what_a_person_used_lately_is_found_without_reading_the_runs_of_others(store: Store) -> None:
    query = "EXPLAIN QUERY PLAN SELECT sum(seconds) FROM runs WHERE person = 'ada' AND at >= 5.0"
    ((*_, step),) = store._database.execute(query).fetchall()
    assert step == "SEARCH runs USING INDEX runs_by_person (person=? AND at>?)"


def test_a_journal_without_runs_gets_them_and_keeps_all_that_is_in_it(path: Path, clock: Clock) -> None:
    assert "CREATE TABLE runs" in MIGRATIONS[3], "version 4 added them"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("".join(MIGRATIONS[:3]) + "PRAGMA user_version = 3;")
        request = b'{"job":"a","workflow":"w","graph":{},"folder":"out","owner":"ada"}'
        columns = "id, owner, workflow, accepted, changed, state, told, version, server, prompt, wish, record"
        row = ("a", "ada", "w", 5.0, 6.0, "queued", 0, 2, "here", "p", request, b'{"state":2,"version":2}')
        database.execute(f"INSERT INTO jobs ({columns}) VALUES ({', '.join('?' * len(row))})", row)
        database.commit()
    with open_store(path, clock=clock) as store:
        assert store._database.execute("PRAGMA user_version").fetchone() == (NEWEST,)
        assert [job.id for job in store.unfinished()] == ["a"]
        assert store.runs() == []
        store.write([], [run("a")])
    with open_store(path, clock=clock) as store:
        assert store.runs() == [run("a")]


async def test_either_journal_returns_the_runs_that_were_recorded_oldest_first(opening: Opening) -> None:
    async with opening() as journal:
        assert list(await journal.runs()) == []
        await journal.record([_job("a")], [])
        await journal.record([_job("b")], [], [run("b"), run("a")])
        await journal.record([], [], [run("c", loading=True)])
        assert list(await journal.runs()) == [run("b"), run("a"), run("c", loading=True)]
        assert [job.id for job in await journal.unfinished()] == ["a", "b"]


async def test_neither_journal_returns_more_than_the_most_recent_runs(opening: Opening) -> None:
    async with opening() as journal:
        await journal.record([], [], [run(str(number)) for number in range(MOST_RUNS + 1)])
        runs = await journal.runs()
    assert len(runs) == MOST_RUNS
    assert runs[-1].job == str(MOST_RUNS)


async def test_the_runs_of_all_who_record_at_once_are_there_after_a_restart(path: Path) -> None:
    async with open_journal(path) as journal, anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(journal.record, [_job(str(number))], (), [run(str(number))])
    async with open_journal(path) as journal:
        assert {run.job for run in await journal.runs()} == {str(number) for number in range(100)}
        assert len(await journal.runs()) == 100


async def test_the_run_of_a_call_with_an_unwritable_job_is_recorded_once(path: Path) -> None:
    odd = _job("odd")
    odd.notes.append("\ud83d")
    async with open_journal(path) as journal:
        with pytest.raises(UnwritableRecords):
            await journal.record([odd], [], [run("odd")])
        assert list(await journal.runs()) == [run("odd")]


async def test_a_run_that_cannot_be_recorded_fails_no_job_of_its_call(path: Path) -> None:
    async with open_journal(path) as journal:
        with capture_logs() as lines:
            await journal.record([_job("a")], [], [run("a", person="\ud83d")])
        assert [job.id for job in await journal.unfinished()] == ["a"]
        assert list(await journal.runs()) == list[Run]()
    assert [line["job"] for line in lines] == ["a"]


def test_the_seconds_of_the_last_day_are_known_by_person_and_place(path: Path) -> None:
    clock = Clock()
    with open_store(path, clock=clock) as store:
        store.write([], [replace(run("a", seconds=1.0), guild="g", channel="c")])
        clock.now += DAY / 2
        store.write([], [replace(run("b", seconds=2.0), person="bob")])
        clock.now += DAY / 4
        assert store.uses() == [
            Use(Origin("ada", "g", "c"), 1.0, 0.75 * DAY),
            Use(Origin("bob"), 2.0, DAY / 4),
        ]
        clock.now += DAY / 4
        assert store.uses() == [Use(Origin("bob"), 2.0, DAY / 2)]
