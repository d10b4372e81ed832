"""Adds, changes, drains and removes servers while jobs wait and run."""

from __future__ import annotations

from collections.abc import Collection

from app.core.jobs.job import State
from app.core.jobs.table import JobTable
from app.core.servers.able_servers import AbleServers, Offered
from app.core.servers.state import ServerSettings, ServerState
from app.events import ServerName


class ServerChanges:
    """Decides what changes of the servers mean for the jobs; `servers` and `able` are the reconciler's."""

    def __init__(self, job_table: JobTable, servers: dict[ServerName, ServerState], able: AbleServers) -> None:
        self._job_table = job_table
        self._servers = servers
        self._able = able
        self._drained: frozenset[ServerName] = frozenset()
        """Servers that get no new jobs, configured or not."""

    def drain(self, servers: Collection[ServerName]) -> None:
        """Give these servers no new jobs, and all others again."""
        self._drained = frozenset(servers)
        for name, server_state in self._servers.items():
            server_state.drained = name in servers
        self._job_table.touch_server(*self._servers)

    def configure(self, name: ServerName, settings: ServerSettings) -> None:
        """Add a server, or change its settings.

        A new server gets no jobs before `offer` says that it can run them.
        """
        if name not in self._servers:
            self._servers[name] = ServerState(name, drained=name in self._drained)
        self._servers[name].configure(settings)
        self._job_table.touch_server(*self._servers)

    def offer(self, offered: Offered | None) -> None:
        """Let jobs go to the servers that can run their workflows now; None if no server has said what it can run.

        This includes jobs that servers have, because they may have to move. While no server can run a workflow, its
        jobs wait.
        """
        self._able.offered = offered
        self._job_table.touch_server(*self._servers)

    def remove(self, name: ServerName) -> None:
        """Give a server no new jobs, and let what waits there go elsewhere; once it is vacant it can be forgotten."""
        self._servers[name].leaving = True
        self._job_table.touch_server(*self._servers)

    def vacant(self, name: ServerName) -> bool:
        """Whether a server has nothing of ours any more, neither prompts nor results."""
        return not any(self._job_table.prompts.occupying(name)) and not any(self._job_table.prompts.fetching(name))

    def forget(self, name: ServerName) -> None:
        """Forget a server that is vacant; messages from it are ignored from now on.

        Jobs may go there again if it is added again under its name.
        """
        self._job_table.touch_server(*self._servers)
        del self._servers[name]

    def vacate(self, now: float) -> None:
        """Move what can be moved from servers that are to be removed; called after each batch of messages."""
        for server_state in self._servers.values():
            if server_state.leaving:
                self._vacate(server_state, now)

    def _vacate(self, server_state: ServerState, now: float) -> None:
        """Move what waits on this server. If it is away for too long, what it has counts as lost with it."""
        job_table, name, away = self._job_table, server_state.name, now - server_state.away_since
        is_lost = away >= server_state.running_patience * server_state.failover_after
        for job, attempt in [*job_table.prompts.in_flight(name), *job_table.prompts.fetching(name)]:
            if attempt.posting or job.cancelling:
                continue
            with job_table.contain(job, "a job could not be moved from a server that is to be removed"):
                if job.state < State.RUNNING and not job.may_cost_again:
                    job_table.move_away(job, f"{name} is no longer configured")
                elif is_lost:
                    job_table.release(job, attempt)
        if away >= server_state.failover_after:
            for job, attempt in list(job_table.prompts.left_at(name)):
                if not attempt.posting:
                    job_table.released(job, attempt)
