"""The durable journal: many tasks record, and one writer commits everything that has collected in one transaction.

Reading has its own thread and connection, so a commit never waits for a lookup. If the disk is full or another program
holds the journal, the writer keeps its batch and retries, and nothing is accepted until the batch is written.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from functools import partial, reduce
from pathlib import Path
from typing import TypeAlias, TypeVar, TypeVarTuple, Unpack

import anyio
import structlog
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from app.actors.alerts import Alerts, no_alerts
from app.backoff import Pauses, backoff
from app.core.alerts import Cause
from app.core.drafts import StoredDraft
from app.core.gallery import Audience, GalleryOrigin, GalleryQuery, GalleryRow, Unmade
from app.core.jobs.cost import Run
from app.core.jobs.job import Job, OperatorRequest, State, Transition, TransitionRow
from app.core.journal_port import (
    DiskFull,
    DrainedServer,
    JobPage,
    JournalError,
    JournalUnavailable,
    Notice,
    RemovedJobs,
    UnwritableRecords,
)
from app.core.limits.moderation import Decision, Decisions
from app.core.limits.spending import Spent
from app.core.limits.usage import Use
from app.core.replication import Publisher
from app.core.scheduling.fair_queue import NOTHING_SERVED, Served, together
from app.core.servers.power import OnPeriod, PowerRecord
from app.events import JobId
from app.histogram import Histogram
from app.journal.crash_points import Crash
from app.journal.reserve import Reserve
from app.journal.store import Store, instance_lock, open_store
from app.ports import Json, RunSync
from app.reasons.alerts import JournalWaits

_Records: TypeAlias = Sequence[tuple[Sequence[Job], Sequence[Transition]]]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

JOURNAL = "atelier.db"
"""The file's name in the data folder."""

RESTORING = ".restoring"
"""A folder in the data folder that is there while a backup is restored. No bot starts while it is."""

WAITING = 64
"""Calls of `record` that may wait for the writer before their tasks do."""


BUSY = 0.1
"""Seconds that a call waits in its thread for another process that holds the journal.

The call cannot be cancelled meanwhile, so longer waits are pauses between calls.
"""

PATIENCE = 2.0
"""Seconds for which the journal is retried for one user's request: Discord gives up after three."""

RESERVE_PAUSE = 60.0
"""Seconds before the reserve is made again, or made at last: each try writes 16 MB."""

ALERT_AFTER = 10.0
"""Seconds that the journal must wait until the operator is alerted: a backup holds it for a moment only."""

WAITS = Cause("journal")

COMMITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds: a commit takes a few milliseconds on an SSD and some hundredths of a second on a hard disk."""

retry_pauses = partial(backoff, 0.1, 5.0, 1.0)
"""Pauses between two attempts to write: short at first, because most programs hold a journal only for a moment."""

publishing_pauses = partial(backoff, 0.05, 0.5, 1.0)
"""Pauses between two attempts to publish what was written: people wait for it."""

PUBLISHED_AGAIN = 1.0
"""Seconds after which it is published what commands of the terminal wrote into the journal."""

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


class SqliteJournal:
    """See `app.core.journal_port.JobHistory`."""

    def __init__(
        self,
        store: Store,
        *,
        write_sync: RunSync,
        read_sync: RunSync,
        crash: Crash | None = None,
        pauses: Pauses = retry_pauses,
        alerts: Alerts | None = None,
        reserve: Reserve | None = None,
        publisher: Publisher | None = None,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._alerts = alerts or no_alerts()
        self._reserve = reserve
        self._reserve_due = -math.inf
        """When the reserve is to be made, again if it was used; `inf` while it is there."""
        self.commits = Histogram(COMMITS)
        """Seconds that the commits of jobs took."""
        self.problem = ""
        """Why jobs cannot be recorded now, as a sentence; "" if nothing is wrong."""
        self._crash = crash
        self._write_sync = write_sync
        self._read_sync = read_sync
        self._pauses = pauses
        # Each of the two connections may be used by one thread at a time.
        self._writing = anyio.Lock()
        self._reading = anyio.Lock()
        self._publishing = anyio.Lock()
        self._grown = anyio.Event()
        """Set once an entry was added to the gallery; replaced by another one then."""
        self._tried = anyio.Event()
        """The same for an entry whose thumbnails were tried."""
        self._inbox: MemoryObjectSendStream[_Batch]
        self._batches: MemoryObjectReceiveStream[_Batch]
        self._inbox, self._batches = anyio.create_memory_object_stream[_Batch](WAITING)

    @property
    def is_suspended(self) -> bool:
        """See `app.core.journal_port.Journal`."""
        try:
            if self._publisher is not None:
                self._publisher.check()
        except JournalUnavailable:
            return True
        return False

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
            refused = await _wait_out(self._pauses, self._alerts, self._watched_commit, records, runs, served)
            if self._publisher is not None:
                if self._crash is not None:
                    self._crash.at("committed", records)
                await _wait_out(publishing_pauses, self._alerts, self._watched_publishing)
            if self._crash is not None:
                self._crash.at("after", records)
        except JournalError as error:
            for batch in batches:
                batch.error = error
        else:
            for batch, jobs in zip(batches, refused, strict=True):
                batch.error = UnwritableRecords(jobs) if jobs else None
            if self._store.gallery_additions != additions:
                self._grow()
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
            await self._publish()
        except JournalError as error:
            self.problem = str(error)
            raise
        self.problem = ""

    async def _commit(self, records: _Records, runs: Sequence[Run], served: Served) -> list[dict[JobId, Exception]]:
        """Write the records; if the disk is full, with the room of the reserve."""
        try:
            refused = await self._write_once(self._store.write, records, runs, served)
        except DiskFull:
            if self._reserve is None or not await self._write_once(self._reserve.release):
                raise
            logger.error("the disk of the journal is full: its reserve is used")
            refused = await self._write_once(self._store.write, records, runs, served)
            self._reserve_due = anyio.current_time() + RESERVE_PAUSE
        if self._reserve is not None and anyio.current_time() >= self._reserve_due:
            made = await self._write_once(self._reserve.make)
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

    async def check(self) -> str:
        """Why nothing can be recorded now, as a sentence; "" if a small write succeeds."""
        if not self.problem:
            try:
                await self._write_once(self._store.check)
            except JournalError as error:
                return str(error)
        return self.problem

    async def client_id(self) -> str:
        """See `app.core.journal_port.JobHistory`."""
        return await self._write_out(self._store.client_id)

    async def unfinished(self) -> Sequence[Job]:
        """See `app.core.journal_port.Journal`."""
        return await _wait_out(self._pauses, self._alerts, self._read_once, self._store.unfinished)

    async def runs(self) -> Sequence[Run]:
        """See `app.core.journal_port.Journal`."""
        return await _wait_out(self._pauses, self._alerts, self._read_once, self._store.runs)

    async def served(self) -> Served:
        """See `app.core.journal_port.Journal`."""
        return await _wait_out(self._pauses, self._alerts, self._read_once, self._store.served)

    async def drained(self) -> Sequence[DrainedServer]:
        """See `app.core.journal_port.Journal`."""
        return await _wait_out(self._pauses, self._alerts, self._read_once, self._store.drained)

    async def on_periods(self) -> Sequence[OnPeriod]:
        """See `app.core.journal_port.Journal`."""
        return await _wait_out(self._pauses, self._alerts, self._read_once, self._store.on_periods)

    async def record_power(self, records: Sequence[PowerRecord]) -> None:
        """See `app.core.journal_port.Journal`."""
        await self._write_out(self._store.record_power, records)

    async def uses(self) -> Sequence[Use]:
        """See `app.core.journal_port.Journal`."""
        return await _wait_out(self._pauses, self._alerts, self._read_once, self._store.uses)

    async def spent(self) -> Sequence[Spent]:
        """See `app.core.journal_port.Journal`."""
        return await _wait_out(self._pauses, self._alerts, self._read_once, self._store.spent)

    async def find(self, id_or_prefix: str) -> Job | None:
        """See `app.core.journal_port.JobHistory`."""
        entry = await self._read(self._store.find, id_or_prefix)
        return entry.job if entry else None

    async def jobs_of(self, owner: str, limit: int) -> Sequence[Job]:
        """See `app.core.journal_port.JobHistory`."""
        return await self._read(self._store.jobs_of, owner, limit)

    async def page_of(
        self, owner: str, limit: int, states: Collection[State] = (), *, key: int | None = None, newer: bool = False
    ) -> JobPage:
        """See `app.core.journal_port.JobHistory`."""
        names = sorted(state.name.lower() for state in states)
        return await self._read(self._store.page_of, owner, limit, names, key, newer)

    async def made_from(self, job: JobId, limit: int) -> Sequence[Job]:
        """See `app.core.journal_port.JobHistory`."""
        return await self._read(self._store.made_from, job, limit)

    async def transitions(self, job: str) -> Sequence[TransitionRow]:
        """The transitions of a job, in order."""
        return await self._read(self._store.transitions, job)

    async def requests(self) -> Sequence[OperatorRequest]:
        """See `app.core.journal_port.JobHistory`."""
        return await self._read(self._store.requests)

    async def done(self, request: OperatorRequest) -> None:
        """See `app.core.journal_port.JobHistory`.

        Waits as `record` does, because a request that is not deleted would be carried out twice.
        """
        await self._write_out(self._store.done, request)

    async def preferences(self, owner: str) -> Mapping[str, Mapping[str, Json]]:
        """See `app.core.journal_port.JobHistory`."""
        return await self._read(self._store.preferences, owner)

    async def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        """See `app.core.journal_port.JobHistory`."""
        await self._write_patiently(self._store.prefer, owner, workflow, values)

    async def keep_draft(self, draft: StoredDraft) -> None:
        """See `app.core.drafts.DraftRecords`."""
        await self._write_patiently(self._store.keep_draft, draft)

    async def draft(self, draft_id: str) -> StoredDraft | None:
        """See `app.core.drafts.DraftRecords`."""
        return await self._read(self._store.draft, draft_id)

    async def drop_draft(self, draft_id: str) -> None:
        """See `app.core.drafts.DraftRecords`."""
        await self._write_patiently(self._store.drop_draft, draft_id)

    async def say_once(self, notice: Notice, subject: str) -> bool:
        """See `app.core.journal_port.JobHistory`."""
        return await self._write_patiently(partial(self._store.say_once, notice, subject))

    async def gallery(
        self,
        query: GalleryQuery,
        audience: Audience,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int,
    ) -> Sequence[GalleryRow]:
        """See `app.core.gallery.GalleryRecords`."""
        return await self._read(self._store.gallery, query, audience, before, limit, after)

    async def gallery_row(self, job: JobId) -> GalleryRow | None:
        """See `app.core.gallery.GalleryRecords`."""
        return await self._read(self._store.gallery_row, job)

    async def shown_as(self, receipt: str) -> JobId | None:
        """See `app.core.gallery.GalleryRecords`."""
        return await self._read(self._store.shown_as, receipt)

    async def gallery_origins(self, audience: Audience, limit: int) -> Sequence[GalleryOrigin]:
        """See `app.core.gallery.GalleryRecords`."""
        return await self._read(self._store.gallery_origins, audience, limit)

    async def hide_from_gallery(self, job: JobId, *, everybody: bool = False) -> None:
        """See `app.core.gallery.GalleryRecords`."""

        def hide_from_gallery() -> None:
            self._store.hide_from_gallery(job, "everybody" if everybody else "others")

        await self._write_out(hide_from_gallery)

    async def fill_gallery(self, limit: int, is_public: Callable[[Job], bool]) -> bool:
        """See `app.core.gallery.GalleryRecords`."""
        backlog = await self._read(self._store.gallery_backlog, limit, is_public)
        if backlog is None:
            return False
        await self._write_patiently(self._store.add_to_gallery, backlog)
        if backlog.entries:
            self._grow()
        return True

    async def next_without_thumbnails(self) -> Unmade:
        """See `app.core.gallery.GalleryRecords`."""
        while True:
            grown = self._grown
            if (unmade := await self._read(self._store.without_thumbnails)) is not None:
                return unmade
            await grown.wait()

    async def try_thumbnails_again(self, job: JobId) -> None:
        """See `app.core.gallery.GalleryRecords`."""
        await self._write_patiently(self._store.try_thumbnails_again, job)
        self._grow()

    async def keep_dimensions(self, job: JobId, width: int, height: int) -> None:
        """See `app.core.gallery.GalleryRecords`."""
        await self._write_patiently(self._store.keep_dimensions, job, width, height)
        self._tried.set()
        self._tried = anyio.Event()

    async def thumbnails_tried(self, job: JobId) -> GalleryRow | None:
        """See `app.core.gallery.GalleryRecords`."""
        while True:
            tried = self._tried
            row = await self.gallery_row(job)
            if row is None or row.width is not None:
                return row
            await tried.wait()

    async def decisions(self) -> Decisions:
        """See `app.core.journal_port.JobHistory`."""
        return await _wait_out(self._pauses, self._alerts, self._read_once, self._store.decisions)

    async def decide(self, decision: Decision, person: str) -> None:
        """See `app.core.journal_port.JobHistory`."""
        await self._write_patiently(self._store.decide, decision, person)

    async def remove_jobs(self, before: float, position: int, limit: int) -> RemovedJobs:
        """See `app.core.journal_port.OldJobs`."""
        return await self._write_patiently(self._store.remove_jobs, before, position, limit)

    async def give_back(self, pages: int) -> bool:
        """See `app.core.journal_port.OldJobs`."""
        return await self._write_patiently(self._store.give_back, pages)

    def _grow(self) -> None:
        self._grown.set()
        self._grown = anyio.Event()

    async def _write_out(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Write, however long the journal cannot be used."""
        result = await _wait_out(self._pauses, self._alerts, self._write_once, function, *args)
        if self._publisher is not None:
            await _wait_out(publishing_pauses, self._alerts, self._publish)
        return result

    async def _write_patiently(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Write for one user. If it cannot be published, it may have been written nevertheless."""
        result = await self._patiently(self._write_once, function, *args)
        if self._publisher is not None:
            await self._patiently(self._publish)
        return result

    async def _write_once(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        if self._publisher is not None:
            self._publisher.check()
        async with self._writing:
            return await self._write_sync(function, *args)

    async def _publish(self) -> None:
        """Publish what was written and is not published yet, also by other processes."""
        publisher, outbox = self._publisher, self._store.outbox
        if publisher is None or outbox is None:
            return
        async with self._publishing:
            async with self._writing:
                batches = await self._write_sync(outbox.unpublished)
            if batches:
                await publisher.publish(batches)
                outbox.published(batches[-1].number)

    async def publish_regularly(self) -> None:
        """Publish what commands of the terminal write, until cancelled."""
        while True:
            await anyio.sleep(PUBLISHED_AGAIN)
            await _wait_out(publishing_pauses, self._alerts, self._publish)

    async def _read(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        return await self._patiently(self._read_once, function, *args)

    async def _read_once(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        async with self._reading:
            return await self._read_sync(function, *args)

    async def _patiently(self, function: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
        """Retry for as long as one user waits, then raise `JournalUnavailable`; raises any other error at once."""
        end = anyio.current_time() + PATIENCE
        for pause in self._pauses():
            try:
                return await function(*args)
            except JournalUnavailable:
                if anyio.current_time() + pause > end:
                    raise
            await anyio.sleep(pause)
        raise AssertionError("the pauses ended")


async def _wait_out(pauses: Pauses, alerts: Alerts, function: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
    """Call `function` until the journal can be used, however long its disk is full or another program holds it.

    Raises other errors at once. Each cause is logged once, and so is its end; a long wait alerts the operator.
    """
    logged = ""
    for pause in pauses():
        try:
            result = await function(*args)
        except JournalUnavailable as error:
            alerts.raised(WAITS, JournalWaits(str(error)), after=ALERT_AFTER)
            if (reason := str(error)) != logged:
                logger.error("the journal cannot be used; nothing is accepted until it can", reason=reason)
                logged = reason
            await anyio.sleep(pause)
        else:
            if logged:
                alerts.cleared(WAITS)
                logger.warning("the journal can be used again")
            return result
    raise AssertionError("the pauses ended")


@asynccontextmanager
async def open_journal(
    path: Path,
    *,
    run_sync: RunSync | None = None,
    clock: Callable[[], float] = time.time,
    durable: bool = True,
    crash: Crash | None = None,
    pauses: Pauses = retry_pauses,
    alerts: Alerts | None = None,
    publisher: Publisher | None = None,
) -> AsyncGenerator[SqliteJournal]:
    """Open the journal for this process alone, waiting while its disk is full. Raises `JournalError`.

    `run_sync` runs SQLite, by default in two threads of its own; if time is virtual, pass one that runs it directly.
    `clock` is in seconds since 1970, `crash` is where to crash, `pauses` are those between two attempts to write, and
    `alerts` is where the operator is alerted of a long wait. With a `publisher`, what is written is published
    for copies of the journal before the caller goes on.
    """
    alerts = alerts or no_alerts()
    with ExitStack() as opened:

        async def enter(block: Callable[[], AbstractContextManager[T]]) -> T:
            return opened.enter_context(block())

        await _wait_out(pauses, alerts, enter, partial(instance_lock, path))
        store = await _wait_out(
            pauses,
            alerts,
            enter,
            partial(open_store, path, clock=clock, durable=durable, busy=BUSY, replicated=publisher is not None),
        )
        write_sync, read_sync = (run_sync or _own_thread() for _ in range(2))
        # A journal whose commits need not reach the disk need not survive a full one.
        reserve = Reserve(path.with_name(f"{path.name}-reserve")) if durable else None
        journal = SqliteJournal(
            store,
            write_sync=write_sync,
            read_sync=read_sync,
            crash=crash,
            pauses=pauses,
            alerts=alerts,
            reserve=reserve,
            publisher=publisher,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.run, name="journal")
            if publisher is not None:
                tasks.start_soon(journal.publish_regularly, name="journal of other processes")
            try:
                yield journal
            finally:
                tasks.cancel_scope.cancel()


def _own_thread() -> RunSync:
    """Return a function that runs others in a worker thread that no other part of this program can occupy."""
    limiter = anyio.CapacityLimiter(1)

    async def run_sync(function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        return await to_thread.run_sync(function, *args, limiter=limiter)

    return run_sync
