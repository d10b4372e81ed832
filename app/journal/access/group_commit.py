"""Group commit: many tasks record, and one writer commits everything that has collected in one transaction.

If the disk is full or another program holds the journal, the writer keeps its batch and retries, and nothing is
accepted until the batch is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

import anyio
import structlog
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from app.core.jobs.cost import Run
from app.core.jobs.job import Job, Transition
from app.core.journal_port import DiskFull, JournalError, UnwritableRecords
from app.core.scheduling.queue.fair_queue import NOTHING_SERVED, Served, together
from app.events import JobId
from app.histogram import Histogram
from app.journal.access.crash_points import Crash
from app.journal.access.reserve import Reserve
from app.journal.access.store_calls import StoreCalls
from app.journal.store import Store

_Records: TypeAlias = Sequence[tuple[Sequence[Job], Sequence[Transition]]]

WAITING = 64
"""Calls of `record` that may wait for the writer before their tasks do."""

RESERVE_PAUSE = 60.0
"""Seconds before the reserve is made again, or made at last: each try writes 16 MB."""

COMMITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds: a commit takes a few milliseconds on an SSD and some hundredths of a second on a hard disk."""

logger = structlog.stdlib.get_logger(__name__)


class _Batch:
    """The records of one caller, and their outcome."""

    def __init__(
        self, jobs: Sequence[Job], transitions: Sequence[Transition], runs: Sequence[Run], served: Served
    ) -> None:
        self.jobs = jobs
        self.transitions = transitions
        self.runs = runs
        self.served = served
        self.over = anyio.Event()
        self.error: JournalError | UnwritableRecords | None = None


class GroupCommit:
    """Writes what many tasks record; `grew` is called when results were added to the gallery."""

    def __init__(
        self,
        store: Store,
        calls: StoreCalls,
        grew: Callable[[], None],
        *,
        crash: Crash | None = None,
        reserve: Reserve | None = None,
    ) -> None:
        self._store = store
        self._calls = calls
        self._grew = grew
        self._crash = crash
        self._reserve = reserve
        self._reserve_due = -math.inf
        """When the reserve is to be made, again if it was used; `inf` while it is there."""
        self.commits = Histogram(COMMITS)
        """Seconds that the commits of jobs took."""
        self.problem = ""
        """Why jobs cannot be recorded now, as a sentence; "" if nothing is wrong."""
        self._inbox: MemoryObjectSendStream[_Batch]
        self._batches: MemoryObjectReceiveStream[_Batch]
        self._inbox, self._batches = anyio.create_memory_object_stream[_Batch](WAITING)

    async def run(self) -> None:
        """Write until cancelled; a commit that has started is finished first."""
        async with self._inbox, self._batches:
            async for batch in self._batches:
                gathered = range(self._batches.statistics().current_buffer_used)
                await self._write([batch, *(self._batches.receive_nowait() for _ in gathered)])

    async def _write(self, batches: list[_Batch]) -> None:
        additions = self._store.gallery_additions
        try:
            records = [(batch.jobs, batch.transitions) for batch in batches]
            runs = [run for batch in batches for run in batch.runs]
            served = reduce(together, (batch.served for batch in batches))
            if self._crash is not None:
                self._crash.at("before", records)
            refused = await self._calls.wait_out(self._watched_commit, records, runs, served)
            if self._calls.has_publisher:
                if self._crash is not None:
                    self._crash.at("committed", records)
                await self._calls.wait_to_publish(self._watched_publishing)
            if self._crash is not None:
                self._crash.at("after", records)
        except JournalError as error:
            for batch in batches:
                batch.error = error
        else:
            for batch, jobs in zip(batches, refused, strict=True):
                batch.error = UnwritableRecords(jobs) if jobs else None
            if self._store.gallery_additions != additions:
                self._grew()
        for batch in batches:
            batch.over.set()

    async def _watched_commit(
        self, records: _Records, runs: Sequence[Run], served: Served
    ) -> list[dict[JobId, Exception]]:
        """Commit, and keep how long that took and what is wrong."""
        began = anyio.current_time()
        try:
            refused = await self._commit(records, runs, served)
        except JournalError as error:
            self.problem = str(error)
            raise
        self.problem = ""
        self.commits.observe(anyio.current_time() - began)
        return refused

    async def _watched_publishing(self) -> None:
        """Publish what was written, and keep what is wrong."""
        try:
            await self._calls.publish_once()
        except JournalError as error:
            self.problem = str(error)
            raise
        self.problem = ""

    async def _commit(self, records: _Records, runs: Sequence[Run], served: Served) -> list[dict[JobId, Exception]]:
        """Write the records; if the disk is full, with the room of the reserve."""
        try:
            refused = await self._calls.write_once(self._store.write, records, runs, served)
        except DiskFull:
            if self._reserve is None or not await self._calls.write_once(self._reserve.release):
                raise
            logger.error("the disk of the journal is full: its reserve is used")
            refused = await self._calls.write_once(self._store.write, records, runs, served)
            self._reserve_due = anyio.current_time() + RESERVE_PAUSE
        if self._reserve is not None and anyio.current_time() >= self._reserve_due:
            made = await self._calls.write_once(self._reserve.make)
            self._reserve_due = math.inf if made else anyio.current_time() + RESERVE_PAUSE
        return refused

    async def record(
        self,
        jobs: Sequence[Job],
        transitions: Sequence[Transition],
        runs: Sequence[Run] = (),
        served: Served = NOTHING_SERVED,
    ) -> None:
        """See `app.core.journal_port.Journal`."""
        batch = _Batch(jobs, transitions, runs, served)
        await self._inbox.send(batch)
        await batch.over.wait()
        if batch.error is not None:
            raise batch.error
