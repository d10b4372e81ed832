"""The lease, the batches and the whole copies of fronts, against a real Valkey and with real journals."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from rich.console import Console
from structlog.testing import capture_logs

from app.cli import front_status
from app.cli.front_status import problems_of, show_status
from app.config.engine import EngineSettings
from app.core.jobs.job import Job, JobRequest
from app.core.journal_port import JournalUnavailable
from app.core.replication import SealedBatch
from app.engine import chunks
from app.engine.connection import Engine
from app.engine.messages import CHUNK
from app.engine.replication import standby, transfers
from app.engine.replication.copies import CopySender
from app.engine.replication.lease import FrontLease
from app.engine.replication.messages import BATCHES, EPOCH, HEAD, LEASE, Front, read_head, read_lease
from app.engine.replication.publisher import JournalPublisher
from app.engine.replication.shard_table import Holding, register
from app.engine.replication.standby import FrontOnStandby, JournalFile, Turn
from app.engine.replication.status import Safety, fronts_of
from app.events import JobId
from app.journal.copies.replica import open_replica
from app.journal.copies.whole_copies import export, install, standing_of, take_over
from app.journal.migrations import NEWEST
from app.journal.opening import open_store
from app.journal.store import Store
from app.ports import ConnectionLost
from tests.engine.test_connection import connected

PATIENCE = 20.0

SECONDS = 3.0
"""For how long a lease lasts in these tests: long enough for a busy machine."""


FROZEN = 0.3
"""Seconds of a lease that is to end."""


class Side:
    """One front without its bot: its journal and what follows it."""

    def __init__(
        self, engine: Engine, folder: Path, *, journal: int = NEWEST, force: bool = False, seconds: float = SECONDS
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.engine = engine
        self.path = folder / "atelier.db"
        self.front = Front(folder.name, folder.name, "1.0", journal)
        file = JournalFile(self.path, partial(standing_of, self.path), partial(open_replica, self.path), self._install)
        self.standby = FrontOnStandby(engine, self.front, file, force=force, seconds=seconds)

    def _install(self, received: Path, folder: str, keep: bool) -> None:
        install(received, self.path, folder, keep=keep)

    async def wait(self) -> Turn:
        with anyio.fail_after(PATIENCE):
            return await self.standby.wait()

    @asynccontextmanager
    async def active(self, turn: Turn | None = None) -> AsyncGenerator[tuple[FrontLease, JournalPublisher]]:
        """Be the active front within the block; at its end the lease ends."""
        turn = turn or await self.wait()
        position = take_over(self.path, turn.lease.epoch)
        await turn.lease.announce(turn.head if turn.head in turn.standing.sealed and turn.head else position)
        sender = CopySender(self.engine, turn.lease, self.path, lambda target: export(self.path, target, lambda: None))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn.lease.keep)
            tasks.start_soon(sender.run)
            yield turn.lease, JournalPublisher(self.engine, turn.lease)
            tasks.cancel_scope.cancel()
        while True:
            try:
                await self.engine.delete(LEASE)
            except ConnectionLost:
                await anyio.sleep(0.01)
            else:
                return

    @contextmanager
    def store(self) -> Generator[Store]:
        with open_store(self.path, clock=time.time, durable=False) as store:
            yield store

    def accept(self, *names: str, size: int = 0) -> Sequence[SealedBatch]:
        """Write jobs; the batches that are to be published."""
        with self.store() as store:
            for name in names:
                request = JobRequest(job=JobId(name), workflow="w", graph={}, folder="x" * size, owner="ada")
                store.write([([Job(request=request)], [])])
            return store.outbox.unpublished() if store.outbox is not None else ()

    def jobs(self) -> list[str]:
        """The ids of the jobs; nothing while the file is put in its place."""
        try:
            with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as database:
                return [name for (name,) in database.execute("SELECT id FROM jobs ORDER BY id")]
        except sqlite3.Error:
            return []


async def publish(publisher: JournalPublisher, batches: Sequence[SealedBatch]) -> None:
    """Publish as the journal does, which tries again: who stops following has the engine's client built again."""
    with anyio.fail_after(PATIENCE):
        while True:
            try:
                await publisher.publish(batches)
            except JournalUnavailable:
                await anyio.sleep(0.01)
            else:
                return


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110  what another process does sets no event
            await anyio.sleep(0.01)


