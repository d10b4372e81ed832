"""Where each waiting job is in line, when it is expected to start, and what its owner was told of that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import nsmallest
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from app.core.jobs.job import Attempt, Job, JobRequest, State
from app.core.jobs.table import JobTable
from app.core.scheduling.line.ahead import Ahead, ahead_of_each
from app.core.scheduling.line.forecast import MOST_DECISIONS, Forecast, ServerOutlook, forecast
from app.core.scheduling.line.wait_reasons import wait_reason
from app.core.scheduling.queue.fair_queue import Crowd, FairQueue
from app.core.scheduling.queue.queued_job import QueuedJob
from app.core.scheduling.run_times import RunTimes
from app.core.servers.able_servers import AbleServers
from app.core.servers.state import ServerState
from app.events import AnyUpdate, JobId, Queued, ServerName, Started
from app.reasons.jobs import (
    HoursUsedUp,
    JobReason,
    NoRoom,
    SentAgain,
    ServersDrained,
    ServersOff,
    ServersOffline,
    ServersStarting,
)
from app.reasons.limits import Whom

PER_WAITING_JOB = 0.01
"""Seconds that a forecast counts as current, for each waiting job: it takes about a five-hundredth of that to make."""

FRESH = 0.1
"""Of that time, the share for a job that came after the forecast was made: the first start that its person is told
should not come from averages."""

STEADY, STEADY_SHARE = 2.0, 0.1
"""Seconds, and the share of the time until then, by which an expected start may move before it is reported anew."""

FAR = 10
"""Of so many that are ahead, one more or less is not reported."""

LONGEST_CURRENT = 5.0
"""Seconds after which every forecast is made anew when somebody asks."""

SHORT_LINE = 20
"""Waiting jobs up to which the forecast is always exact: it takes less than a millisecond then."""

TIMELESS = ServersOffline, ServersDrained, ServersOff, HoursUsedUp, NoRoom
"""Reasons for which nobody knows when a job starts."""


class Promise(Struct):
    """The first expected start that a person was told: when, and how many jobs had been accepted by then."""

    at: float
    starts_in: float
    accepted: int
    overtaken: bool = False


class _Sent(Struct, frozen=True):
    """An update, and when it was sent."""

    update: Queued
    at: float


class Line:
    """Owns what people were told about where their jobs are in line, and the forecast that this comes from.

    Places change with almost every job that ends, so they are computed for those who ask.
    """

    def __init__(
        self,
        job_table: JobTable,
        servers: Mapping[ServerName, ServerState],
        able: AbleServers,
        queue: FairQueue,
        times: RunTimes,
        depth: int,
    ) -> None:
        self._job_table = job_table
        self._servers = servers
        self._able = able
        self._queue = queue
        self._times = times
        self._depth = depth
        self._newest_dispatched = 0
        """The highest number of a job that was dispatched, in the order of acceptance."""
        self._promises: dict[JobId, Promise] = {}
        self._queued_updates: dict[JobId, _Sent] = {}
        """The last update of each job that is not running."""
        self._obstacles = True, frozenset[tuple[ServerName, bool, str]]()
        """At the last report: whether the disk had room, and which servers were drained, off or away, and why."""
        self._forecast = Forecast({}, [0.0])
        self._crowd: Crowd = []
        self._at_servers = 0
        """How many prompts the servers had when the forecast was made."""
        self._forecast_until = float("-inf")
        self._forecast_at = 0.0
        self._forecast_turn = 0
        self.turn = 0
        """A number that the scheduler changes whenever jobs or servers have changed."""
        self.has_room = True
        """Whether our disk has room for results: until then nothing is submitted."""
        self.open = True
        """Whether waiting jobs are submitted; if False, only jobs that servers already have continue."""

    def report(self, touched: Mapping[JobId, Job], now: float, *, requeued: bool) -> None:
        """Tell the watchers of jobs that changed where these are in line now.

        If the servers that take jobs have changed, the disk is full or has room again, or jobs were queued anew for
        other servers, this concerns everybody.
        """
        closed = frozenset(
            (name, server_state.drained, server_state.power.phase if server_state.power is not None else "")
            for name, server_state in self._servers.items()
            if server_state.away or server_state.drained or server_state.off
        )
        obstacles = self.has_room, closed
        if obstacles != self._obstacles or requeued:
            self._obstacles = obstacles
            jobs = self._job_table.jobs
            touched = {**touched, **{job: jobs[job] for job in self._queued_updates if job in jobs}}
        for job in touched.values():
            # Nobody was told where a new job is in line; who watches it from now on gets a snapshot.
            is_new = job.state is State.ACCEPTED and job.id not in self._queued_updates and not job.tries
            if not is_new and (update := self._refresh(job, now)) is not None:
                self._job_table.tell(job, update)

    def refresh(self, job_id: JobId, now: float) -> None:
        """Tell the watchers of a job that is not running where it is in line now, if that has changed."""
        job = self._job_table.jobs.get(job_id)
        waiting = self._job_table.batches.first_waiting(job) if job is not None else None
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
            self._promises[job.id] = Promise(now, update.starts_in, self._times.accepted)
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

    def look(self, job: Job, now: float) -> Queued:
        """Where a job that is not running is in line now. Unlike `snapshot`, nobody counts as told of it."""
        return self._queued_update(job, now)

    def first(self, most: int, now: float) -> list[QueuedJob]:
        """The jobs that wait here and are next, at most so many, in the order in which they are expected to start.

        Those whose start is not known come last, in the order of acceptance.
        """
        self._renew_forecast(now)
        ranks = self._forecast.ranks
        known = (queued for job in ranks if (queued := self._queue.find(job)) is not None)
        order = list(islice(known, most))
        if len(order) == most or len(order) == len(self._queue):
            return order
        others = (queued for queued in self._queue.waiting() if queued.job not in ranks)
        return order + nsmallest(most - len(order), others, key=lambda queued: queued.number)

    def first_of(self, person: str, most: int) -> list[QueuedJob]:
        """The oldest of the jobs of a person that wait here, at most so many."""
        return list(islice(self._queue.jobs_of(person), most))

    def ahead_of_each(self, order: Iterable[QueuedJob]) -> Iterator[Ahead]:
        """What starts before each of these jobs, which are the `first`."""
        return ahead_of_each(order, self._queue)

    def ends_in(self, job: Job, server: ServerName, now: float) -> float | None:
        """In how many seconds a job that a server runs is expected to end; None if that is not known."""
        tracker = self._job_table.trackers.get(job.id)
        remaining = tracker.read(now).remaining if tracker is not None else None
        if remaining is None and self._times.estimates.knows_any:
            return self._times.remaining(job, server, now)
        return remaining

    def dispatched(self, job: JobId, number: int) -> None:
        """Know that a server gets a job, which was accepted as the one with this number."""
        if (promise := self._promises.get(job)) is not None:
            promise.overtaken = self._newest_dispatched > promise.accepted
        self._newest_dispatched = max(self._newest_dispatched, number)

    def end_promise(self, job: JobId) -> Promise | None:
        """Forget the expected start that a person was told, and return it; None if they were told none."""
        return self._promises.pop(job, None)

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
            ServerOutlook(name, ready, "", self._times.estimates.loading_seconds(name))
            for name, ready in servers.items()
        ]
        played = forecast(self._queue, [*self._outlooks(now), *started], self._seconds, self._may_wait_at_server)
        if len(self._queue) <= MOST_DECISIONS or len(played.ranks) < MOST_DECISIONS:
            return played.takers & servers.keys()
        # So many wait that not even the start of these servers was reached.
        return frozenset(name for name in servers if self._queue.next(name, "") is not None)

    def next_end(self, request: JobRequest, whom: Whom, now: float) -> float | None:
        """In how many seconds one of the unfinished jobs that count for a request is expected to end.

        None if that is not known: no run was measured, or no server takes jobs.
        """
        if not self._times.estimates.knows_any or not self.open:
            return None
        ends: list[float] = []
        account = request.origin.account(whom)
        for name in self._servers:
            end = 0.0
            for job, _ in self._job_table.prompts.in_flight(name):
                end += self._times.remaining(job, name, now)
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
        return outlook.starts_in + self._times.expected_use(job.request, self._times.known(job).work)

    def _queued_update(self, job: Job, now: float) -> Queued:
        note = self._wait_reason(job, now)
        if (attempt := job.attempt) is not None:
            ahead, starts_in = self._at_server(job, attempt, now)
            server = attempt.server
        else:
            self._renew_forecast(now, job.id)
            outlook = self._forecast.of(job.id, lambda: self._queue.ahead_of(job.id, self._crowd))
            ahead, starts_in, server = self._at_servers + outlook.ahead, outlook.starts_in, None
        known = self._times.estimates.knows_any or isinstance(note, ServersStarting)
        known = known and self.open and not isinstance(note, TIMELESS)
        return Queued(
            job=job.id, position=ahead, server=server, starts_in=float(round(starts_in)) if known else None, note=note
        )

    def _wait_reason(self, job: Job, now: float) -> JobReason | None:
        """What a job waits for, apart from its turn; None if there is nothing to say."""
        if job.attempt is not None:
            names = [job.attempt.server]
        else:
            # Until somebody says what the servers can run, it waits for any.
            able = self._able.of(job.request) if self._able.offered is not None else list(self._servers)
            names = [name for name in able if not self._servers[name].drained]
            if not names:
                return ServersDrained(tuple(able))
        states = [self._servers[name] for name in names]
        has_it = job.attempt is not None and states[0].reachable
        if (reason := wait_reason(states, now, has_it=has_it)) is not None:
            return reason
        if not self.has_room and job.attempt is None:
            return NoRoom()
        return SentAgain() if job.tries > 1 or job.worker_deaths else None

    def _at_server(self, job: Job, attempt: Attempt, now: float) -> tuple[int, float]:
        """How many prompts are ahead of a job that a server has, and in how many seconds it is expected to start."""
        server = attempt.server
        attempt.foreign = min(attempt.foreign, self._servers[server].foreign)
        ours = sorted(self._job_table.prompts.in_flight(server), key=lambda pair: pair[0].state < State.RUNNING)
        before = [other for other, _ in ours[: [other for other, _ in ours].index(job)]] if job.in_flight else []
        leftovers = sum(1 for _ in self._job_table.prompts.left_at(server))
        starts_in = sum(self._times.remaining(other, server, now) for other in before)
        return leftovers + attempt.foreign + len(before), starts_in

    def _renew_forecast(self, now: float, for_job: JobId | None = None) -> None:
        is_exact = self.turn == self._forecast_turn
        until = self._forecast_until
        if not is_exact and for_job is not None and for_job not in self._queued_updates:
            until = self._forecast_at + FRESH * (until - self._forecast_at)
        if now < until and (is_exact or len(self._queue) > SHORT_LINE):
            return
        self._forecast = forecast(self._queue, self._outlooks(now), self._seconds, self._may_wait_at_server)
        self._crowd = self._queue.crowd()
        self._at_servers = sum(
            server_state.foreign + sum(1 for _ in self._job_table.prompts.occupying(name))
            for name, server_state in self._servers.items()
            # Nobody waits for what these have.
            if not server_state.drained and not server_state.leaving
        )
        self._forecast_turn = self.turn
        self._forecast_at = now
        self._forecast_until = now + min(LONGEST_CURRENT, PER_WAITING_JOB * len(self._queue))

    def _outlooks(self, now: float) -> list[ServerOutlook]:
        """The servers that take jobs, and those that are being started, by weight."""
        return [
            self._outlook(state, ready, now)
            for state in sorted(self._servers.values(), key=lambda state: -state.weight)
            if (ready := _ready_in(state, now)) is not None
        ]

    def _outlook(self, state: ServerState, ready: float, now: float) -> ServerOutlook:
        first, *others = self._times.remaining_at(state.name, now) or (0.0,)
        return ServerOutlook(
            state.name,
            ready + first,
            state.models,
            self._times.estimates.loading_seconds(state.name),
            runs=first > 0.0 and not state.foreign,
            then=sum(others),
        )

    def _seconds(self, queued: QueuedJob, server: ServerName) -> float:
        return self._times.expected(self._job_table.jobs[queued.job], server)

    def _may_wait_at_server(self, queued: QueuedJob) -> bool:
        return self._depth > 1 and not self._job_table.jobs[queued.job].request.price


def _ready_in(state: ServerState, now: float) -> float | None:
    """In how many seconds a server takes jobs; None if it does not, and is not being started."""
    if state.takes_jobs:
        return 0.0
    power = state.power
    if power is None or power.phase != "starting" or power.wanted == "off" or state.drained or state.leaving:
        return None
    return power.ready_in(now)


def _says_the_same(last: _Sent, update: Queued, now: float) -> bool:
    """Whether an update would tell a person nothing new: its start is expected when it was, and all else is equal.

    How many are ahead may differ by a tenth: that is nothing new to somebody who has more than ten before them.
    """
    if replace(last.update, starts_in=update.starts_in, position=update.position) != update:
        return False
    if abs(last.update.position - update.position) > last.update.position // FAR:
        return False
    if last.update.starts_in is None or update.starts_in is None:
        return last.update.starts_in is update.starts_in
    moved = abs(last.at + last.update.starts_in - now - update.starts_in)
    return moved <= max(STEADY, STEADY_SHARE * update.starts_in)
