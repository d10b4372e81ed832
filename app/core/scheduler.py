"""Assigns waiting jobs to servers, and says where each job is in line and when it is expected to start."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from app.core.able_servers import AbleServers, Offered
from app.core.accounting import Accounting, Charge
from app.core.alerts import Cause, Cleared, Raised
from app.core.batches import requests_of
from app.core.cost import Estimates, Run, models_of, work_of
from app.core.fair_queue import EVERYWHERE, NOWHERE, Choice, Crowd, FairQueue, QueuedJob, Served
from app.core.forecast import MOST_DECISIONS, Forecast, ServerOutlook, forecast
from app.core.job import Attempt, Job, JobRequest, State
from app.core.job_table import JobTable
from app.core.limits import Origin, Usage, Use
from app.core.memory_limits import MemoryLimits
from app.core.places import Places
from app.core.results import failure
from app.core.server_state import ServerState
from app.core.spending import Spending
from app.events import AnyUpdate, JobId, PromptId, Queued, ServerName, Started
from app.reasons.alerts import ServerFails
from app.reasons.jobs import (
    HoursUsedUp,
    JobReason,
    NoRoom,
    OutOfMemory,
    SentAgain,
    ServersDrained,
    ServersOff,
    ServersOffline,
    ServersStarting,
)
from app.reasons.limits import JobsReached, LimitReason, Whom

PER_WAITING_JOB = 0.01
"""Seconds that a forecast counts as current, for each waiting job: it takes about a five-hundredth of that to make."""

STEADY, STEADY_SHARE = 2.0, 0.1
"""Seconds, and the share of the time until then, by which an expected start may move before it is reported anew."""

LONGEST_CURRENT = 5.0
"""Seconds after which every forecast is made anew when somebody asks."""

NEARLY_DONE = 0.1
"""The share of the expected seconds that a run still needs at least: one that takes longer than expected is not done at
once. `python -m bench starts` has the most right starts with it."""

SHORT_LINE = 20
"""Waiting jobs up to which the forecast is always exact: it takes less than a millisecond then."""

TIMELESS = ServersOffline, ServersDrained, ServersOff, HoursUsedUp, NoRoom
"""Reasons for which nobody knows when a job starts."""


class _Known(Struct, frozen=True):
    """What is computed once for each request: its place in the order of acceptance, and what its graph says."""

    request: JobRequest
    number: int
    models: str
    work: float


class _Promise(Struct):
    """The first expected start that a person was told: when, and how many jobs had been accepted by then."""

    at: float
    starts_in: float
    accepted: int
    overtaken: bool = False


class _Sent(Struct, frozen=True):
    """An update, and when it was sent."""

    update: Queued
    at: float


class Scheduler:
    """Gives each server one job to run and at most one to wait there; the other jobs wait here.

    A server that runs nothing gets a job whenever one can run there, in the order of the servers' weights; one that is
    drained gets none. The waiting place only hides the moment between
    two jobs, so it is for a job with the same models that no other server would finish sooner; with a `depth` of 1 it
    stays empty. A server where jobs fail in a row, or whose memory was not enough for a job, only gets what no other
    server that can be reached is able to run. `new_prompt_id` creates prompt ids.
    """

    def __init__(
        self,
        job_table: JobTable,
        servers: Mapping[ServerName, ServerState],
        able: AbleServers,
        depth: int,
        new_prompt_id: Callable[[], PromptId],
    ) -> None:
        self._job_table = job_table
        self._servers = servers
        self._able = able
        self._places = Places(job_table, servers, depth, self._remaining_at)
        self._new_prompt_id = new_prompt_id
        self._queue = FairQueue()
        self._estimates = Estimates()
        self._accounting = Accounting(self._queue, self._estimates)
        self.usage = Usage()
        self.spending = Spending()
        self._memory_limits = MemoryLimits()
        self._spared: frozenset[ServerName] = frozenset()
        """Servers that rest, or run the one job that probes whether they work again."""
        self._known: dict[JobId, _Known] = {}
        self._accepted = 0
        self._newest_dispatched = 0
        """The highest number of a job that was dispatched, in the order of acceptance."""
        self._promises: dict[JobId, _Promise] = {}
        self._queued_updates: dict[JobId, _Sent] = {}
        """The last update of each job that is not running."""
        self._closed: frozenset[tuple[ServerName, bool, str]] = frozenset()
        """The servers that are drained, off or cannot be reached, and which of it they are."""
        self._rights: dict[ServerName, tuple[frozenset[str] | None, bool]] = {}
        """The servers that stay configured, and which workflows they may run, when the queue was last adapted."""
        self._offered: Offered | None = None
        """What the servers could run then."""
        self._forecast = Forecast({}, [0.0])
        self._crowd: Crowd = []
        self._at_servers = 0
        """How many prompts the servers had when the forecast was made."""
        self._forecast_until = float("-inf")
        self._turn = self._forecast_turn = 0
        self._no_room = False
        """Whether results wait for room on our disk: until then nothing is submitted."""
        self._had_no_room = False
        """The same when people were last told why their jobs wait."""
        self.open = True
        """Whether waiting jobs are submitted; if False, only jobs that servers already have continue."""

    def learn(self, runs: Iterable[Run]) -> None:
        """Take runs into account that were measured before this process began."""
        for run in runs:
            self._estimates.learn(run)

    def restore(self, served: Served) -> None:
        """Take over what people were served before this process began, before any job."""
        self._queue.restore(served)

    def served(self) -> Served:
        """What people were served, as far as it changed since the last call."""
        return self._queue.changes()

    def restore_charge(self, job: Job) -> None:
        """Remember what the person of a job of the journal was charged for its attempt, if a server may have it."""
        if (attempt := job.attempt) is not None and job.in_flight and job.terminal_update is None:
            self._accounting.restored(job.id, self._charge(job, attempt))

    def refusal(self, request: JobRequest, now: float) -> LimitReason | None:
        """Why a request is not accepted: the limit that it would exceed; None if there is none."""
        if request.job in self._job_table.jobs:
            return None
        requests = requests_of(request)
        if (over_budget := self._over_budget(request, requests, now)) is not None or not request.allowances:
            return over_budget
        seconds = sum(self._expected_use(each, work_of(each.graph)) for each in requests)
        reason = self.usage.refusal(request.origin, request.allowances, seconds, now)
        if isinstance(reason, JobsReached):
            return replace(reason, free_in=self._next_end(request, reason.whom, now))
        return reason

    def edit_refusal(self, job: Job, request: JobRequest, now: float) -> LimitReason | None:
        """Why a job that waits may not become this request: the limit that it would exceed; None if there is none.

        The limits are those under which the job was accepted. Pictures that it would have more must be paid for.
        """
        requests, jobs = requests_of(request), self._job_table.batches.jobs_of(job)
        if (over_budget := self._over_budget(request, requests[len(jobs) :], now)) is not None:
            return over_budget
        seconds = sum(self._expected_use(each, work_of(each.graph)) for each in requests)
        ids = [each.id for each in jobs]
        return self.usage.edit_refusal(ids, job.request.origin, job.request.allowances, seconds, now)

    def _over_budget(self, request: JobRequest, requests: Iterable[JobRequest], now: float) -> LimitReason | None:
        if request.payment is None or not (needed := sum(each.price for each in requests)):
            return None
        return self.spending.refusal(request.payment, request.owner, needed, now)

    def edited(self, job: Job) -> None:
        """Reserve what a job, or each of a batch, is expected to run and costs now that it was edited."""
        for each in self._job_table.batches.jobs_of(job):
            request = each.request
            self.spending.reserve(each.id, request.owner, request.price)
            seconds = self._expected_use(request, work_of(request.graph))
            self.usage.accept(each.id, request.origin, seconds, counts=not request.lead)
            self.usage.edited(each.id, request.origin, seconds)

    def accepted(self, job: Job) -> None:
        """Count a job that was accepted, now or before the bot started, until it has ended.

        A batch counts as one job.
        """
        if job.terminal_update is None and job.id in self._job_table.jobs:
            self.spending.reserve(job.id, job.request.owner, job.request.price)
            seconds = self._expected_use(job.request, self._known_of(job).work)
            self.usage.accept(job.id, job.request.origin, seconds, counts=not job.request.lead)

    def plan(self, now: float) -> None:
        """Assign waiting jobs to servers, and report where jobs are in line; called after each batch of messages.

        Only jobs that changed are reported. The others' places change with almost every job that ends, so these are
        computed when somebody asks, by `refresh`.
        """
        if self._no_room != (no_room := self._job_table.downloads.waits_for_room):
            self._no_room = no_room
            self._job_table.touch_server(*self._servers)
        rests_over = [name for name, server_state in self._servers.items() if server_state.rest.over(now)]
        if not self._job_table.touched and not self._job_table.touched_servers and not rests_over:
            return
        self._turn += 1
        touched = self._take_touched(now)
        changed = self._requeue()
        self._dispatch(now)
        # Dispatched jobs are touched, too.
        touched |= self._take_touched(now)
        # A server that was given a job is looked at again when its POST was answered.
        self._job_table.touched_servers.clear()
        closed = frozenset(
            (name, server_state.drained, server_state.power.phase if server_state.power is not None else "")
            for name, server_state in self._servers.items()
            if server_state.away or server_state.drained or server_state.off
        )
        if closed != self._closed or changed or self._no_room != self._had_no_room:
            self._closed, self._had_no_room = closed, self._no_room
            touched |= {job: self._job_table.jobs[job] for job in self._queued_updates if job in self._job_table.jobs}
        for job in touched.values():
            # Nobody was told where a new job is in line; who watches it from now on gets a snapshot.
            is_new = job.state is State.ACCEPTED and job.id not in self._queued_updates and not job.tries
            if not is_new and (update := self._refresh(job, now)) is not None:
                self._job_table.tell(job, update)

    def refresh(self, job: Job, now: float) -> None:
        """Tell the watchers of a job that is not running where it is in line now, if that has changed."""
        waiting = self._job_table.batches.first_waiting(job)
        if waiting is not None and (update := self._refresh(waiting, now)) is not None:
            self._job_table.tell(waiting, update)

    def _refresh(self, job: Job, now: float) -> Queued | None:
        if job.state >= State.RUNNING or job.terminal_update is not None or job.id not in self._job_table.jobs:
            self._queued_updates.pop(job.id, None)
            return None
        update = self._queued_update(job, now)
        if (last := self._queued_updates.get(job.id)) is not None and _says_the_same(last, update, now):
            return None
        if update.starts_in is not None and job.attempt is None and job.id not in self._promises:
            self._promises[job.id] = _Promise(now, update.starts_in, self._accepted)
        self._queued_updates[job.id] = _Sent(update, now)
        return update

    def snapshot(self, job: Job, now: float) -> list[AnyUpdate]:
        """The updates that bring a new watcher of an unfinished job, or of a batch, up to date."""
        batches = self._job_table.batches
        if batches.lead_of(job) is not job:
            return self._snapshot(job, now)
        arrived = batches.arrived(job)
        updates: list[AnyUpdate] = [arrived] if arrived.files else []
        if (waiting := batches.first_waiting(job)) is not None:
            updates += [replace(update, job=job.id) for update in self._snapshot(waiting, now)]
        elif (progress := batches.progress(job)) is not None:
            updates.append(progress)
        return updates

    def _snapshot(self, job: Job, now: float) -> list[AnyUpdate]:
        if (update := self._refresh(job, now)) is not None:
            return [update]
        if (queued := self._queued_updates.get(job.id)) is not None:
            return [queued.update]
        if (tracker := self._job_table.trackers.get(job.id)) is not None and job.attempt is not None:
            note = self._servers[job.attempt.server].offline_note
            return [Started(job=job.id, server=job.attempt.server), tracker.read(now, note)]
        return []

    def _take_touched(self, now: float) -> dict[JobId, Job]:
        """Bring the queue and the accounts up to date with the job table; returns the jobs that changed."""
        touched, self._job_table.touched = self._job_table.touched, {}
        for job in touched.values():
            waits = job.state is State.ACCEPTED and job.terminal_update is None and job.id in self._job_table.jobs
            if waits:
                self._job_table.started.pop(job.id, None)
                self._accounting.returned(job.id)
                if job.tries:
                    self._promises.pop(job.id, None)
                if job.id not in self._queue:
                    self._queue.add(self._queued(job))
                elif self._known[job.id].request is not job.request:
                    self._promises.pop(job.id, None)
                    self._queue.replace(self._queued(job))
                continue
            self._queue.remove(job.id)
            if job.in_flight and job.terminal_update is None:
                if job.attempt is not None and not self._accounting.charged(job.id):
                    self._accounting.continued(job.id, self._charge(job, job.attempt))
                continue
            if self._accounting.charged(job.id):
                self._learn_outcome(job, now)
            started, expected = self._job_table.started.pop(job.id, None), self._accounting.expected(job.id)
            run, promise = self._accounting.over(job, started, now), self._promises.pop(job.id, None)
            if run is not None and started is not None and promise is not None:
                run = replace(
                    run,
                    waited=max(0.0, started - promise.at),
                    expected_wait=promise.starts_in,
                    overtaken=promise.overtaken,
                )
            if run is not None:
                self._job_table.runs.append(run)
                self._job_table.tally.run(run, expected)
                self.usage.spend([Use(Origin(run.person, run.guild, run.channel), run.seconds)], now)
            self.usage.server_done(job.id, job.request.origin)
            if job.terminal_update is not None or job.id not in self._job_table.jobs:
                self.usage.ended(job.id, job.request.origin)
                self.spending.settle(job.id, job.spent, now)
            self._known.pop(job.id, None)
        return touched

    def _requeue(self) -> bool:
        """Queue waiting jobs anew that can run on other servers than before; return whether this may have changed."""
        rights = {name: (state.workflows, state.pays) for name, state in self._servers.items() if not state.leaving}
        if rights == self._rights and self._able.offered is self._offered:
            return False
        self._rights, self._offered = rights, self._able.offered
        for queued in list(self._queue.waiting()):
            renewed = self._queued(self._job_table.jobs[queued.job])
            if renewed.servers != queued.servers:
                self._queue.replace(renewed)
        return True

    def _learn_outcome(self, job: Job, now: float) -> None:
        """Learn about a server from how it ended a job."""
        request, history, attempt = job.request, job.history, job.attempt
        if history is None or attempt is None or job.cancelling or attempt.server not in self._servers:
            return
        server, work, workflow = attempt.server, self._known_of(job).work, request.workflow
        rest, cause = self._servers[server].rest, Cause("failures", server)
        if history.outcome == "failed":
            if isinstance(failure(request.graph, history), OutOfMemory):
                self._memory_limits.exhausted(workflow, server, work)
            if rest.failed(request.owner, workflow, now):
                self._job_table.alerts.append(Raised(cause, ServerFails(server)))
        elif history.outcome == "success" and not history.cached >= request.graph.keys():
            # A server that only repeats what it knows may still fail everything else.
            self._memory_limits.succeeded(workflow, server, work)
            if rest.succeeded():
                self._job_table.alerts.append(Cleared(cause))

    def _known_of(self, job: Job) -> _Known:
        known, request = self._known.get(job.id), job.request
        if known is None or known.request is not request:
            if known is None:
                self._accepted += 1
            # A job that was edited keeps its place.
            number = self._accepted if known is None else known.number
            known = _Known(request, number, models_of(request.graph, request.choices), work_of(request.graph))
            self._known[job.id] = known
        return known

    def _expected(self, job: Job, server: ServerName) -> float:
        """How many seconds a server is expected to run a job, without loading its models."""
        request = job.request
        return self._estimates.seconds(request.workflow, self._known_of(job).work, request.cost, server)

    def _expected_use(self, request: JobRequest, work: float) -> float:
        """How many seconds some server is expected to run a request; none if it only downloads results."""
        return self._estimates.seconds(request.workflow, work, request.cost) if request.refetch is None else 0.0

    def _next_end(self, request: JobRequest, whom: Whom, now: float) -> float | None:
        """In how many seconds one of the unfinished jobs that count for a request is expected to end.

        None if that is not known: no run was measured, or no server takes jobs.
        """
        if not self._estimates.knows_any or not self.open:
            return None
        ends: list[float] = []
        account = request.origin.account(whom)
        for name in self._servers:
            end = 0.0
            for job, _ in self._job_table.in_flight(name):
                end += self._remaining(job, name, now)
                if job.request.origin.account(whom) == account:
                    ends.append(end)
                    break
        waiting = self._queue.first_of(request.owner)
        if ends or waiting is None or not any(state.takes_jobs for state in self._servers.values()):
            return min(ends, default=None)
        job = self._job_table.jobs[waiting]
        if job.request.origin.account(whom) != account:
            return None
        self._renew_forecast(now)
        outlook = self._forecast.of(waiting, lambda: self._queue.ahead_of(waiting, self._crowd))
        return outlook.starts_in + self._expected_use(job.request, self._known_of(job).work)

    def _charge(self, job: Job, attempt: Attempt) -> Charge:
        return Charge(
            person=job.request.owner,
            weight=job.request.weight,
            seconds=self._expected(job, attempt.server) if attempt.expected is None else attempt.expected,
            server=attempt.server,
            work=self._known_of(job).work,
            loading=attempt.loading,
        )

    def _queued(self, job: Job) -> QueuedJob:
        known, request, able = self._known_of(job), job.request, self._able.of(job.request)
        staying = sum(not server_state.leaving for server_state in self._servers.values())
        return QueuedJob(
            job=job.id,
            number=known.number,
            person=request.owner,
            servers=EVERYWHERE if able and len(able) == staying else frozenset(able) or NOWHERE,
            models=known.models,
            seconds=self._estimates.seconds(request.workflow, known.work, request.cost),
            weight=request.weight,
            batch=request.lead or (job.id if request.batch is not None else ""),
        )

    def _dispatch(self, now: float) -> None:
        self._places.look(now)
        self._spare()
        idle = sorted(self._places.idle(), key=lambda name: -self._servers[name].weight)
        if self.open and not self._no_room and len(self._queue):
            # A probe may cost its person a failure, so it is only sent if no other server is free.
            self._fill_idle([name for name in idle if not self._servers[name].rest.in_trouble], now)
            self._fill_idle([name for name in idle if self._servers[name].rest.in_trouble], now)
            self._fill_waiting_places(now)

    def _spare(self) -> None:
        """Determine which servers are to be spared for now."""
        self._spared = frozenset(
            name
            for name, server_state in self._servers.items()
            if server_state.rest.in_trouble
            and (server_state.rest.resting or any(True for _ in self._job_table.occupying(name)))
        )
        self._queue.admit(self._may_take if self._spared or self._memory_limits else None)

    def _may_take(self, queued: QueuedJob, server: ServerName) -> bool:
        """Whether a server that can run a job may take it, because it suits the job or no other one does."""
        return self._suits(queued, server) or not any(
            self._suits(queued, other)
            for other, server_state in self._servers.items()
            if server_state.takes_jobs and queued.runs_on(other)
        )

    def _suits(self, queued: QueuedJob, server: ServerName) -> bool:
        job = self._job_table.jobs[queued.job]
        return server not in self._spared and self._memory_limits.fits(
            job.request.workflow, server, self._known_of(job).work
        )

    def _fill_idle(self, idle: list[ServerName], now: float) -> None:
        """Give a job to each server that runs nothing: by weight, and then first where its models are loaded.

        `idle` is sorted, the greatest weight first.
        """
        for _, names in groupby(idle, key=lambda name: self._servers[name].weight):
            self._fill_equal(names, now)

    def _fill_equal(self, idle: Iterable[ServerName], now: float) -> None:
        """Give a job to each of these servers, which run nothing and have the same weight."""
        cold: list[ServerName] = []
        for name in idle:
            choice = self._queue.next(name, self._servers[name].models)
            if choice is not None and choice.loaded:
                self._submit(name, choice, now)
            elif choice is not None:
                cold.append(name)
        # Nobody who may be served now waits for the models that these have, so the emptiest loses least.
        for name in sorted(cold, key=lambda name: self._servers[name].models != ""):
            if (choice := self._queue.next(name, self._servers[name].models)) is not None:
                self._submit(name, choice, now)

    def _fill_waiting_places(self, now: float) -> None:
        for name in self._places.waiting_places(now):
            queued = self._queue.next_loaded(name, self._servers[name].models)
            # What a server may have begun is not sent again, so nothing that costs money waits at one.
            if queued is None or self._job_table.jobs[queued.job].request.price:
                continue
            if not self._ends_sooner_elsewhere(queued, name, now):
                self._submit(name, Choice(queued, loaded=True), now)

    def _ends_sooner_elsewhere(self, queued: QueuedJob, server: ServerName, now: float) -> bool:
        """Whether another server is expected to be done with a job before this one."""
        job, places = self._job_table.jobs[queued.job], self._places
        ends_in = places.free_in(server, now) + self._expected(job, server)
        return any(
            self._queue.may_take(queued, other) and free_in + self._expected(job, other) < ends_in
            for other in places.taking_jobs()
            if (free_in := places.free_in(other, now)) < ends_in and other != server
        )

    def _submit(self, server: ServerName, choice: Choice, now: float) -> None:
        server_state, job = self._servers[server], self._job_table.jobs[choice.job.job]
        attempt = Attempt(
            self._new_prompt_id(),
            server,
            foreign=server_state.foreign,
            expected=self._expected(job, server),
            loading=not choice.loaded,
        )
        self._accounting.dispatched(choice.job, self._charge(job, attempt))
        self._job_table.tally.model_loads[server] += not choice.loaded
        if (promise := self._promises.get(job.id)) is not None:
            promise.overtaken = self._newest_dispatched > promise.accepted
        self._newest_dispatched = max(self._newest_dispatched, choice.job.number)
        server_state.posted = now
        server_state.models = choice.job.models or server_state.models
        self._job_table.submit(job, attempt)
        self._places.taken(server, now)

    def _free_in(self, server: ServerName, now: float) -> float:
        """In how many seconds a server is expected to have done what we sent it."""
        return sum(self._remaining_at(server, now))

    def _remaining_at(self, server: ServerName, now: float) -> list[float]:
        """How many seconds a server is expected to need for each job that it has, in order."""
        return [self._remaining(job, server, now) for job, _ in self._job_table.in_flight(server)]

    def _remaining(self, job: Job, server: ServerName, now: float) -> float:
        """How many seconds a server is expected to need for a job that it has."""
        if (tracker := self._job_table.trackers.get(job.id)) is not None:
            if (remaining := tracker.read(now).remaining) is not None:
                return remaining
            elapsed = now - tracker.since
        else:
            elapsed = 0.0
        loading = self._estimates.loading_seconds(server) if self._accounting.loading(job.id) else 0.0
        expected = self._expected(job, server)
        return max(NEARLY_DONE * expected if elapsed else 0.0, expected + loading - elapsed)

    def _queued_update(self, job: Job, now: float) -> Queued:
        note = self._wait_reason(job, now)
        if (attempt := job.attempt) is not None:
            ahead, starts_in = self._at_server(job, attempt, now)
            server = attempt.server
        else:
            self._renew_forecast(now)
            outlook = self._forecast.of(job.id, lambda: self._queue.ahead_of(job.id, self._crowd))
            ahead, starts_in, server = self._at_servers + outlook.ahead, outlook.starts_in, None
        known = self._estimates.knows_any or isinstance(note, ServersStarting)
        known = known and self.open and not isinstance(note, TIMELESS)
        return Queued(
            job=job.id, position=ahead, server=server, starts_in=float(round(starts_in)) if known else None, note=note
        )

    def _at_server(self, job: Job, attempt: Attempt, now: float) -> tuple[int, float]:
        """How many prompts are ahead of a job that a server has, and in how many seconds it is expected to start."""
        server = attempt.server
        attempt.foreign = min(attempt.foreign, self._servers[server].foreign)
        ours = sorted(self._job_table.in_flight(server), key=lambda pair: pair[0].state < State.RUNNING)
        before = [other for other, _ in ours[: [other for other, _ in ours].index(job)]] if job.in_flight else []
        leftovers = sum(1 for _ in self._job_table.left_at(server))
        starts_in = sum(self._remaining(other, server, now) for other in before)
        return leftovers + attempt.foreign + len(before), starts_in

    def _renew_forecast(self, now: float) -> None:
        is_exact = self._turn == self._forecast_turn
        if now < self._forecast_until and (is_exact or len(self._queue) > SHORT_LINE):
            return
        self._forecast = forecast(self._queue, self._outlooks(now), self._seconds)
        self._crowd = self._queue.crowd()
        self._at_servers = sum(
            server_state.foreign + sum(1 for _ in self._job_table.occupying(name))
            for name, server_state in self._servers.items()
            # Nobody waits for what these have.
            if not server_state.drained and not server_state.leaving
        )
        self._forecast_turn = self._turn
        self._forecast_until = now + min(LONGEST_CURRENT, PER_WAITING_JOB * len(self._queue))

    def _outlooks(self, now: float) -> list[ServerOutlook]:
        """The servers that take jobs, and those that are being started, by weight."""
        return [
            ServerOutlook(name, ready + self._free_in(name, now), state.models, self._estimates.loading_seconds(name))
            for name, state in sorted(self._servers.items(), key=lambda item: -item[1].weight)
            if (ready := _ready_in(state, now)) is not None
        ]

    @property
    def turn(self) -> int:
        """A number that changes whenever jobs or servers have."""
        return self._turn

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._queue)

    def wants(self, server: ServerName) -> bool:
        """Whether a job waits that this server may take."""
        return self._queue.next(server, self._servers[server].models) is not None

    def useful(self, servers: Mapping[ServerName, float], now: float) -> frozenset[ServerName]:
        """Which of these servers that are off would get a waiting job if they took jobs in so many seconds."""
        if not servers or not len(self._queue):
            return frozenset()
        started = [
            ServerOutlook(name, ready, "", self._estimates.loading_seconds(name)) for name, ready in servers.items()
        ]
        played = forecast(self._queue, [*self._outlooks(now), *started], self._seconds)
        if len(self._queue) <= MOST_DECISIONS or len(played.ranks) < MOST_DECISIONS:
            return played.takers & servers.keys()
        # So many wait that not even the start of these servers was reached.
        return frozenset(name for name in servers if self._queue.next(name, "") is not None)

    def _seconds(self, queued: QueuedJob, server: ServerName) -> float:
        return self._expected(self._job_table.jobs[queued.job], server)

    def _wait_reason(self, job: Job, now: float) -> JobReason | None:
        if job.attempt is not None:
            waits_for = [job.attempt.server]
        else:
            # Until somebody says what the servers can run, it waits for any.
            able = self._able.of(job.request) if self._able.offered is not None else list(self._servers)
            waits_for = [name for name in able if not self._servers[name].drained]
            if not waits_for:
                return ServersDrained(tuple(able))
        # A server that has a job runs it, even if it gets no further ones.
        has_it = job.attempt is not None and self._servers[job.attempt.server].reachable
        if not has_it and (reason := self._power_reason(waits_for, now)) is not None:
            return reason
        if all(self._servers[name].away for name in waits_for):
            return ServersOffline(tuple(waits_for))
        if self._no_room and job.attempt is None:
            return NoRoom()
        return SentAgain() if job.tries > 1 or job.worker_deaths else None

    def _power_reason(self, names: Collection[ServerName], now: float) -> JobReason | None:
        """What a job waits for that only servers can run which are not on; None if one of them is."""
        states = [self._servers[name] for name in names]
        if any(state.reachable and (state.takes_jobs or not state.off) for state in states if not _is_spent(state)):
            return None
        if starting := tuple(
            state.name for state in states if state.power is not None and state.power.phase == "starting"
        ):
            return ServersStarting(starting)
        off = [state for state in states if state.off or _is_spent(state)]
        if not off:
            return None
        may_start = [state.name for state in off if state.power is not None and state.power.has_hours(now)]
        if may_start:
            return ServersOff(tuple(may_start))
        return HoursUsedUp(tuple(state.name for state in off))


def _ready_in(state: ServerState, now: float) -> float | None:
    """In how many seconds a server takes jobs; None if it does not, and is not being started."""
    if state.takes_jobs:
        return 0.0
    power = state.power
    if power is None or power.phase != "starting" or power.wanted == "off" or state.drained or state.leaving:
        return None
    return power.ready_in(now)


def _is_spent(state: ServerState) -> bool:
    """Whether a server that is on gets no new jobs because it was on for too long, or is about to be stopped."""
    return state.power is not None and state.power.phase == "on" and not state.power.takes_jobs


def _says_the_same(last: _Sent, update: Queued, now: float) -> bool:
    """Whether an update would tell a person nothing new: its start is expected when it was, and all else is equal."""
    if replace(last.update, starts_in=update.starts_in) != update:
        return False
    if last.update.starts_in is None or update.starts_in is None:
        return last.update.starts_in is update.starts_in
    moved = abs(last.at + last.update.starts_in - now - update.starts_in)
    return moved <= max(STEADY, STEADY_SHARE * update.starts_in)
