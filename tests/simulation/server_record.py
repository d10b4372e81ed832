"""Records what operators did to the servers and what the registry was told of it, and checks what follows from that."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping

import anyio

from app.actors.handle import Command, Offer, RemoveServer, SetServer
from app.actors.registry import PromptRegistry
from app.config.settings import Server
from app.core.jobs.job import Attempt, Job
from app.core.reconciler import Message
from app.core.scheduling.queue.queued_job import EVERYWHERE, NOWHERE, Servers
from app.core.servers.state import ServerState
from app.events import ServerName
from tests.simulation.network import Network

HEARD = 15.0
"""Seconds within which the bot, while all is well, knows that a server is drained (`tests.simulation.bot.ROUND`)."""


class ServerRecord:
    """Owns what was seen. `wrong` takes each broken promise."""

    def __init__(self, wrong: Callable[[str], None], well: Callable[[float, float], bool]) -> None:
        self._wrong = wrong
        self._well = well
        self.networks: list[Network] = []
        self.configured: Mapping[ServerName, Server] = {}
        """What the configuration's file says."""
        self._drained_since: dict[ServerName, float] = {}
        """Since when operators want each server to be drained."""
        self._unheard: set[ServerName] = set()
        self._drained: frozenset[ServerName] = frozenset()
        """What the registry was told last."""
        self._leaving: set[ServerName] = set()
        self._added: set[ServerName] = set()
        """Servers of which nobody has told the registry what they can run."""
        self._workflows: dict[ServerName, Collection[str] | None] = {}
        """What each server may run, as the registry was told."""
        self._offered: Mapping[str, tuple[ServerName, ...]] = {}
        """What the registry was told last."""
        self._able: defaultdict[str, set[ServerName]] = defaultdict(set)
        """The servers that were ever known to be able to run a workflow."""
        self.changed_at = self._began = float("-inf")
        """When the registry was told something about servers the last time."""
        self.orphans: set[str] = set()
        """Prompts at servers that were removed while they could not be reached: nobody can drop these."""

    def starts(self, configured: Mapping[ServerName, Server]) -> None:
        """A process starts with this configuration."""
        self.configured = dict(configured)
        self._leaving.clear()
        self._added.clear()
        self._offered = {}
        self._workflows = {name: server.workflows for name, server in configured.items()}
        self._began = anyio.current_time()
        for network in self.networks:
            if network.name not in configured:
                self.orphans.update(_prompts_at(network))

    def offers(self, able: Mapping[str, Collection[ServerName]]) -> None:
        """The frontend knows now which servers can run each workflow."""
        for workflow, servers in able.items():
            self._able[workflow].update(servers)

    def wants_drained(self, name: ServerName, *, drained: bool) -> None:
        """An operator drains or resumes a server."""
        self._drained_since.pop(name, None)
        self._unheard.discard(name)
        if drained:
            self._drained_since[name] = anyio.current_time()

    def attach(self, registry: PromptRegistry) -> None:
        """Watch a registry that has not begun to run."""
        changes, job_table = registry._server_changes, registry._job_table
        drain, forget, submit = changes.drain, changes.forget, job_table.submit

        def drained(servers: Collection[ServerName]) -> None:
            self._drained, self.changed_at = frozenset(servers), anyio.current_time()
            drain(servers)

        def forgotten(name: ServerName) -> None:
            self._forgotten(registry, name)
            forget(name)

        def submitted(job: Job, attempt: Attempt) -> None:
            self._submitted(job, attempt.server)
            submit(job, attempt)

        changes.drain, changes.forget, job_table.submit = drained, forgotten, submitted

    def taken(self, registry: PromptRegistry, message: Command | Message) -> None:
        """The registry is about to take a message."""
        match message:
            case SetServer(server=server, settings=settings):
                if server not in registry._reconciler.servers:
                    self._added.add(server)
                self._workflows[server] = settings.workflows
            case RemoveServer(server=server):
                self._leaving.add(server)
            case Offer(able=able):
                self._offered = able or {}
                self._added.clear()
            case _:
                return
        self.changed_at = anyio.current_time()

    def takes_jobs(self, name: ServerName, server_state: ServerState) -> bool:
        """Whether a server is there, and operators want it to get jobs, as far as the registry was told."""
        return server_state.reachable and name not in self._drained and name not in self._leaving

    def may_run(self, workflow: str, name: ServerName) -> bool:
        """Whether the registry was told that a server can run a workflow, and may."""
        return name in self._offered.get(workflow, ()) and self._permits(name, workflow)

    def rights(self, servers: Servers, registry: PromptRegistry) -> Servers:
        """Servers that a job may use; `EVERYWHERE` for all that just any job may use now, even if there is none."""
        known = registry._reconciler.servers.keys() - self._leaving - self._added
        usable = frozenset(name for name in known if self._workflows.get(name) != frozenset())
        return EVERYWHERE if servers == (usable or NOWHERE) else servers

    def unheard(self) -> Iterator[str]:
        """Drains of which the registry was not told in time."""
        now = anyio.current_time()
        for name, since in self._drained_since.items():
            late = now > max(since, self._began) + HEARD and self._well(min(since, self._began), now)
            if late and name not in self._drained and name not in self._unheard:
                self._unheard.add(name)
                yield f"an operator drained {name}, and the registry does not know it after {now - since:.0f} s"

    def left_over(self, registry: PromptRegistry) -> Iterator[str]:
        """Servers that are not as they are configured in the end."""
        dead = {network.name for network in self.networks if network.dead}
        servers = registry._reconciler.servers
        if missing := self.configured.keys() - servers.keys() - dead:
            yield f"{', '.join(sorted(missing))} is configured, and was not added again"
        if more := servers.keys() - self.configured.keys() - dead:
            yield f"{', '.join(sorted(more))} is not configured, and was not removed"
        if waiting := [name for name in servers if servers[name].leaving and name not in dead]:
            yield f"{', '.join(waiting)} is still to be removed"

    def _permits(self, name: ServerName, workflow: str) -> bool:
        allowed = self._workflows.get(name)
        return allowed is None or workflow in allowed

    def _submitted(self, job: Job, server: ServerName) -> None:
        workflow, able = job.request.workflow, self._able.get(job.request.workflow, set[ServerName]())
        if server in self._drained:
            self._wrong(f"{job.id} is sent to {server}, which is drained")
        if server in self._leaving:
            self._wrong(f"{job.id} is sent to {server}, which is to be removed")
        if not self._permits(server, workflow):
            self._wrong(f"{job.id} is sent to {server}, which may not run it")
        if server not in able:
            self._wrong(f"{job.id} is sent to {server}, of which nobody knows whether it can run it")

    def _forgotten(self, registry: PromptRegistry, name: ServerName) -> None:
        """A server is about to be forgotten: it must be empty, unless it cannot be asked."""
        self._leaving.discard(name)
        for job in registry._job_table.jobs.values():
            if job.attempt is not None and job.attempt.server == name and job.terminal_update is None:
                self._wrong(f"{name} was removed although {job.id} is {job.state.name.lower()} there")
        (network,) = (network for network in self.networks if network.name == name)
        left = [prompt for prompt in _prompts_at(network) if prompt in registry._job_table.prompts]
        if registry._reconciler.servers[name].reachable and left:
            self._wrong(f"{name} was removed although it still has {left[0]}")
        self.orphans.update(_prompts_at(network))


def _prompts_at(network: Network) -> list[str]:
    """The bot's prompts in a server's queue."""
    return [item[1] for item in network.queue if item[3].get("client_id") != "somebody else"]
