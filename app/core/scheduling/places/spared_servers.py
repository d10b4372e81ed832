"""Which servers are spared: they rest, prove that they work again, or had too little memory for such a job."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.alerts import Cause, Cleared, Raised
from app.core.jobs.job import Job
from app.core.jobs.results import failure
from app.core.jobs.table import JobTable
from app.core.scheduling.places.memory_limits import MemoryLimits
from app.core.scheduling.queue.queued_job import QueuedJob
from app.core.scheduling.run_times import RunTimes
from app.core.servers.state import ServerState
from app.events import ServerName
from app.reasons.alerts import ServerFails
from app.reasons.jobs import OutOfMemory


class SparedServers:
    """Owns what servers could not do. A spared one only gets what no other server that takes jobs is able to run."""

    def __init__(self, job_table: JobTable, servers: Mapping[ServerName, ServerState], times: RunTimes) -> None:
        self._job_table = job_table
        self._servers = servers
        self._times = times
        self._memory_limits = MemoryLimits()
        self._spared: frozenset[ServerName] = frozenset()
        """Servers that rest, or run the one job that probes whether they work again."""

    def look(self) -> bool:
        """Determine which servers are to be spared for now; return whether any is, at least for some jobs."""
        self._spared = frozenset(
            name
            for name, server_state in self._servers.items()
            if server_state.rest.in_trouble
            and (server_state.rest.resting or any(True for _ in self._job_table.prompts.occupying(name)))
        )
        return bool(self._spared) or bool(self._memory_limits)

    def may_take(self, queued: QueuedJob, server: ServerName) -> bool:
        """Whether a server that can run a job may take it, because it suits the job or no other one does."""
        return self._suits(queued, server) or not any(
            self._suits(queued, other)
            for other, server_state in self._servers.items()
            if server_state.takes_jobs and queued.runs_on(other)
        )

    def learn(self, job: Job, now: float) -> None:
        """Learn about a server from how it ended a job."""
        request, history, attempt = job.request, job.history, job.attempt
        if history is None or attempt is None or job.cancelling or attempt.server not in self._servers:
            return
        server, work, workflow = attempt.server, self._times.known(job).work, request.workflow
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

    def _suits(self, queued: QueuedJob, server: ServerName) -> bool:
        job = self._job_table.jobs[queued.job]
        return server not in self._spared and self._memory_limits.fits(
            job.request.workflow, server, self._times.known(job).work
        )
