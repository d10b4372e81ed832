"""Nobody is told what the copies of the journal cannot find yet."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from structlog.testing import capture_logs

from app.core.jobs.job import Job, JobRequest, Transition
from app.core.journal_port import JournalUnavailable
from app.core.replication import SealedBatch
from app.events import JobId
from app.journal.access.crash_points import Crash
from app.journal.access.store_calls import PUBLISHED_AGAIN
from app.journal.opening import open_store
from app.journal.sqlite import open_journal
from tests.conftest import inline, virtual


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Board:
    """Where batches are published; while it is away, nothing can be."""

    def __init__(self) -> None:
        self.batches: list[SealedBatch] = []
        self.away = ""
        self.held = True

    def check(self) -> None:
        if not self.held:
            raise JournalUnavailable("Another front may be active.")

    @property
    def active_for(self) -> float:
        return math.inf if self.held else 0.0

    @property
    def lease(self) -> tuple[str, bytes]:
        return "lease", b"1"

    async def publish(self, batches: Sequence[SealedBatch]) -> None:
        await checkpoint()
        if self.away:
            raise JournalUnavailable(self.away)
        self.batches += batches


def job(name: str) -> Job:
    return Job(request=JobRequest(job=JobId(name), workflow="w", graph={}, folder="out", owner="ada"))


async def test_who_records_is_told_once_it_was_published(tmp_path: Path) -> None:
    board = Board()
    opening = partial(open_journal, tmp_path / "atelier.db", run_sync=inline, durable=False, publisher=board)
    async with opening() as journal, anyio.create_task_group() as tasks:
        await journal.record([job("a")], [])
        await journal.say_once("hint", "ada")
        assert [batch.number for batch in board.batches] == [1, 2]
        board.away = "The engine does not answer."
        recorded: list[str] = []

        async def record(name: str) -> None:
            await journal.record([job(name)], [Transition(JobId(name), 0, "accepted", "accepted")])
            recorded.append(name)

        with capture_logs() as lines:
            tasks.start_soon(record, "b")
            await anyio.sleep(60)
            tasks.start_soon(record, "c")
            await anyio.sleep(60)
            assert recorded == []
            assert journal.problem == await journal.check() == board.away
            with pytest.raises(JournalUnavailable):
                await journal.say_once("hint", "bob")
            board.away = ""
            await anyio.sleep(1)
        assert sorted(recorded) == ["b", "c"]
        assert next(line["reason"] for line in lines if line["log_level"] == "error") == "The engine does not answer."
        assert await journal.check() == ""
        assert [batch.number for batch in board.batches] == list(range(1, len(board.batches) + 1))
        assert len(await journal.transitions("b")) == 1, "it was written once"


async def test_nothing_is_written_while_another_front_may_be_active(tmp_path: Path) -> None:
    board = Board()
    opening = partial(open_journal, tmp_path / "atelier.db", run_sync=inline, durable=False, publisher=board)
    async with opening() as journal, anyio.create_task_group() as tasks:
        board.held = False
        tasks.start_soon(journal.record, [job("a")], ())
        await anyio.sleep(60)
        assert await journal.unfinished() == []
        assert journal.is_suspended
        assert await journal.check() == "Another front may be active."
        with pytest.raises(JournalUnavailable):
            await journal.prefer("ada", "w", {})
        board.held = True
        assert not journal.is_suspended
        await anyio.sleep(10)
        assert [found.id for found in await journal.unfinished()] == ["a"]


async def test_what_another_process_writes_is_published_soon(tmp_path: Path) -> None:
    board = Board()
    path = tmp_path / "atelier.db"
    async with open_journal(path, run_sync=inline, durable=False, publisher=board):
        with open_store(path, clock=time.time) as other:
            other.add_request("cancel", "a")
        await anyio.sleep(2 * PUBLISHED_AGAIN)
        assert [batch.number for batch in board.batches] == [1]


async def test_what_was_not_published_before_a_crash_is_published_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = Board()
    opening = partial(open_journal, tmp_path / "atelier.db", run_sync=inline, durable=False, publisher=board)
    killed: list[int] = []

    def kill(_: int, signum: int) -> None:
        killed.append(len(board.batches))
        assert signum == signal.SIGKILL
        raise InterruptedError

    monkeypatch.setattr(os, "kill", kill)
    with pytest.raises(ExceptionGroup):
        async with opening(crash=Crash("committed", "accepted")) as journal:
            await journal.record([job("a")], [Transition(JobId("a"), 0, "accepted", "accepted")])
    assert killed == [0]
    async with opening() as journal:
        assert [found.id for found in await journal.unfinished()] == ["a"]
        await anyio.sleep(2 * PUBLISHED_AGAIN)
        assert [batch.number for batch in board.batches] == [1]