async def test_a_front_on_standby_follows_the_journal_and_takes_over_when_the_lease_ends(
    database: EngineSettings, tmp_path: Path
) -> None:
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        first, second = Side(engine, tmp_path / "first"), Side(engine, tmp_path / "second")
        first.accept("a")
        turns: list[Turn] = []

        async def follow() -> None:
            turns.append(await second.wait())

        async with first.active() as (lease, publisher):
            tasks.start_soon(follow)
            await until(lambda: second.jobs() == ["a"])
            await publish(publisher, first.accept("b"))
            await until(lambda: second.jobs() == ["a", "b"])
            await publish(publisher, first.accept("c", "d"))
            unpublished = first.accept("e")
            assert not turns
        with anyio.fail_after(PATIENCE):
            while not turns:  # noqa: ASYNC110  as above
                await anyio.sleep(0.01)
        assert second.jobs() == ["a", "b", "c", "d"], "what was published when the lease ended is there"
        assert turns[0].lease.epoch == lease.epoch + 1
        with pytest.raises(JournalUnavailable, match="does not know this front"):
            await publisher.publish(unpublished)
        async with second.active(turns[0]) as (_, publisher):
            await publish(publisher, second.accept("f"))
            turns.clear()

            async def follow_again() -> None:
                turns.append(await first.wait())

            tasks.start_soon(follow_again)
            await until(lambda: first.jobs() == ["a", "b", "c", "d", "f"])
            assert first.path.with_name("atelier.db-replaced").exists(), "it had something that nobody else has"
        tasks.cancel_scope.cancel()


async def test_a_lease_that_is_given_up_is_taken_at_once(database: EngineSettings, tmp_path: Path) -> None:
    async with connected(database) as engine:
        first = Side(engine, tmp_path / "first")
        first.accept("a")
        async with first.active() as (lease, _):
            await lease.release()
            assert lease.lost.is_set()
            assert not lease.is_held
            assert (await first.wait()).lease.epoch == lease.epoch + 1


async def test_a_front_that_was_frozen_for_longer_than_its_lease_may_write_nothing(
    database: EngineSettings, tmp_path: Path
) -> None:
    async with connected(database) as engine:
        first, second = Side(engine, tmp_path / "first", seconds=FROZEN), Side(engine, tmp_path / "second", force=True)
        first.accept("a")
        turn = await first.wait()
        lease, publisher = turn.lease, JournalPublisher(engine, turn.lease)
        await lease.announce(take_over(first.path, lease.epoch))
        assert lease.epoch == 1
        await anyio.sleep(FROZEN)
        with pytest.raises(JournalUnavailable, match="does not confirm"):
            publisher.check()
        await second.wait()
        with anyio.fail_after(PATIENCE), capture_logs() as lines:
            await lease.keep()
        assert [line["event"] for line in lines] == ["another front is active"]
        with pytest.raises(JournalUnavailable, match="does not know this front"):
            await publisher.publish(first.accept("b"))


