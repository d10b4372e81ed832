"""The durable journal: each of its operations runs a function of the store, and waits as long as that needs."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from app.actors.alerts import Alerts, no_alerts
from app.backoff import Pauses
from app.core.drafts import StoredDraft
from app.core.gallery import Audience, GalleryOrigin, GalleryQuery, GalleryRow, Unmade
from app.core.jobs.cost import Run
from app.core.jobs.job import Job, OperatorRequest, State, Transition, TransitionRow
from app.core.journal_port import DrainedServer, JobPage, JournalError, Notice, RemovedJobs
from app.core.limits.moderation import Decision, Decisions
from app.core.limits.spending import Spent
from app.core.limits.usage import Use
from app.core.replication import Publisher
from app.core.scheduling.queue.fair_queue import NOTHING_SERVED, Served
from app.core.servers.power import OnPeriod, PowerRecord
from app.events import JobId
from app.journal.access import waiting
from app.journal.access.crash_points import Crash
from app.journal.access.group_commit import GroupCommit
from app.journal.access.reserve import Reserve
from app.journal.access.store_calls import StoreCalls, own_thread
from app.journal.access.waiting import retry_pauses
from app.journal.opening import instance_lock, open_store
from app.journal.store import Store
from app.ports import Json, RunSync

T = TypeVar("T")

BUSY = 0.1
"""Seconds that a call waits in its thread for another process that holds the journal.

