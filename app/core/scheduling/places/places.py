"""Which servers have a place for a job, kept up to date by looking only at the servers that changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from app.core.jobs.table import JobTable
from app.core.servers.state import ServerState
from app.events import ServerName


class _Busy(Struct, frozen=True):
    """When the job that a server runs is expected to end, and how many seconds what waits there takes after it."""

    until: float
    then: float


class Places:
    """Owns what the scheduler knows about the places of each server.

    A server has a place to run a job and, if `depth` is above 1, one where a job waits for the one that runs.
    `remaining` returns how many seconds a server is expected to need for each job that it has, at a time in seconds.
    """

    def __init__(
        self,
        job_table: JobTable,
        servers: Mapping[ServerName, ServerState],
        depth: int,
        remaining: Callable[[ServerName, float], Sequence[float]],
    ) -> None:
        self._job_table = job_table
        self._servers = servers
        self._depth = depth
        self._remaining = remaining
        self._idle: set[ServerName] = set()
        self._waiting_places: set[ServerName] = set()
        self._busy: dict[ServerName, _Busy] = {}
        """The servers that take jobs."""
        job_table.touch_server(*servers)

    def idle(self) -> list[ServerName]:
        """The servers that run nothing and may get a job, in the order of the configuration."""
        return [name for name in self._servers if name in self._idle] if self._idle else []

    def waiting_places(self, now: float) -> list[ServerName]:
        """The servers that run a job and may get another one to wait there, the first to be done first."""
        return sorted(self._waiting_places, key=lambda name: (self.free_in(name, now), name))

    def taking_jobs(self) -> Collection[ServerName]:
        """The servers that take jobs, with or without a free place."""
        return self._busy.keys()

    def free_in(self, name: ServerName, now: float) -> float:
        """In how many seconds a server that takes jobs is expected to have done what it has.

        This is as of when the server last changed: how far its job is since then does not count.
        """
        busy = self._busy[name]
        return max(0.0, busy.until - now) + busy.then

    def look(self, now: float) -> None:
        """Look at the servers that changed."""
        names, self._job_table.touched_servers = self._job_table.touched_servers, {}
        for name in names:
            self._idle.discard(name)
            self._waiting_places.discard(name)
            self._busy.pop(name, None)
            if (server_state := self._servers.get(name)) is not None:
                self._look(server_state, now)

    def _look(self, server_state: ServerState, now: float) -> None:
        name = server_state.name
        if server_state.takes_jobs:
            self._measure(name, now)
        ours = list(self._job_table.prompts.in_flight(name))
        leftovers = list(self._job_table.prompts.left_at(name))
        if any(attempt.posting for _, attempt in (*ours, *leftovers)):
            # Of two concurrent POSTs the later job's may arrive first.
            return
        occupied = len(ours) + len(leftovers)
        if server_state.count_foreign(occupied):
            for job, _ in ours:
                self._job_table.touch(job)
        if not server_state.takes_jobs or occupied >= self._depth:
            return
        if not ours:
            self._idle.add(name)
        elif len(ours) == 1 and not server_state.foreign:
            self._waiting_places.add(name)

    def taken(self, name: ServerName, now: float) -> None:
        """Record that a server was given a job: it gets the next one only after its POST was answered."""
        self._idle.discard(name)
        self._waiting_places.discard(name)
        self._measure(name, now)

    def _measure(self, name: ServerName, now: float) -> None:
        first, *others = self._remaining(name, now) or (0.0,)
        self._busy[name] = _Busy(now + first, sum(others))
