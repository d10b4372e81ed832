"""The durable journal: many tasks record, one writer commits what has gathered, in one transaction."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from app.archive import JournalError
from app.jobs import Job, Line, Request, Transition
from app.journal.crash import Crash
from app.journal.store import Store, open_store, sole_owner
from app.ports import Json, RunSync

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

JOURNAL = "atelier.db"
"""The file's name in the data folder."""

WAITING = 64
"""Records that may wait for the writer before their tasks do."""


class _Batch:
    """One caller's records, and what became of them."""

    def __init__(self, jobs: Sequence[Job], story: Sequence[Transition]) -> None:
        self.jobs = jobs
        self.story = story
        self.over = anyio.Event()
        self.error: JournalError | None = None


class SqliteJournal:
    """See `app.archive.Archive`."""

    def __init__(self, store: Store, run_sync: RunSync, crash: Crash | None = None) -> None:
        self._store = store
        self._crash = crash
        self._run_sync = run_sync
        # SQLite's connection serves one thread at a time.
        self._lane = anyio.Lock()
        self._inbox: MemoryObjectSendStream[_Batch]
        self._batches: MemoryObjectReceiveStream[_Batch]
        self._inbox, self._batches = anyio.create_memory_object_stream[_Batch](WAITING)

    async def run(self) -> None:
        """Write until cancelled; what a commit has begun is finished first."""
        async with self._inbox, self._batches:
            async for batch in self._batches:
                gathered = range(self._batches.statistics().current_buffer_used)
                await self._write([batch, *(self._batches.receive_nowait() for _ in gathered)])

    async def _write(self, batches: list[_Batch]) -> None:
        error: JournalError | None = None
        try:
            records = [(batch.jobs, batch.story) for batch in batches]
            if self._crash is not None:
                self._crash.at("before", records)
            await self._call(self._store.write, records)
            if self._crash is not None:
                self._crash.at("after", records)
        except JournalError as caught:
            error = caught
        for batch in batches:
            batch.error = error
            batch.over.set()

    async def record(self, jobs: Sequence[Job], story: Sequence[Transition]) -> None:
        """See `app.archive.Journal`."""
        batch = _Batch(jobs, story)
        await self._inbox.send(batch)
        await batch.over.wait()
        if batch.error is not None:
            raise batch.error

    async def unfinished(self) -> Sequence[Job]:
        """See `app.archive.Journal`."""
        return await self._call(self._store.unfinished)

    async def find(self, told: str) -> Job | None:
        """See `app.archive.Archive`."""
        entry = await self._call(self._store.find, told)
        return entry.job if entry else None

    async def jobs_of(self, owner: str, limit: int) -> Sequence[Job]:
        """See `app.archive.Archive`."""
        return await self._call(self._store.jobs_of, owner, limit)

    async def story(self, job: str) -> Sequence[Line]:
        """What happened to a job, in order."""
        return await self._call(self._store.story, job)

    async def requests(self) -> Sequence[Request]:
        """See `app.archive.Archive`."""
        return await self._call(self._store.requests)

    async def done(self, request: Request) -> None:
        """See `app.archive.Archive`."""
        await self._call(self._store.done, request)

    async def preferences(self, owner: str) -> Mapping[str, Mapping[str, Json]]:
        """See `app.archive.Archive`."""
        return await self._call(self._store.preferences, owner)

    async def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        """See `app.archive.Archive`."""
        await self._call(self._store.prefer, owner, workflow, values)

    async def _call(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        async with self._lane:
            return await self._run_sync(function, *args)


@asynccontextmanager
async def open_journal(
    path: Path,
    *,
    run_sync: RunSync = to_thread.run_sync,
    clock: Callable[[], float] = time.time,
    durable: bool = True,
    crash: Crash | None = None,
) -> AsyncGenerator[SqliteJournal]:
    """Open the one journal of this process, against all others. Raises `JournalError`.

    `run_sync` runs SQLite: a thread, or on the spot where time is virtual; `clock` is in seconds since 1970;
    `crash` is where to die.
    """
    with sole_owner(path), open_store(path, clock=clock, durable=durable) as store:
        journal = SqliteJournal(store, run_sync, crash)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.run, name="journal")
            try:
                yield journal
            finally:
                tasks.cancel_scope.cancel()
