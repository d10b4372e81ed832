"""PromptRegistry: owns every job, its state and its watchers."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import anyio
import structlog
from anyio.abc import TaskGroup, TaskStatus

from app.actors import commands
from app.actors.alerts import Alerts, no_alerts
from app.actors.connection import Connection
from app.actors.effect_failures import result_of_failure
from app.actors.effect_runner import EffectRunner
from app.actors.handle import (
    Cancel,
    Command,
    Delivered,
    Drain,
    DrainServers,
    Edit,
    EditAnswer,
    Offer,
    Place,
    ReadUsage,
    Refresh,
    Registry,
    RemoveServer,
    SetPower,
    SetServer,
    Submit,
    Watch,
    WatchAll,
)
from app.actors.watchers import Watchers
from app.boundary import log_failure
from app.core.effects import (
    CommandEnded,
    DiscardFiles,
    Effect,
    ExpectServer,
    PromptRefused,
    PromptSubmitted,
    Reconnect,
    SaveImage,
    ServerQueried,
    SubmitUncertain,
    Tick,
    Unreachable,
)
from app.core.jobs import editing, loading
from app.core.jobs.job import Job, State
from app.core.jobs.table import JobTable
from app.core.journal_port import Journal, UnwritableRecords
from app.core.reconciler import Message, Reconciler
from app.core.scheduling.line.overview import Overview
from app.core.scheduling.power_plan import PowerPlan
from app.core.scheduling.scheduler import Scheduler
from app.core.servers.changes import ServerChanges
from app.core.servers.state import ServerSettings
from app.core.work import Work
from app.events import (
    Failed,
    JobId,
    NotAccepted,
    PromptId,
    ServerName,
)
from app.node_cache import NodeCache
from app.ports import Comfy, OtherDisks, RunSync
from app.reasons.jobs import InternalError

logger = structlog.stdlib.get_logger(__name__)

INBOX = 256
"""Messages that may wait before their senders do: a few milliseconds of frames from the busiest server."""

BROUGHT_WITHIN = 3.0
"""Seconds at the start within which results are copied that nobody has seen and only another disk has. The others are
fetched again."""


def new_prompt_id() -> PromptId:
    """A new prompt id, in the only form that every ComfyUI accepts."""
    return PromptId(str(uuid.uuid4()))


class PromptRegistry:
    """Owns the jobs and decides; anything that takes time runs in tasks of its own, whose results arrive in the inbox.

    One turn of the loop takes all messages that wait in the inbox, lets the reconciler and the job table decide, writes
    all changes to the journal at once, sends the updates, and starts the effects. So nothing is shown or done before it
    is recorded, and a burst of frames costs one turn.

    An unexpected exception fails the one job it belongs to, and the loop goes on. There are three such boundaries:
    `_take` around each message, `_do` around each effect, and `_adopt` around each job of the journal.

    `asked` says that somebody asks the servers what they can run, and offers that (`Registry.offer`).
    """

    def __init__(
        self,
        comfies: Mapping[ServerName, Comfy],
        nodes: Mapping[ServerName, NodeCache],
        connections: Mapping[ServerName, Connection],
        journal: Journal,
        *,
        depth: int,
        new_prompt_id: Callable[[], PromptId],
        run_sync: RunSync,
        settings: Mapping[ServerName, ServerSettings],
        wait_for_disk: bool = True,
        alerts: Alerts | None = None,
        run_command: commands.RunCommand = commands.run_command,
        asked: bool = False,
        others: OtherDisks | None = None,
    ) -> None:
        self._journal = journal
        self._run_sync = run_sync
        self._others = others
        self._alerts = alerts or no_alerts()
        self._job_table = JobTable()
        configured = {name: settings.get(name, ServerSettings()) for name in comfies}
        self._reconciler = Reconciler(self._job_table, configured, asked=asked)
        servers, able = self._reconciler.servers, self._reconciler.able
        self._server_changes = ServerChanges(self._job_table, servers, able)
        self._scheduler = Scheduler(self._job_table, servers, able, depth, new_prompt_id)
        self._power = PowerPlan(self._job_table, servers, self._scheduler.line)
        self._effects = EffectRunner(
            comfies,
            nodes,
            connections,
            run_sync=run_sync,
            wait_for_disk=wait_for_disk,
            run_command=run_command,
            others=others,
            is_suspended=lambda: journal.is_suspended,
        )
        self.work = Work(self._job_table.jobs, self._reconciler.servers, self._job_table.tally)
        self.overview = Overview(self._job_table, servers, self._scheduler.line)
        self._watchers = Watchers(self._job_table, self._scheduler.line)
        self._edits: list[tuple[Edit, EditAnswer]] = []
        """Edits of this turn, and their answers."""
        self._places: list[Place] = []
        """Where jobs are shown, as far as this turn changes that."""
        self._drains: list[Drain] = []
        self._removals: list[RemoveServer] = []
        self._busy: Counter[ServerName | None] = Counter()
        """How many effects are being carried out at each server."""
        self._rest = anyio.CancelScope()
        self._outbox, self._inbox = anyio.create_memory_object_stream[Command | Message](INBOX)

    async def run(self, *, task_status: TaskStatus[Registry] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled.

        Loads from the journal, before it takes any message: measured runs, drained servers, when servers were on,
        and unfinished jobs.
        """
        async with self._outbox, self._inbox, anyio.create_task_group() as helpers:
            # First, because what an unfinished job is charged for depends on them.
            self._scheduler.learn(await self._journal.runs())
            self._scheduler.restore(await self._journal.served())
            self._server_changes.drain([server.name for server in await self._journal.drained()])
            self._power.load(await self._journal.on_periods(), anyio.current_time())
            self._scheduler.admission.usage.spend(await self._journal.uses(), anyio.current_time())
            self._scheduler.admission.spending.load(await self._journal.spent(), anyio.current_time())
            unfinished = await self._journal.unfinished()
            # Before any of their jobs, which may end at once.
            self._job_table.batches.add(job.request for job in unfinished)
            results = [path for job in unfinished if not job.notified for path in job.paths]
            if self._others is not None:
                await self._others.bring(results, BROUGHT_WITHIN)
            loading.forget_absent(self._job_table, unfinished, await self._run_sync(_absent, results))
            if self._others is not None:
                loading.skip_names(unfinished)
            for job in unfinished:
                self._adopt(job)
            helpers.start_soon(self._tick, name="tick")
            task_status.started(Registry(self._outbox))
            async for message in self._inbox:
                self._take(message)
                for _ in range(self._inbox.statistics().current_buffer_used):
                    self._take(self._inbox.receive_nowait())
                await self._act(helpers)

    def _adopt(self, job: Job) -> None:
        with self._job_table.contain(job, "a job of the journal could not be taken over"):
            now = anyio.current_time()
            if job.terminal_update is None:
                self._job_table.tally.adopt(job, now, started=job.state >= State.RUNNING)
            # Before it may return to the queue.
            self._scheduler.restore_charge(job)
            self._reconciler.adopt(job, now)
            self._scheduler.admission.accepted(job)

    def _take(self, message: Command | Message) -> None:
        try:
            self._handle(message)
        except Exception as error:  # noqa: BLE001  the boundary of one message
            reason = InternalError(log_failure(error, "a message broke", message=type(message).__name__))
            self._contain(message, reason)

    def _contain(self, message: Command | Message, reason: InternalError) -> None:
        """Fail the job or query that a message belongs to, after handling the message raised an exception."""
        jobs = self._job_table.jobs
        match message:
            case ServerQueried(effect=effect) | Unreachable(effect=effect):
                self._reconciler.query_failed(effect.server, reason, anyio.current_time())
                return
            case Submit(request=request, updates=updates):
                job = jobs.get(request.job)
                if job is None:
                    updates.put(Failed(job=request.job, reason=reason))
                    updates.end()
            case Edit(job=name):
                job = jobs.get(name)
                self._edits.append((message, EditAnswer(done=False)))
            case Watch(job=name) | Refresh(job=name) | Cancel(job=name) | Place(job=name) | Delivered(job=name):
                job = jobs.get(name)
            case WatchAll() | Drain() | DrainServers() | SetServer() | RemoveServer() | Offer() | SetPower():
                job = None
            case ReadUsage(ready=ready):
                ready.set()
                return
            case PromptSubmitted(effect=effect) | PromptRefused(effect=effect) | SubmitUncertain(effect=effect):
                if (job := jobs.get(effect.job)) is not None:
                    # The POST is over, even if its answer could not be handled.
                    job.posted(effect.prompt)
            case _:
                job = self._reconciler.job_of(message)
        if job is not None:
            self._job_table.fail(job, reason)

    def _handle(self, message: Command | Message) -> None:
        now = anyio.current_time()
        match message:
            case Submit(request=request, place=place, updates=updates):
                if (refusal := self._scheduler.admission.refusal(request, now)) is not None:
                    updates.put(NotAccepted(job=request.job, reason=refusal))
                    updates.end()
                    return
                self._watchers.add(request.job, updates)
                self._reconciler.accept(request, place)
                # At once: the next request of this turn must see it.
                for job in self._job_table.batches.jobs_of(self._job_table.jobs[request.job]):
                    self._scheduler.admission.accepted(job)
                    self._job_table.tally.accept(job.id, request.workflow, now, makes=request.refetch is None)
                self._watchers.refresh(request.job)
            case Watch():
                self._watchers.join(message)
            case WatchAll(updates=updates):
                self._watchers.add_to_all(updates)
            case Refresh(job=job):
                self._watchers.refresh(job)
            case Cancel(job=job):
                if (record := self._job_table.jobs.get(job)) is not None:
                    self._job_table.cancel(record, now)
            case ReadUsage():
                message.used.extend(self._scheduler.admission.usage.used(message.origin, message.allowances, now))
                message.spent.extend(
                    self._scheduler.admission.spending.used(message.budget, message.origin.person, now)
                )
                message.ready.set()
            case Edit():
                self._edits.append((message, self._edit(message, now)))
            case Drain():
                self._scheduler.line.open = False
                self._drains.append(message)
            case DrainServers(servers=servers):
                self._server_changes.drain(servers)
            case SetPower(server=server, on=on):
                self._power.request(server, on=on)
            case CommandEnded():
                self._power.ended(message, now)
            case SetServer(server=server, settings=settings):
                self._server_changes.configure(server, settings)
            case RemoveServer(server=server):
                self._server_changes.remove(server)
                self._removals.append(message)
            case Offer(able=able):
                self._server_changes.offer(able)
                self._reconciler.fail_over(now)
            case Place(job=job, place=place):
                self._places.append(message)
                if (record := self._job_table.jobs.get(job)) is not None:
                    self._job_table.place(record, place)
            case Delivered(job=job, receipt=receipt, shown=shown):
                if (record := self._job_table.jobs.get(job)) is not None:
                    self._job_table.delivered(record, receipt, shown)
                    if record.notified:
                        self._watchers.end(job)
            case _:
                self._reconciler.handle(message, now)

    def _edit(self, edit: Edit, now: float) -> EditAnswer:
        """Edit a job that waits, unless it would exceed a limit."""
        job = self._job_table.jobs.get(edit.job)
        if job is None or not editing.waits(self._job_table, job):
            return EditAnswer(done=False)
        if (limit := self._scheduler.admission.edit_refusal(job, edit.request, now)) is not None:
            return EditAnswer(done=False, limit=limit)
        editing.edit(self._job_table, job, edit.request)
        # At once: the next request of this turn must see it.
        self._scheduler.admission.edited(job)
        for each in self._job_table.batches.jobs_of(job):
            # An edited batch may have more pictures.
            self._job_table.tally.accept(each.id, each.request.workflow, now)
        return EditAnswer(done=True)

    async def _act(self, helpers: TaskGroup) -> None:
        """Write to the journal, send updates, start effects: in this order."""
        job_table = self._job_table
        self._server_changes.vacate(anyio.current_time())
        await self._record()
        for place in self._places:
            place.recorded.set()
        self._places.clear()
        if records := self._power.take_records():
            await self._journal.record_power(records)
        for edit, answer in self._edits:
            edit.answer.put(answer)
        self._edits.clear()
        self._watchers.send(anyio.current_time())
        for fact in job_table.alerts:
            self._alerts.put(fact)
        job_table.alerts.clear()
        self._reconciler.start_downloads(anyio.current_time())
        for effect in job_table.effects:
            self._busy[_server_of(effect)] += 1
            helpers.start_soon(self._do, effect, name=type(effect).__name__)
        job_table.effects.clear()
        # After what people and servers wait for: it writes a line of the log.
        self._count_endings()
        self._rest.deadline = min(self._reconciler.due(), self._power.due(anyio.current_time()))
        for drain in self._drains:
            left = [job for job in job_table.jobs.values() if job.state is not State.ACCEPTED and not job.notified]
            if all(job.terminal_update is not None for job in left):
                drain.ended.set()
            if not left:
                drain.shown.set()
        for removal in list(self._removals):
            if self._server_changes.vacant(removal.server) and not self._busy[removal.server]:
                self._server_changes.forget(removal.server)
                self._removals.remove(removal)
                removal.removed.set()

    async def _record(self) -> None:
        """Assign waiting jobs to servers and record all changes.

        A job that cannot be encoded fails, which frees its slot, so this repeats until everything is recorded.
        """
        job_table, stripped = self._job_table, set[JobId]()
        while True:
            self._plan(anyio.current_time())
            if not job_table.changed and not job_table.runs:
                return
            changed, job_table.changed = list(job_table.changed.values()), {}
            transitions, job_table.transitions = job_table.transitions, []
            runs, job_table.runs = job_table.runs, []
            try:
                await self._journal.record(changed, transitions, runs, self._scheduler.served())
            except UnwritableRecords as refused:
                for job in changed:
                    if (error := refused.jobs.get(job.id)) is not None:
                        reason = InternalError(log_failure(error, "a job could not be recorded", job=job.id))
                        if job.id in stripped:
                            job_table.forget(job)
                        else:
                            stripped.add(job.id)
                            job_table.strip(job, reason)

    def _plan(self, now: float) -> None:
        """Assign waiting jobs to servers that are on, then decide which others are to be started or stopped."""
        self._power.observe(now)
        self._scheduler.plan(now)
        if self._power.decide(now):
            # What waiting jobs wait for has changed.
            self._scheduler.plan(now)

    def _count_endings(self) -> None:
        """Log and count the jobs that have ended and are recorded; nothing in the log says whose they are."""
        for job, terminal_update in self._job_table.endings.values():
            if (ending := self._job_table.tally.end(job, type(terminal_update).__name__.lower())) is not None:
                logger.info(
                    "a job has ended",
                    job=job.id,
                    workflow=ending.workflow,
                    server=job.attempt.server if job.attempt is not None else None,
                    outcome=ending.outcome,
                    seconds=round(ending.seconds, 1),
                )
        self._job_table.endings.clear()

    async def _do(self, effect: Effect) -> None:
        try:
            answer = await self._effects.do(effect)
        except Exception as error:  # noqa: BLE001  the boundary of one effect
            answer = result_of_failure(effect, error)
        # Before the answer is sent, because its turn is the last one that looks whether a server is idle.
        self._busy[_server_of(effect)] -= 1
        if answer is not None:
            await self._outbox.send(answer)

    async def _tick(self) -> None:
        """Send a `Tick` when time alone requires action; each turn sets the deadline."""
        while True:
            with self._rest:
                await anyio.sleep_forever()
            # Created before the registry handles the tick, because that turn sets its deadline.
            self._rest = anyio.CancelScope()
            await self._outbox.send(Tick())


def _server_of(effect: Effect) -> ServerName | None:
    """The server that an effect asks for something; None if it asks none."""
    return None if isinstance(effect, (SaveImage, DiscardFiles, Reconnect, ExpectServer)) else effect.server


def _absent(paths: Sequence[str]) -> frozenset[str]:
    """Those of these files that are not on our disk."""
    return frozenset(path for path in paths if not Path(path).is_file())
