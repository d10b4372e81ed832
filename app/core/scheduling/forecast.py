"""When waiting jobs are expected to start: the scheduler's decisions, played forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush

from msgspec import Struct

from app.core.scheduling.fair_queue import FairQueue
from app.core.scheduling.queued_job import QueuedJob
from app.events import JobId, ServerName

MOST_DECISIONS = 300
"""Decisions that are played forward, which takes about 10 ms. The starts of later jobs are estimated from averages:
nobody needs to know to the minute what happens in an hour."""


class ServerOutlook(Struct, frozen=True):
    """A server that takes jobs: in how many seconds its present work ends, and which models are loaded then."""

    name: ServerName
    free_in: float
    models: str
    loading: float
    """How long it takes to load other models, in seconds."""


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


def forecast(
    queue: FairQueue, servers: Sequence[ServerOutlook], seconds: Callable[[QueuedJob, ServerName], float]
) -> Forecast:
    """Play the scheduler's decisions forward on a copy of the queue.

    `seconds` returns how long a job is expected to run on a server.
    """
    queue = queue.copy()
    order = [(server.free_in, number) for number, server in enumerate(servers)]
    heapify(order)
    models = [server.models for server in servers]
    ranks: dict[JobId, int] = {}
    starts: list[float] = []
    takers: set[ServerName] = set()
    idle = float("inf")
    while order and len(ranks) < MOST_DECISIONS:
        now, number = heappop(order)
        server = servers[number]
        if (choice := queue.next(server.name, models[number])) is None:
            # Nobody waits for this server, so its next start is as far away as that of a job yet to come.
            idle = min(idle, now)
            continue
        job = choice.job
        takers.add(server.name)
        ranks[job.job] = len(ranks)
        starts.append(now)
        run = seconds(job, server.name)
        queue.take(job, server.name, run / job.weight)
        models[number] = job.models or models[number]
        heappush(order, (now + run + (0.0 if choice.loaded else server.loading), number))
    starts.append(max(starts[-1] if starts else 0.0, order[0][0] if order else idle if servers else 0.0))
    return Forecast(ranks, starts, frozenset(takers))
