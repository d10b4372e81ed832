"""A full disk and a journal that another program holds are waited out; nothing is accepted meanwhile."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio import move_on_after
from anyio.lowlevel import checkpoint
from structlog.testing import capture_logs

from app.actors.alerts import AlertActor
from app.actors.interaction import InteractionActor
from app.core.jobs.job import Job, JobRequest
from app.core.journal_port import DiskFull, JournalError, JournalUnavailable
from app.events import Finished, JobId
from app.journal.access.group_commit import RESERVE_PAUSE
from app.journal.access.reserve import FREE, SIZE, Reserve
from app.journal.access.waiting import ALERT_AFTER, PATIENCE
from app.journal.sqlite import SqliteJournal, open_journal
from app.simulator.engine.simulator import Simulator
from app.texts.alerts import alert_text
from tests.conftest import inline, virtual
from tests.world import Watcher, delivered, house_for

# pyright: reportPrivateUsage=false

BIG = 200_000
"""Letters of a record that does not fit into the free pages of a full journal."""


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


def job(name: str, size: int = 0) -> Job:
    return Job(request=JobRequest(job=JobId(name), workflow="w", graph={}, folder="x" * size, owner="ada"))


@contextmanager
def full(journal: SqliteJournal) -> Generator[None]:
    """SQLite answers SQLITE_FULL, as on a full disk: https://sqlite.org/pragma.html#pragma_max_page_count."""
    database = journal._store._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    try:
        yield
    finally:
        database.execute("PRAGMA max_page_count = 1000000")


async def test_a_record_waits_until_the_disk_has_room_and_says_so_once(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False) as journal:
        with capture_logs() as lines:
            async with anyio.create_task_group() as tasks:
                with full(journal):
                    for name in "abc":
                        tasks.start_soon(journal.record, [job(name, BIG)], ())
                    await anyio.sleep(3600)
                    assert await journal.unfinished() == []
                    assert [line["log_level"] for line in lines] == ["error"]
                    assert "make room" in lines[0]["reason"]
        assert [line["log_level"] for line in lines] == ["error", "warning"]
        assert {found.id for found in await journal.unfinished()} == {"a", "b", "c"}


async def test_a_check_says_what_is_wrong_while_the_journal_cannot_be_written_and_nothing_after(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    async with open_journal(path, run_sync=inline, durable=False) as journal:
        assert await journal.check() == ""
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            assert "held by another program" in await journal.check()
            holder.execute("ROLLBACK")
        assert await journal.check() == ""
        async with anyio.create_task_group() as tasks:
            with full(journal):
                tasks.start_soon(journal.record, [job("a", BIG)], ())
                await anyio.sleep(60)
                # There is room for a small write, but not for the job that waits.
                assert "make room" in await journal.check()
                assert journal.commits.count == 0
        assert await journal.check() == ""
        assert journal.commits.count == 1


async def test_a_check_says_that_the_file_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    async with open_journal(path, run_sync=inline, durable=False) as journal:
        path.rename(tmp_path / "elsewhere.db")
        assert "deleted or replaced" in await journal.check()


async def test_a_bot_that_starts_while_another_program_holds_the_journal_waits_and_says_so_once(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    opening = partial(open_journal, path, run_sync=inline, durable=False)
    async with opening() as journal:
        await journal.record([job("a")], [])
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with capture_logs() as lines, move_on_after(10) as stopped:
        async with opening():
            raise AssertionError("it was opened")
    assert stopped.cancelled_caught
    assert [line["log_level"] for line in lines] == ["error"]
    async with anyio.create_task_group() as tasks:

        async def start() -> None:
            async with opening() as journal:
                assert [found.id for found in await journal.unfinished()] == ["a"]

        tasks.start_soon(start)
        await anyio.sleep(10)
        holder.close()


async def test_an_operator_is_alerted_of_a_full_disk_and_of_its_end(tmp_path: Path) -> None:
    actor, texts = AlertActor(alert_text), list[str]()
    opening = open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False, alerts=actor.handle)
    async with anyio.create_task_group() as ground, opening as journal:
        ground.start_soon(actor.run)
        with actor.handle.listen() as alerts:
            async with anyio.create_task_group() as tasks:
                with full(journal):
                    tasks.start_soon(journal.record, [job("a", BIG)], ())
                    tasks.start_soon(journal.record, [job("b", BIG)], ())
                    await anyio.sleep(ALERT_AFTER - 1)
                    assert alerts.statistics().current_buffer_used == 0
                    await anyio.sleep(3600)
            await anyio.sleep(60)
            texts += [alerts.receive_nowait() for _ in range(alerts.statistics().current_buffer_used)]
        ground.cancel_scope.cancel()
    assert len(texts) == 2
    assert texts[0].startswith("Nothing is accepted or reported. The disk of the journal")
    assert texts[1] == "The journal can be used again after 1 hour."


async def test_an_operator_is_alerted_of_a_journal_that_another_program_holds_at_the_start(tmp_path: Path) -> None:
    path, actor = tmp_path / "atelier.db", AlertActor(alert_text)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    async with anyio.create_task_group() as ground:
        ground.start_soon(actor.run)
        with actor.handle.listen() as alerts:

            async def release() -> None:
                await anyio.sleep(60)
                holder.close()

            ground.start_soon(release)
            async with open_journal(path, run_sync=inline, durable=False, alerts=actor.handle):
                assert "held by another program: close that one first." in await alerts.receive()
                assert await alerts.receive() == "The journal can be used again after 1 minute."
        ground.cancel_scope.cancel()


async def test_who_waits_for_a_full_disk_can_be_cancelled_and_the_others_are_written(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False) as journal:
        async with anyio.create_task_group() as tasks:
            with full(journal):
                began = anyio.current_time()
                with anyio.move_on_after(60):
                    await journal.record([job("a", BIG)], [])
                assert anyio.current_time() - began == pytest.approx(60)
                tasks.start_soon(journal.record, [job("b", BIG)], ())
                await checkpoint()
        assert "b" in [found.id for found in await journal.unfinished()]


async def test_a_request_of_one_person_ends_in_a_sentence_while_the_disk_is_full(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False) as journal:
        await journal.record([job("a")], [])
        began = anyio.current_time()
        with full(journal), pytest.raises(JournalUnavailable, match="make room"):
            await journal.prefer("ada", "w", {"prompt": "x" * BIG})
        assert anyio.current_time() - began <= PATIENCE
        await journal.prefer("ada", "w", {"prompt": "x" * BIG})
        assert (await journal.preferences("ada")).keys() == {"w"}


async def test_nothing_is_accepted_while_the_disk_is_full_and_all_is_made_afterwards(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path / "server", run_sync=inline)
    opening = open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False)
    with anyio.fail_after(3600):
        async with anyio.create_task_group() as ground, opening as journal:
            await ground.start(simulator.run)
            async with house_for(simulator, tmp_path / "results", journal) as world:
                running, waiting = Watcher(), [Watcher() for _ in range(20)]
                async with anyio.create_task_group() as tasks:
                    await tasks.start(InteractionActor(world.request(), world.registry, running).run)
                    while simulator.running is None:  # noqa: ASYNC110  the simulator has nothing to wait on
                        await anyio.sleep(0.01)
                    with full(journal):
                        # Small records fit into free pages; this one has the writer wait.
                        tasks.start_soon(journal.record, [job("big", BIG)], ())
                        await checkpoint()
                        for watcher in waiting:
                            await tasks.start(InteractionActor(world.request(), world.registry, watcher).run)
                        await anyio.sleep(600)
                        assert not any(watcher.shown for watcher in waiting)
                        assert not isinstance(running.last, Finished), "it is told only what is recorded"
                assert delivered(running)
                assert all(delivered(watcher) for watcher in waiting)
            ground.cancel_scope.cancel()


