"""When waiting jobs are expected to start: the scheduler's decisions, played forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush, nsmallest

from msgspec import Struct

from app.core.scheduling.queue.fair_queue import FairQueue
from app.core.scheduling.queue.queued_job import QueuedJob
from app.events import JobId, ServerName

MOST_DECISIONS = 300
"""Decisions that are played forward, which takes about 10 ms, and 40 ms with 64 servers. The starts of later jobs are
estimated from averages: nobody needs to know to the minute what happens in an hour."""

MOST_PLACES = 4
"""Servers where a job may wait that are looked at after each decision: those that are done first. The scheduler looks
at all, but a forecast for many servers would then take ten times as long."""


class ServerOutlook(Struct, frozen=True):
    """A server that takes jobs: in how many seconds it may start the next one, and which models are loaded then.

    `loading` is how long it takes to load other models, in seconds. `runs` says that until then it runs a job of ours,
    so that another one can wait there, and `then` is how many seconds the one takes that does; 0 if there is none.
    """

    name: ServerName
    free_in: float
    models: str
    loading: float
    runs: bool = False
    then: float = 0.0


class Outlook(Struct, frozen=True):
    """What is expected of one waiting job: how many others start before it, and in how many seconds it starts."""

    ahead: int
    starts_in: float


class Forecast(Struct, frozen=True):
    """The expected starts of waiting jobs.

    `ranks` are the jobs that were played forward, with how many start before each; `starts` are the seconds until each
    of these starts, and until the start after them. `takers` are the servers that get any of these jobs.
    """

    ranks: dict[JobId, int]
    starts: list[float]
    takers: frozenset[ServerName] = frozenset()

    def of(self, job: JobId, estimated: Callable[[], int]) -> Outlook:
        """What is expected of a job.

        `estimated` returns about how many start before it, for a job that was not played forward.
        """
        played = len(self.ranks)
        if (rank := self.ranks.get(job)) is not None:
            return Outlook(rank, self.starts[rank])
        ahead = estimated()
        if played == MOST_DECISIONS:
            ahead = max(ahead, played)
        per_start = self.starts[-1] / max(1, played)
        return Outlook(ahead, self.starts[min(ahead, played)] + max(0, ahead - played) * per_start)


class _Server:
    """A server while it is played forward: `until` is when it may start the next job."""

    def __init__(self, outlook: ServerOutlook) -> None:
        self.name, self.loading, self.models = outlook.name, outlook.loading, outlook.models
        self.until, self.then = outlook.free_in, outlook.then

    @property
    def done(self) -> float:
        """When it has done everything that it has."""
        return self.until + self.then


class _Play:
    """The scheduler's decisions on a copy of the queue. See `forecast` for what the arguments mean."""

    def __init__(
        self,
        queue: FairQueue,
        servers: Sequence[ServerOutlook],
        seconds: Callable[[QueuedJob, ServerName], float],
        may_wait: Callable[[QueuedJob], bool],
    ) -> None:
        self._queue, self._seconds, self._may_wait = queue.copy(), seconds, may_wait
        self._servers = [_Server(server) for server in servers]
        self._running = {each.name: each for each, server in zip(self._servers, servers, strict=True) if server.runs}
        """The servers that run a job."""
        self._starts: list[tuple[float, int, JobId]] = []
        self._takers: set[ServerName] = set()

    def run(self) -> Forecast:
        """Play until nobody waits or so many decisions were made."""
        order = [(server.until, number) for number, server in enumerate(self._servers)]
        heapify(order)
        idle, now = float("inf"), 0.0
        while order and len(self._starts) < MOST_DECISIONS:
            if order[0][0] > now:
                # Servers that run nothing come first.
                self._fill_waiting_places()
            now, number = heappop(order)
            server = self._servers[number]
            if self._continues(server, now):
                heappush(order, (server.until, number))
            else:
                # Nobody waits for this server, so its next start is as far away as that of a job yet to come.
                idle = min(idle, now)
        self._starts.sort()
        starts = [at for at, _, _ in self._starts]
        next_start = order[0][0] if order else idle if self._servers else 0.0
        starts.append(max(starts[-1] if starts else 0.0, next_start))
        return Forecast({job: rank for rank, (_, _, job) in enumerate(self._starts)}, starts, frozenset(self._takers))

    def _continues(self, server: _Server, now: float) -> bool:
        """Start the job that waits at this server, or else the next one; return whether there is one."""
        if server.then:
            server.until, server.then = now + server.then, 0.0
            return True
        if (choice := self._queue.next(server.name, server.models)) is None:
            self._running.pop(server.name, None)
            return False
        run = self._take(choice.job, server, now)
        server.until = now + run + (0.0 if choice.loaded else server.loading)
        server.models = choice.job.models or server.models
        self._running[server.name] = server
        return True

    def _fill_waiting_places(self) -> None:
        places = (server for server in self._running.values() if not server.then)
        for server in nsmallest(MOST_PLACES, places, key=lambda server: (server.until, server.name)):
            job = self._queue.next_loaded(server.name, server.models)
            if job is not None and self._may_wait(job) and not self._ends_sooner_elsewhere(job, server):
                server.then = self._take(job, server, server.until)

    def _ends_sooner_elsewhere(self, job: QueuedJob, server: _Server) -> bool:
        done = server.until + self._seconds(job, server.name)
        return any(
            other.done < done
            and other is not server
            and other.done + self._seconds(job, other.name) < done
            and self._queue.may_take(job, other.name)
            for other in self._running.values()
        )

    def _take(self, job: QueuedJob, server: _Server, at: float) -> float:
        """Give a job to a server where it starts at this time; returns how many seconds it runs there."""
        self._takers.add(server.name)
        self._starts.append((at, len(self._starts), job.job))
        seconds = self._seconds(job, server.name)
        self._queue.take(job, server.name, seconds / job.weight)
        return seconds


def forecast(
    queue: FairQueue,
    servers: Sequence[ServerOutlook],
    seconds: Callable[[QueuedJob, ServerName], float],
    may_wait: Callable[[QueuedJob], bool],
) -> Forecast:
    """Play the scheduler's decisions forward on a copy of the queue.

    `seconds` returns how long a job is expected to run on a server, and `may_wait` whether it may wait at a server for
    the one that runs there.
    """
    return _Play(queue, servers, seconds, may_wait).run()
