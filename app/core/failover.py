"""Servers that are away: what becomes of the jobs that they have (docs/DESIGN.md, rule 11)."""

from __future__ import annotations

from collections.abc import Mapping

from app.core.jobs.job import State
from app.core.jobs.table import JobTable
from app.core.servers.able_servers import AbleServers
from app.core.servers.state import FAILOVER_PAID, ServerState
from app.events import ServerName
from app.reasons import Reason


class Failover:
    """Moves jobs from servers that do not come back to others; `servers` and `able` are the reconciler's."""

    def __init__(self, job_table: JobTable, servers: Mapping[ServerName, ServerState], able: AbleServers) -> None:
        self._job_table = job_table
        self._servers = servers
        self._able = able

    def away(self, server_state: ServerState, reason: Reason, now: float) -> None:
        """Record that a server cannot be reached."""
        self._job_table.touch_server(server_state.name)
        for _, attempt in self._job_table.prompts.occupying(server_state.name):
            attempt.unread = 0
        if server_state.unreachable(reason, now):
            self._job_table.downloads.server_away(server_state.name)
            self._update_running(server_state, now)

    def back(self, server_state: ServerState, now: float) -> None:
        """Continue what waited for this server, here and at servers that are away."""
        self._job_table.touch_server(server_state.name)
        self._job_table.downloads.server_back(server_state.name)
        self._update_running(server_state, now)
        self.move_all(now)

    def move_all(self, now: float) -> None:
        """Move what can be moved from servers that do not come back, because jobs may run elsewhere now."""
        for server_state in self._servers.values():
            self.move(server_state, now)

    def move(self, server_state: ServerState, now: float) -> None:
        """Move the jobs of a server that does not come back to others that can run them."""
        away = now - server_state.away_since
        if server_state.reachable or away < server_state.failover_after:
            return
        running, name = server_state.running_patience * server_state.failover_after, server_state.name
        for job, attempt in [*self._job_table.prompts.in_flight(name), *self._job_table.prompts.fetching(name)]:
            patience = server_state.failover_after if job.state < State.RUNNING else running
            if job.may_cost_again:
                # It cannot go elsewhere, and what was paid for may still arrive.
                patience = FAILOVER_PAID
            others = (self._servers[other] for other in self._able.of(job.request) if other != name)
            is_over = job.may_cost_again or any(other.takes_jobs for other in others)
            if attempt.posting or job.cancelling or away < patience or not is_over:
                continue
            with self._job_table.contain(job, "a job could not be moved to another server"):
                self._job_table.move_on(job, f"{name} did not come back within {patience:.0f} s")

    def _update_running(self, server_state: ServerState, now: float) -> None:
        """Queue an update for each running job that says whether its server is away."""
        for job, _ in self._job_table.prompts.in_flight(server_state.name):
            if (tracker := self._job_table.trackers.get(job.id)) is not None:
                self._job_table.tell(job, tracker.read(now, server_state.offline_note))