The call cannot be cancelled meanwhile, so longer waits are pauses between calls.
"""


class SqliteJournal:
    """See `app.core.journal_port.JobHistory`."""

    def __init__(
        self, store: Store, calls: StoreCalls, *, crash: Crash | None = None, reserve: Reserve | None = None
    ) -> None:
        self._store = store
        self._calls = calls
        self.group_commit = GroupCommit(store, calls, self._grow, crash=crash, reserve=reserve)
        self.commits = self.group_commit.commits
        """Seconds that the commits of jobs took."""
        self._grown = anyio.Event()
        """Set once an entry was added to the gallery; replaced by another one then."""
        self._tried = anyio.Event()
        """The same for an entry whose thumbnails were tried."""

    @property
    def is_suspended(self) -> bool:
        """See `app.core.journal_port.Journal`."""
        return self._calls.is_suspended

    @property
    def problem(self) -> str:
        """Why jobs cannot be recorded now, as a sentence; "" if nothing is wrong."""
        return self.group_commit.problem

    async def record(
        self,
        jobs: Sequence[Job],
        transitions: Sequence[Transition],
        runs: Sequence[Run] = (),
        served: Served = NOTHING_SERVED,
    ) -> None:
        """See `app.core.journal_port.Journal`."""
        await self.group_commit.record(jobs, transitions, runs, served)

    async def check(self) -> str:
        """Why nothing can be recorded now, as a sentence; "" if a small write succeeds."""
        if not self.problem:
            try:
                await self._calls.write_once(self._store.check)
            except JournalError as error:
                return str(error)
        return self.problem

    async def client_id(self) -> str:
        """See `app.core.journal_port.JobHistory`."""
        return await self._calls.write_out(self._store.client_id)

    async def unfinished(self) -> Sequence[Job]:
        """See `app.core.journal_port.Journal`."""
        return await self._calls.read_out(self._store.unfinished)

    async def runs(self) -> Sequence[Run]:
        """See `app.core.journal_port.Journal`."""
        return await self._calls.read_out(self._store.runs)

    async def served(self) -> Served:
        """See `app.core.journal_port.Journal`."""
        return await self._calls.read_out(self._store.served)

    async def drained(self) -> Sequence[DrainedServer]:
        """See `app.core.journal_port.Journal`."""
        return await self._calls.read_out(self._store.drained)

    async def on_periods(self) -> Sequence[OnPeriod]:
        """See `app.core.journal_port.Journal`."""
        return await self._calls.read_out(self._store.on_periods)

    async def record_power(self, records: Sequence[PowerRecord]) -> None:
        """See `app.core.journal_port.Journal`."""
        await self._calls.write_out(self._store.record_power, records)

    async def uses(self) -> Sequence[Use]:
        """See `app.core.journal_port.Journal`."""
        return await self._calls.read_out(self._store.uses)

    async def spent(self) -> Sequence[Spent]:
        """See `app.core.journal_port.Journal`."""
        return await self._calls.read_out(self._store.spent)

    async def find(self, id_or_prefix: str) -> Job | None:
        """See `app.core.journal_port.JobHistory`."""
        entry = await self._calls.read_patiently(self._store.find, id_or_prefix)
        return entry.job if entry else None

    async def jobs_of(self, owner: str, limit: int) -> Sequence[Job]:
        """See `app.core.journal_port.JobHistory`."""
        return await self._calls.read_patiently(self._store.jobs_of, owner, limit)

    async def page_of(
        self, owner: str, limit: int, states: Collection[State] = (), *, key: int | None = None, newer: bool = False
    ) -> JobPage:
        """See `app.core.journal_port.JobHistory`."""
        names = sorted(state.name.lower() for state in states)
        return await self._calls.read_patiently(self._store.page_of, owner, limit, names, key, newer)

    async def made_from(self, job: JobId, limit: int) -> Sequence[Job]:
        """See `app.core.journal_port.JobHistory`."""
        return await self._calls.read_patiently(self._store.made_from, job, limit)

    async def transitions(self, job: str) -> Sequence[TransitionRow]:
        """The transitions of a job, in order."""
        return await self._calls.read_patiently(self._store.transitions, job)

    async def requests(self) -> Sequence[OperatorRequest]:
        """See `app.core.journal_port.JobHistory`."""
        return await self._calls.read_patiently(self._store.requests)

    async def done(self, request: OperatorRequest) -> None:
        """See `app.core.journal_port.JobHistory`.

        Waits as `record` does, because a request that is not deleted would be carried out twice.
        """
        await self._calls.write_out(self._store.done, request)

    async def preferences(self, owner: str) -> Mapping[str, Mapping[str, Json]]:
        """See `app.core.journal_port.JobHistory`."""
        return await self._calls.read_patiently(self._store.preferences, owner)

    async def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        """See `app.core.journal_port.JobHistory`."""
        await self._calls.write_patiently(self._store.prefer, owner, workflow, values)

    async def keep_draft(self, draft: StoredDraft) -> None:
        """See `app.core.drafts.DraftRecords`."""
        await self._calls.write_patiently(self._store.keep_draft, draft)

    async def draft(self, draft_id: str) -> StoredDraft | None:
        """See `app.core.drafts.DraftRecords`."""
        return await self._calls.read_patiently(self._store.draft, draft_id)

    async def drop_draft(self, draft_id: str) -> None:
        """See `app.core.drafts.DraftRecords`."""
        await self._calls.write_patiently(self._store.drop_draft, draft_id)

    async def say_once(self, notice: Notice, subject: str) -> bool:
        """See `app.core.journal_port.JobHistory`."""
        return await self._calls.write_patiently(partial(self._store.say_once, notice, subject))

    async def expect_late_edits(self, jobs: Sequence[JobId]) -> None:
        """See `app.core.journal_port.JobHistory`."""
        await self._calls.write_patiently(self._store.expect_late_edits, jobs)

    async def late_edits(self) -> Sequence[JobId]:
        """See `app.core.journal_port.JobHistory`."""
        return await self._calls.read_patiently(self._store.late_edits)

    async def expect_no_late_edit(self, job: JobId) -> None:
        """See `app.core.journal_port.JobHistory`."""
        await self._calls.write_patiently(self._store.expect_no_late_edit, job)

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
        return await self._calls.read_patiently(self._store.gallery, query, audience, before, limit, after)

    async def gallery_row(self, job: JobId) -> GalleryRow | None:
        """See `app.core.gallery.GalleryRecords`."""
        return await self._calls.read_patiently(self._store.gallery_row, job)

    async def shown_as(self, receipt: str) -> JobId | None:
        """See `app.core.gallery.GalleryRecords`."""
        return await self._calls.read_patiently(self._store.shown_as, receipt)

    async def gallery_origins(self, audience: Audience, limit: int) -> Sequence[GalleryOrigin]:
        """See `app.core.gallery.GalleryRecords`."""
        return await self._calls.read_patiently(self._store.gallery_origins, audience, limit)

    async def hide_from_gallery(self, job: JobId, *, everybody: bool = False) -> None:
        """See `app.core.gallery.GalleryRecords`."""

        def hide_from_gallery() -> None:
            self._store.hide_from_gallery(job, "everybody" if everybody else "others")

        await self._calls.write_out(hide_from_gallery)

    async def fill_gallery(self, limit: int, is_public: Callable[[Job], bool]) -> bool:
        """See `app.core.gallery.GalleryRecords`."""
        backlog = await self._calls.read_patiently(self._store.gallery_backlog, limit, is_public)
        if backlog is None:
            return False
        await self._calls.write_patiently(self._store.add_to_gallery, backlog)
        if backlog.entries:
            self._grow()
        return True

    async def next_without_thumbnails(self) -> Unmade:
        """See `app.core.gallery.GalleryRecords`."""
        while True:
            grown = self._grown
            if (unmade := await self._calls.read_patiently(self._store.without_thumbnails)) is not None:
                return unmade
            await grown.wait()

    async def try_thumbnails_again(self, job: JobId) -> None:
        """See `app.core.gallery.GalleryRecords`."""
        await self._calls.write_patiently(self._store.try_thumbnails_again, job)
        self._grow()

    async def keep_dimensions(self, job: JobId, width: int, height: int) -> None:
        """See `app.core.gallery.GalleryRecords`."""
        await self._calls.write_patiently(self._store.keep_dimensions, job, width, height)
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
        return await self._calls.read_out(self._store.decisions)

    async def decide(self, decision: Decision, person: str) -> None:
        """See `app.core.journal_port.JobHistory`."""
        await self._calls.write_patiently(self._store.decide, decision, person)

    async def remove_jobs(self, before: float, position: int, limit: int) -> RemovedJobs:
        """See `app.core.journal_port.OldJobs`."""
        return await self._calls.write_patiently(self._store.remove_jobs, before, position, limit)

    async def give_back(self, pages: int) -> bool:
        """See `app.core.journal_port.OldJobs`."""
        return await self._calls.write_patiently(self._store.give_back, pages)

    def _grow(self) -> None:
        self._grown.set()
        self._grown = anyio.Event()


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

        await waiting.wait_out(pauses, alerts, enter, partial(instance_lock, path))
        store = await waiting.wait_out(
            pauses,
            alerts,
            enter,
            partial(open_store, path, clock=clock, durable=durable, busy=BUSY, replicated=publisher is not None),
        )
        write_sync, read_sync = (run_sync or own_thread() for _ in range(2))
        # A journal whose commits need not reach the disk need not survive a full one.
        reserve = Reserve(path.with_name(f"{path.name}-reserve")) if durable else None
        calls = StoreCalls(
            write_sync=write_sync,
            read_sync=read_sync,
            pauses=pauses,
            alerts=alerts,
            publisher=publisher,
            outbox=store.outbox,
        )
        journal = SqliteJournal(store, calls, crash=crash, reserve=reserve)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.group_commit.run, name="journal")
            if publisher is not None:
                tasks.start_soon(calls.publish_regularly, name="journal of other processes")
            try:
                yield journal
            finally:
                tasks.cancel_scope.cancel()