async def test_the_reserve_makes_room_for_a_record_once_and_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, file = tmp_path / "atelier.db", tmp_path / "atelier.db-reserve"
    async with open_journal(path, run_sync=inline) as journal:
        await journal.record([job("a")], ())
        assert file.stat().st_size == SIZE

        def freeing(reserve: Reserve) -> bool:
            """What the system does: room that is freed is room for the journal."""
            journal._store._database.execute("PRAGMA max_page_count = 1000000")
            return release(reserve)

        release = Reserve.release
        monkeypatch.setattr(Reserve, "release", freeing)
        with full(journal):
            await journal.record([job("big", BIG)], ())
            assert not file.exists()
        await anyio.sleep(RESERVE_PAUSE)
        await journal.record([job("b")], ())
        assert file.stat().st_size == SIZE
        assert len(await journal.unfinished()) == 3


def test_a_disk_with_little_room_gets_no_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=FREE - 1)

    def little(path: Path) -> object:
        assert path == tmp_path
        return usage

    monkeypatch.setattr("shutil.disk_usage", little)
    assert not Reserve(tmp_path / "reserve").make()
    assert not list(tmp_path.iterdir())


async def test_a_stop_does_not_wait_for_a_full_disk(tmp_path: Path) -> None:
    simulator = Simulator(tmp_path / "server", run_sync=inline)
    stopped = -1.0
    async with anyio.create_task_group() as ground:
        await ground.start(simulator.run)
        opening = open_journal(tmp_path / "atelier.db", run_sync=inline, durable=False)
        async with opening as journal, house_for(simulator, tmp_path / "results", journal) as world:
            with full(journal):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(journal.record, [job("big", BIG)], ())
                    await checkpoint()
                    # More than the inbox holds: the last of them wait before it.
                    for _ in range(300):
                        tasks.start_soon(InteractionActor(world.request(), world.registry, Watcher()).run)
                    await anyio.sleep(600)
                    stopped = anyio.current_time()
                    tasks.cancel_scope.cancel()
        assert anyio.current_time() == stopped
        ground.cancel_scope.cancel()


DISK = """
import errno, os, resource, sys
from pathlib import Path
from app.events import JobId
from app.core.jobs.job import Job, JobRequest
from app.journal.opening import open_store

def job(name, size=0):
    return Job(request=JobRequest(job=JobId(name), workflow="w", graph={}, folder="x" * size))

path, quota = Path(sys.argv[1]), sys.argv[2] == "quota"
with open_store(path, clock=lambda: 0.0) as store:
    store.write([([job("a")], [])])
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    if quota:
        def fsync(_):
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        os.fsync = fsync
    try:
        store.write([([job("b", 2_000_000)], [])])
    except Exception as error:
        print(type(error).__name__, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.write([([job("b", 2_000_000)], [])])
"""


@pytest.mark.parametrize(("cause", "error"), [("other", JournalError), ("quota", DiskFull)])
def test_an_io_error_is_waited_out_only_if_the_disk_takes_nothing(
    cause: str, error: type[Exception], tmp_path: Path
) -> None:
    """A write that the system refuses is SQLITE_IOERR for SQLite, whether a quota is exhausted or the disk broke."""
    command = [sys.executable, "-c", DISK, str(tmp_path / "atelier.db"), cause]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"{error.__name__} ")
