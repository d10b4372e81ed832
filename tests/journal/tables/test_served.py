"""What people were served is kept with the changes of their jobs, and for a day."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from app.core.jobs.job import Job, JobRequest, Transition
from app.core.journal_port import Journal, JournalError
from app.core.scheduling.queue.fair_queue import NOTHING_SERVED, Served
from app.events import JobId, ServerName
from app.journal.memory import MemoryJournal
from app.journal.opening import open_store
from app.journal.sqlite import open_journal
from app.journal.tables.served import SERVED_KEPT

# pyright: reportPrivateUsage=false

A, B = ServerName("a"), ServerName("b")
JOB = Job(request=JobRequest(job=JobId("job"), workflow="w", graph={}, folder="out", owner="ada"))


@asynccontextmanager
async def _in_memory() -> AsyncGenerator[Journal]:
    yield MemoryJournal()


@pytest.mark.parametrize("durable", [True, False], ids=["sqlite", "memory"])
async def test_of_each_person_and_server_the_latest_sum_is_kept(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "atelier.db"
    opening: AbstractAsyncContextManager[Journal] = open_journal(path, durable=False) if durable else _in_memory()
    async with opening as journal:
        assert await journal.served() == NOTHING_SERVED
        await journal.record([JOB], [], [], Served({"ada": 10.0, "ben": 5.0}, {A: 5.0}, 10.0))
        await journal.record([JOB], [], [], Served({"ada": 7.5}, {B: 7.5}))
        assert await journal.served() == Served({"ada": 7.5, "ben": 5.0}, {A: 5.0, B: 7.5}, 10.0)


def test_it_is_there_after_a_restart_and_no_longer_a_day_later(tmp_path: Path) -> None:
    now = 1_000_000.0
    with open_store(tmp_path / "atelier.db", clock=lambda: now) as store:
        store.write([], (), Served({"ada": 10.0}, {A: 5.0}, 10.0))
        now += SERVED_KEPT / 2
        store.write([], (), Served({"ben": 20.0}))
    now += SERVED_KEPT / 2
    with open_store(tmp_path / "atelier.db", clock=lambda: now) as store:
        assert store.served() == Served({"ada": 10.0, "ben": 20.0}, {A: 5.0}, 10.0)
        now += 1.0
        assert store.served() == Served({"ben": 20.0})
        store.write([], (), Served({"cleo": 1.0}))
        assert store._database.execute("SELECT name FROM served ORDER BY at").fetchall() == [("ben",), ("cleo",)]


def test_it_is_written_in_the_transaction_of_the_job(tmp_path: Path) -> None:
    broken = [Transition(JOB.id, None, "queued", "x")]  # pyright: ignore[reportArgumentType]
    with open_store(tmp_path / "atelier.db", clock=lambda: 5.0) as store:
        with pytest.raises(JournalError):
            store.write([([JOB], broken)], (), Served({"ada": 10.0}))
        assert store.served() == NOTHING_SERVED


def test_what_cannot_be_stored_is_left_out_and_harms_nothing_else(tmp_path: Path) -> None:
    odd = Served({"\ud83d": 1.0, "nan": math.nan, "inf": math.inf, "ada": 10.0, "": 2.0})
    with open_store(tmp_path / "atelier.db", clock=lambda: 5.0) as store:
        store.write([([JOB], [])], (), odd)
        assert [job.id for job in store.unfinished()] == [JOB.id]
        assert store.served() == Served({"ada": 10.0, "": 2.0})