async def test_an_engine_that_lost_everything_gets_the_active_front_and_its_journal_back(
    database: EngineSettings, tmp_path: Path
) -> None:
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        first, second = Side(engine, tmp_path / "first"), Side(engine, tmp_path / "second")
        first.accept("a")
        async with first.active() as (lease, publisher):
            tasks.start_soon(second.wait)
            await until(lambda: second.jobs() == ["a"])
            await engine.delete(LEASE, EPOCH, HEAD, BATCHES)
            batches = first.accept("b")
            with pytest.raises(JournalUnavailable):
                await publisher.publish(batches)
            with anyio.fail_after(PATIENCE):
                while await engine.get(HEAD) is None:  # noqa: ASYNC110  as above
                    await anyio.sleep(0.01)
            assert lease.is_held
            await publisher.publish(batches)
            await publisher.publish(batches)
            await until(lambda: second.jobs() == ["a", "b"])
            held = read_lease(await engine.get(LEASE))
            assert held is not None
            assert held[1] == first.front
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("missing", ["1-0", "2-0"])
async def test_a_copy_that_is_behind_what_the_engine_keeps_is_made_anew(
    database: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(standby, "STILL", 0.5)
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        first, second = Side(engine, tmp_path / "first"), Side(engine, tmp_path / "second")
        first.accept("a")
        async with first.active() as (_, publisher):
            async with anyio.create_task_group() as following:
                following.start_soon(second.wait)
                await until(lambda: second.jobs() == ["a"])
                following.cancel_scope.cancel()
            await publish(publisher, first.accept("b", "c"))
            await engine.remove(BATCHES, missing)
            tasks.start_soon(second.wait)
            await until(lambda: second.jobs() == ["a", "b", "c"])
            assert not second.path.with_name("atelier.db-replaced").exists()
            tasks.cancel_scope.cancel()


async def test_a_copy_that_lacks_something_does_not_take_over_but_by_force(
    database: EngineSettings, tmp_path: Path
) -> None:
    async with connected(database) as engine:
        first, second = Side(engine, tmp_path / "first"), Side(engine, tmp_path / "second")
        first.accept("a")
        async with first.active() as (_, publisher):
            async with anyio.create_task_group() as following:
                following.start_soon(second.wait)
                await until(lambda: second.jobs() == ["a"])
                following.cancel_scope.cancel()
            await publish(publisher, first.accept("b"))
            await publish(publisher, first.accept("c"))
            await engine.remove(BATCHES, "2-0")
        with capture_logs() as lines, anyio.move_on_after(1):
            await second.wait()
        (reason,) = (line["reason"] for line in lines if line["log_level"] == "error")
        assert "lacks what the front that was active last has written: start that one, or start this one" in reason
        second = Side(engine, tmp_path / "second", force=True)
        async with second.active() as (_, publisher):
            await publish(publisher, second.accept("d"))
            head = read_head(await engine.get(HEAD))
            assert head is not None
            assert head == standing_of(second.path).position


async def test_a_front_catches_up_with_what_a_front_that_is_gone_has_published(
    database: EngineSettings, tmp_path: Path
) -> None:
    async with connected(database) as engine:
        first, second = Side(engine, tmp_path / "first"), Side(engine, tmp_path / "second")
        first.accept("a")
        async with first.active() as (_, publisher):
            async with anyio.create_task_group() as following:
                following.start_soon(second.wait)
                await until(lambda: second.jobs() == ["a"])
                following.cancel_scope.cancel()
            await publish(publisher, first.accept("b"))
        await second.wait()
        assert second.jobs() == ["a", "b"]


async def test_a_journal_with_jobs_of_its_own_is_not_replaced(database: EngineSettings, tmp_path: Path) -> None:
    async with connected(database) as engine:
        first, second = Side(engine, tmp_path / "first"), Side(engine, tmp_path / "second")
        first.accept("a")
        second.accept("z")
        async with first.active():
            with capture_logs() as lines, anyio.move_on_after(1):
                await second.wait()
        assert "is no copy of the journal of first" in lines[-1]["reason"]
        assert second.jobs() == ["z"]


async def test_a_front_of_an_earlier_version_only_waits(database: EngineSettings, tmp_path: Path) -> None:
    async with connected(database) as engine:
        first, second = Side(engine, tmp_path / "first"), Side(engine, tmp_path / "second", journal=NEWEST - 1)
        first.accept("a")
        async with first.active():
            with capture_logs() as lines, anyio.move_on_after(1):
                await second.wait()
        assert "the active front first has a newer Atelier (1.0): update this one" in lines[-1]["reason"]
        assert not second.path.exists()


async def test_an_empty_front_and_a_copy_wait_whether_another_front_has_the_journal(
    database: EngineSettings, tmp_path: Path
) -> None:
    async with connected(database) as engine:
        began = anyio.current_time()
        empty = Side(engine, tmp_path / "empty", seconds=FROZEN)
        turn = await empty.wait()
        assert anyio.current_time() - began >= FROZEN
        empty.accept("a")
        take_over(empty.path, turn.lease.epoch)
        with open_replica(empty.path):
            pass
        await engine.delete(LEASE)
        began = anyio.current_time()
        await empty.wait()
        assert anyio.current_time() - began >= 3 * FROZEN


async def test_a_large_journal_is_sent_with_few_chunks_in_the_engine_at_a_time(
    database: EngineSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (chunks, transfers):
        monkeypatch.setattr(module, "CHUNK", CHUNK // 16)
    async with connected(database) as engine:
        first, second = Side(engine, tmp_path / "first"), Side(engine, tmp_path / "second")
        first.accept("a", size=2**20)
        most = 0
        async with first.active(), anyio.create_task_group() as tasks:
            tasks.start_soon(second.wait)
            with anyio.fail_after(PATIENCE):
                while second.jobs() != ["a"]:
                    most = max(most, len(await engine.keys("atelier:copy:*")))
                    await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()
        assert 2 <= most <= chunks.WINDOW + 1
        assert await engine.keys("atelier:copy:*") == []


async def test_the_status_names_each_front_and_what_is_unsafe(
    database: EngineSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(width=200)
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        assert await show_status(database, console) == 1
        assert "no front is active: start one" in capsys.readouterr().err
        safety = Safety("7.0", writes_to_disk=False, when_full="allkeys-lru")
        assert len(list(problems_of(await fronts_of(engine), safety))) == 5
        first, second = Side(engine, tmp_path / "first"), Side(engine, tmp_path / "second")
        first.accept("a")
        async with first.active() as (_, publisher):
            tasks.start_soon(second.wait)
            await until(lambda: second.jobs() == ["a"])
            await publish(publisher, first.accept("b"))
            await until(lambda: second.jobs() == ["a", "b"])
            with anyio.fail_after(PATIENCE):
                while await show_status(database, console):  # noqa: ASYNC110  as above
                    await anyio.sleep(0.1)
            assert capsys.readouterr().out.splitlines()[-2:] == [
                "first is active (Atelier 1.0, turn 1, batch 1)",
                "second is on standby (Atelier 1.0, 0 batches behind)",
            ]
            # Unless there is only one shard.
            for side, shards in ((first, (0, 3)), (second, ())):
                await register(engine, Holding(side.front, side is first, 4, shards), 60.0)
            await show_status(database, console)
            assert capsys.readouterr().out.splitlines()[-2:] == [
                "first is active (Atelier 1.0, turn 1, batch 1, shards 0 3 of 4)",
                "second is on standby (Atelier 1.0, 0 batches behind, shards none of 4)",
            ]
            tasks.cancel_scope.cancel()


async def test_an_engine_that_does_not_answer_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = EngineSettings(host="127.0.0.1", port=9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(front_status, "PATIENCE", 0.2)
        assert await show_status(nowhere, Console()) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "atelier: the engine valkey://127.0.0.1:9/0 does not answer: look whether it runs and can be reached."
    )
