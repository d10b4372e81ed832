"""PromptRegistry: every job, where it stands, and who watches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import anyio
from anyio.abc import TaskGroup, TaskStatus

from app.actors.connection import Connection
from app.actors.effect_runner import Errands
from app.actors.handle import Cancel, Command, Delivered, Drain, Place, Registry, Submit, Updates, Watch
from app.backoff import Pauses, backoff
from app.boundary import report_failure
from app.core.effects import Answer, EffectFailed, Errand, Look, Looked, Redial, Tick, Unreachable
from app.core.job import Job, State
from app.core.job_table import Ledger
from app.core.journal_port import Journal, UnwritableRecords
from app.core.reconciler import Message, Truth
from app.core.scheduler import Dispatcher
from app.events import (
    LAST_WORDS,
    AnyUpdate,
    Failed,
    JobId,
    PromptId,
    ServerName,
)
from app.ports import Comfy, RunSync

INBOX = 256
"""Messages that may wait before their writers do: a few milliseconds of the busiest server's talk."""


class PromptRegistry:
    """Knows, decides and tells; whatever takes time is done by helpers, who answer into the inbox.

    One turn of the loop takes all that waits in the inbox, lets `Truth` and the ledger decide, writes what
    changed to the journal in one go, tells the watchers, and sends the helpers out. So nothing is told or
    done before it is remembered, and a flood of frames costs one turn.

    An exception that nobody expected fails the one job it belongs to, and the loop goes on. There are three such
    boundaries: `_take` around each message, `_do` around each effect, and `_adopt` around each job of the journal.
    """

    def __init__(
        self,
        comfies: Mapping[ServerName, Comfy],
        connections: Mapping[ServerName, Connection],
        journal: Journal,
        *,
        depth: int,
        mint: Callable[[], PromptId],
        run_sync: RunSync,
        pauses: Pauses = backoff,
    ) -> None:
        self._journal = journal
        self._ledger = Ledger()
        self._truth = Truth(self._ledger, comfies)
        self._dispatcher = Dispatcher(self._ledger, self._truth.machines, depth, mint)
        self._errands = Errands(comfies, connections, run_sync=run_sync, pauses=pauses)
        self._watchers: dict[JobId, list[Updates]] = {}
        self._arrivals: list[Watch] = []
        self._drains: list[Drain] = []
        self._rest = anyio.CancelScope()
        self._outbox, self._inbox = anyio.create_memory_object_stream[Command | Message](INBOX)

    async def run(self, *, task_status: TaskStatus[Registry] = anyio.TASK_STATUS_IGNORED) -> None:
        """Live. Adopts what the journal remembers before it takes anything new."""
        async with self._outbox, self._inbox, anyio.create_task_group() as helpers:
            for job in await self._journal.unfinished():
                self._adopt(job)
            helpers.start_soon(self._tick, name="tick")
            task_status.started(Registry(self._outbox))
            async for message in self._inbox:
                self._take(message)
                for _ in range(self._inbox.statistics().current_buffer_used):
                    self._take(self._inbox.receive_nowait())
                await self._act(helpers)

    def _adopt(self, job: Job) -> None:
        with self._ledger.contain(job, "a job of the journal could not be taken over"):
            self._truth.adopt(job, anyio.current_time())

    def _take(self, message: Command | Message) -> None:
        try:
            self._handle(message)
        except Exception as error:  # noqa: BLE001  the boundary of one message
            self._contain(message, report_failure(error, "a message broke", message=type(message).__name__))

    def _contain(self, message: Command | Message, reason: str) -> None:
        """End what a message belongs to, after it raised an exception half-way."""
        jobs = self._ledger.jobs
        match message:
            case Looked(errand=errand) | Unreachable(errand=errand):
                self._truth.look_failed(errand.server, reason, anyio.current_time())
                return
            case Submit(wish=wish, updates=updates):
                job = jobs.get(wish.job)
                if job is None:
                    updates.put(Failed(job=wish.job, reason=reason))
                    updates.end()
            case Watch(job=name) | Cancel(job=name) | Place(job=name) | Delivered(job=name):
                job = jobs.get(name)
            case Drain():
                job = None
            case _:
                job = self._truth.job_of(message)
        if job is not None:
            self._ledger.fail(job, reason)

    def _handle(self, message: Command | Message) -> None:
        now = anyio.current_time()
        match message:
            case Submit(wish=wish, place=place, updates=updates):
                self._watchers.setdefault(wish.job, []).append(updates)
                self._ledger.accept(wish, place)
            case Watch():
                self._arrivals.append(message)
            case Cancel(job=job):
                if (record := self._ledger.jobs.get(job)) is not None:
                    self._ledger.cancel(record)
            case Drain():
                self._dispatcher.open = False
                self._drains.append(message)
            case Place(job=job, place=place):
                if (record := self._ledger.jobs.get(job)) is not None:
                    self._ledger.place(record, place)
            case Delivered(job=job, receipt=receipt):
                if (record := self._ledger.jobs.get(job)) is not None:
                    self._ledger.delivered(record, receipt)
            case _:
                self._truth.hear(message, now)

    async def _act(self, helpers: TaskGroup) -> None:
        """Remember, tell, do: in this order."""
        ledger = self._ledger
        await self._record()
        for watch in self._arrivals:
            self._welcome(watch)
        self._arrivals.clear()
        for update in ledger.news:
            self._tell(update)
        ledger.news.clear()
        for errand in ledger.errands:
            helpers.start_soon(self._do, errand, name=type(errand).__name__)
        ledger.errands.clear()
        self._rest.deadline = self._truth.due()
        for drain in self._drains:
            left = [job for job in ledger.jobs.values() if job.state is not State.ACCEPTED]
            if all(job.last_word is not None for job in left):
                drain.ended.set()
            if not left:
                drain.told.set()

    async def _record(self) -> None:
        """Hand out places, and write down what changed; what cannot be written down fails, and frees its place."""
        ledger, stripped = self._ledger, set[JobId]()
        while True:
            self._dispatcher.plan(anyio.current_time())
            if not ledger.changed:
                return
            changed, ledger.changed = list(ledger.changed.values()), {}
            story, ledger.story = ledger.story, []
            try:
                await self._journal.record(changed, story)
            except UnwritableRecords as refused:
                for job in changed:
                    if (error := refused.jobs.get(job.id)) is not None:
                        reason = report_failure(error, "a job could not be recorded", job=job.id)
                        if job.id in stripped:
                            ledger.forget(job)
                        else:
                            stripped.add(job.id)
                            ledger.strip(job, reason)

    def _tell(self, update: AnyUpdate) -> None:
        watchers = self._watchers.get(update.job, [])
        for mailbox in tuple(watchers):
            if not mailbox.put(update):
                watchers.remove(mailbox)
        if isinstance(update, LAST_WORDS):
            for mailbox in self._watchers.pop(update.job, []):
                mailbox.end()

    def _welcome(self, watch: Watch) -> None:
        """Say where the job stands, to one who comes later; what is news in this turn is told with the rest."""
        job, updates = self._ledger.jobs.get(watch.job), watch.updates
        if job is None:
            updates.end()
        elif job.last_word is not None and job.last_word not in self._ledger.news:
            updates.put(job.last_word)
            updates.end()
        else:
            self._watchers.setdefault(watch.job, []).append(updates)
            try:
                for update in self._dispatcher.standing(job, anyio.current_time()):
                    updates.put(update)
            except Exception as error:  # noqa: BLE001  the job goes on, and its watcher hears what comes next
                report_failure(error, "where a job stands could not be told", job=job.id)

    async def _do(self, errand: Errand) -> None:
        try:
            answer = await self._errands.do(errand)
        except Exception as error:  # noqa: BLE001  the boundary of one effect
            answer = _effect_failed(errand, error)
        if answer is not None:
            await self._outbox.send(answer)

    async def _tick(self) -> None:
        """Say when time alone has changed something; each turn tells how long to rest."""
        while True:
            with self._rest:
                await anyio.sleep_forever()
            # Made before the registry takes the tick, whose turn sets its deadline.
            self._rest = anyio.CancelScope()
            await self._outbox.send(Tick())


def _effect_failed(errand: Errand, error: Exception) -> Answer | None:
    """What an unexpected exception means: the job of the effect fails; a server that it looked at is unreachable."""
    report = partial(report_failure, error, "an effect broke", effect=type(errand).__name__)
    match errand:
        case Look(server=server):
            return Unreachable(errand, report(server=server))
        case Redial(server=server):
            report(server=server)
            return None
        case _:
            return EffectFailed(errand, report(job=errand.job, prompt=errand.prompt))
