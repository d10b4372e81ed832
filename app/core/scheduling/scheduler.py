"""Assigns waiting jobs to servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby

from msgspec.structs import replace

from app.core.jobs.cost import Estimates, Run
from app.core.jobs.job import Attempt, Job
from app.core.jobs.table import JobTable
from app.core.scheduling.admission import Admission
from app.core.scheduling.line.line import Line
from app.core.scheduling.places.places import Places
from app.core.scheduling.places.spared_servers import SparedServers
from app.core.scheduling.queue.accounting import Accounting, Charge
from app.core.scheduling.queue.fair_queue import Choice, FairQueue, Served
from app.core.scheduling.queue.queued_job import EVERYWHERE, NOWHERE, QueuedJob
from app.core.scheduling.run_times import RunTimes
from app.core.servers.able_servers import AbleServers, Offered
from app.core.servers.state import ServerState
from app.events import JobId, PromptId, ServerName


class Scheduler:
    """Gives each server one job to run and at most one to wait there; the other jobs wait here.

    A server that runs nothing gets a job whenever one can run there, in the order of the servers' weights; one that is
    drained gets none. The waiting place only hides the moment between two jobs, so it is for a job with the same models
    that no other server would finish sooner, and it is filled once the results of earlier jobs have arrived from there;
    with a `depth` of 1 it stays empty. A server where jobs fail in a row, or whose memory was not enough for a job,
    only gets what no other server that can be reached is able to run. `new_prompt_id` creates prompt ids. `line` says
    where jobs are in line, `admission` which requests are accepted.
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
        self._new_prompt_id = new_prompt_id
        self._queue = FairQueue()
        estimates = Estimates()
        self._accounting = Accounting(self._queue, estimates)
        self._times = RunTimes(job_table, estimates, self._accounting.loading)
        self._places = Places(job_table, servers, depth, self._times.remaining_at)
        self._spared = SparedServers(job_table, servers, self._times)
        self._rights: dict[ServerName, tuple[frozenset[str] | None, bool]] = {}
        """The servers that stay configured, and which workflows they may run, when the queue was last adapted."""
        self._offered: Offered | None = None
        """What the servers could run then."""
        self.line = Line(job_table, servers, able, self._queue, self._times, depth)
        self.admission = Admission(job_table, self._times, self.line)

    def learn(self, runs: Iterable[Run]) -> None:
        """Take runs into account that were measured before this process began."""
        for run in runs:
            self._times.estimates.learn(run)

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

    def plan(self, now: float) -> None:
        """Assign waiting jobs to servers, and report where jobs are in line; called after each batch of messages.

        Only jobs that changed are reported. The others' places change with almost every job that ends, so these are
        computed when somebody asks, by the line.
        """
        if self.line.has_room != (has_room := not self._job_table.downloads.waits_for_room):
            self.line.has_room = has_room
            self._job_table.touch_server(*self._servers)
        rests_over = [name for name, server_state in self._servers.items() if server_state.rest.over(now)]
        if not self._job_table.touched and not self._job_table.touched_servers and not rests_over:
            return
        self.line.turn += 1
        touched = self._take_touched(now)
        requeued = self._requeue()
        self._dispatch(now)
        # Dispatched jobs are touched, too.
        touched |= self._take_touched(now)
        # A server that was given a job is looked at again when its POST was answered.
        self._job_table.touched_servers.clear()
        self.line.report(touched, now, requeued=requeued)

    def _take_touched(self, now: float) -> dict[JobId, Job]:
        """Bring the queue and the accounts up to date with the job table; returns the jobs that changed."""
        touched, self._job_table.touched = self._job_table.touched, {}
        for job in touched.values():
            if job.waits and job.id in self._job_table.jobs:
                self._job_table.started.pop(job.id, None)
                self._accounting.returned(job.id)
                if job.tries:
                    self.line.end_promise(job.id)
                if job.id not in self._queue:
                    self._queue.add(self._queued(job))
                elif self._times.is_edited(job):
                    self.line.end_promise(job.id)
                    self._queue.replace(self._queued(job))
                continue
            self._queue.remove(job.id)
            if job.in_flight and job.terminal_update is None:
                if job.attempt is not None and not self._accounting.charged(job.id):
                    self._accounting.continued(job.id, self._charge(job, job.attempt))
                continue
            if self._accounting.charged(job.id):
                self._spared.learn(job, now)
            started, expected = self._job_table.started.pop(job.id, None), self._accounting.expected(job.id)
            run, promise = self._accounting.over(job, started, now), self.line.end_promise(job.id)
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
                self.admission.used(run, now)
            self.admission.over(job, now)
            self._times.forget(job.id)
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

    def _charge(self, job: Job, attempt: Attempt) -> Charge:
        return Charge(
            person=job.request.owner,
            weight=job.request.weight,
            seconds=self._times.expected(job, attempt.server) if attempt.expected is None else attempt.expected,
            server=attempt.server,
            work=self._times.known(job).work,
            loading=attempt.loading,
        )

    def _queued(self, job: Job) -> QueuedJob:
        known, request, able = self._times.known(job), job.request, self._able.of(job.request)
        staying = sum(not server_state.leaving for server_state in self._servers.values())
        return QueuedJob(
            job=job.id,
            number=known.number,
            person=request.owner,
            servers=EVERYWHERE if able and len(able) == staying else frozenset(able) or NOWHERE,
            models=known.models,
            seconds=self._times.estimates.seconds(request.workflow, known.work, request.cost),
            weight=request.weight,
            batch=request.lead or (job.id if request.batch is not None else ""),
        )

    def _dispatch(self, now: float) -> None:
        self._places.look(now)
        self._queue.admit(self._spared.may_take if self._spared.look() else None)
        idle = sorted(self._places.idle(), key=lambda name: -self._servers[name].weight)
        if self.line.open and self.line.has_room and len(self._queue):
            # A probe may cost its person a failure, so it is only sent if no other server is free.
            self._fill_idle([name for name in idle if not self._servers[name].rest.in_trouble], now)
            self._fill_idle([name for name in idle if self._servers[name].rest.in_trouble], now)
            self._fill_waiting_places(now)

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
            if any(True for _ in self._job_table.prompts.fetching(name)):
                # Somebody waits for these results. Once they are here, this place is filled.
                continue
            queued = self._queue.next_loaded(name, self._servers[name].models)
            # What a server may have begun is not sent again, so nothing that costs money waits at one.
            if queued is None or self._job_table.jobs[queued.job].request.price:
                continue
            if not self._ends_sooner_elsewhere(queued, name, now):
                self._submit(name, Choice(queued, loaded=True), now)

    def _ends_sooner_elsewhere(self, queued: QueuedJob, server: ServerName, now: float) -> bool:
        """Whether another server is expected to be done with a job before this one."""
        job, places = self._job_table.jobs[queued.job], self._places
        ends_in = places.free_in(server, now) + self._times.expected(job, server)
        return any(
            self._queue.may_take(queued, other) and free_in + self._times.expected(job, other) < ends_in
            for other in places.taking_jobs()
            if (free_in := places.free_in(other, now)) < ends_in and other != server
        )

    def _submit(self, server: ServerName, choice: Choice, now: float) -> None:
        server_state, job = self._servers[server], self._job_table.jobs[choice.job.job]
        attempt = Attempt(
            self._new_prompt_id(),
            server,
            foreign=server_state.foreign,
            expected=self._times.expected(job, server),
            loading=not choice.loaded,
        )
        self._accounting.dispatched(choice.job, self._charge(job, attempt))
        self._job_table.tally.model_loads[server] += not choice.loaded
        self.line.dispatched(job.id, choice.job.number)
        server_state.posted = now
        server_state.models = choice.job.models or server_state.models
        self._job_table.submit(job, attempt)
        self._places.taken(server, now)
