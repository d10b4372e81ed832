"""ServersActor: owns the set of servers while the application runs, and brings it in line with the configuration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial

import anyio
import structlog
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct
from msgspec.structs import replace

from app.actors.client_pool import ClientPool, Comfies, ServerClients
from app.actors.connection import Connection, ConnectionActor
from app.actors.handle import Registry
from app.backoff import Pauses, backoff
from app.config.addresses import same_server
from app.config.settings import WORKER_SCHEME, Server
from app.core.servers.state import ServerSettings
from app.entry_points import run_request
from app.events import ServerName
from app.mailbox import Mailbox
from app.node_cache import NodeCache
from app.ports import Comfy

logger = structlog.stdlib.get_logger(__name__)


class ConfiguredServer(Struct, frozen=True):
    """A server of the configuration, and what the registry needs to know of it."""

    server: Server
    settings: ServerSettings


class Servers(Struct, frozen=True):
    """The handle of `ServersActor`: what other tasks may request from it."""

    request: Callable[[Mapping[ServerName, ConfiguredServer]], None]
    request_offered: Callable[[Mapping[ServerName, ConfiguredServer]], None]

    def configure(self, wanted: Mapping[ServerName, ConfiguredServer]) -> None:
        """Bring the set of servers in line with these: servers are added, removed and changed, and no job is lost."""
        self.request(wanted)

    def offer(self, offered: Mapping[ServerName, ConfiguredServer]) -> None:
        """Use these servers of workers besides the configured ones, instead of those that were offered before."""
        self.request_offered(offered)


class OffServers(Collection[ServerName]):
    """The servers that need not answer now, because they are off on purpose or are being started."""

    def __init__(self, connections: Mapping[ServerName, Connection]) -> None:
        self._connections = connections

    def __contains__(self, name: object) -> bool:
        return name in set(self)

    def __iter__(self) -> Iterator[ServerName]:
        return (name for name, connection in self._connections.items() if connection.off)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class ServersActor:
    """Owns the clients, the node definitions and the connection of each server; the mappings are live.

    A server that is removed is first emptied by the registry; only then are its connection and its clients closed. One
    whose address or headers change is removed and added again. A new server is added once no other one with its name
    or address is left: two connections with one client id would take each other's frames. Only the servers of a
    `ClientPool` can change. A server that is configured is used instead of one of a worker with the same name.
    """

    def __init__(
        self,
        clients: Mapping[ServerName, ServerClients],
        settings: Mapping[ServerName, ServerSettings],
        *,
        pauses: Pauses = backoff,
    ) -> None:
        self._pool = clients if isinstance(clients, ClientPool) else None
        self._pauses = pauses
        self._settings = dict(settings)
        self._configured: Mapping[ServerName, ConfiguredServer] = {}
        self._offered: Mapping[ServerName, ConfiguredServer] = {}
        self._wanted: Mapping[ServerName, ConfiguredServer] | None = None
        self._wakes = Mailbox[None](lambda _: "wake")
        self._leaving: set[ServerName] = set()
        self._ends: dict[ServerName, _End] = {}
        self.clients = clients
        self.comfies: Mapping[ServerName, Comfy] = Comfies(clients)
        self.nodes = {name: NodeCache(each.comfy) for name, each in clients.items()}
        self.connections: dict[ServerName, Connection] = {}
        self._actors: dict[ServerName, ConnectionActor] = {}
        for name, each in clients.items():
            self._prepare(name, each)
        self.configured: Mapping[ServerName, Server] = self._pool.servers if self._pool is not None else {}
        self.off = OffServers(self.connections)
        for name, server in self.configured.items():
            known = {name: ConfiguredServer(server, self._settings.get(name, ServerSettings()))}
            if server.url.startswith(f"{WORKER_SCHEME}:"):
                self._offered = {**self._offered, **known}
            else:
                self._configured = {**self._configured, **known}
        self.handle = Servers(self._configure, self._offer)

    def _prepare(self, name: ServerName, clients: ServerClients) -> None:
        actor = ConnectionActor(name, clients.connect, clients.probe, pauses=self._pauses)
        self.connections[name], self._actors[name] = actor.handle, actor

    def _configure(self, wanted: Mapping[ServerName, ConfiguredServer]) -> None:
        self._configured = wanted
        self._wanted = {**self._offered, **wanted}
        self._wakes.put(None)

    def _offer(self, offered: Mapping[ServerName, ConfiguredServer]) -> None:
        if doubled := sorted(name for name in offered if name in self._configured and name not in self._offered):
            logger.warning("a worker is not used, because a configured server has its name", servers=doubled)
        self._offered = offered
        self._wanted = {**offered, **self._configured}
        self._wakes.put(None)

    async def run(self, registry: Registry, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep the connections of all servers open until cancelled."""
        async with self._wakes, anyio.create_task_group() as tasks:
            for name in list(self._actors):
                await tasks.start(self._connect, name, registry, name=f"connection {name}")
            task_status.started()
            while True:
                await self._wakes.receive()
                if self._wanted is not None and self._pool is not None:
                    await self._apply(self._wanted, self._pool, registry, tasks)

    async def _connect(self, name: ServerName, registry: Registry, *, task_status: TaskStatus[None]) -> None:
        """Run the connection of a server until the server is removed."""
        end = self._ends[name] = _End(anyio.CancelScope(), anyio.Event())
        try:
            with end.scope:
                await self._actors[name].run(registry.inbox.clone(), task_status=task_status)
        finally:
            end.reached.set()

    async def _apply(
        self, wanted: Mapping[ServerName, ConfiguredServer], pool: ClientPool, registry: Registry, tasks: TaskGroup
    ) -> None:
        """Do what can be done now; the end of each removal leads to another call."""
        for name, server in list(pool.servers.items()):
            new = wanted.get(name)
            if name in self._leaving:
                continue
            if new is None or _reach(new.server) != _reach(server):
                self._leaving.add(name)
                tasks.start_soon(self._remove, name, pool, registry, name=f"remove {name}")
                continue
            pool.servers[name] = new.server
            if new.settings != self._settings.get(name, ServerSettings()):
                logger.info("the settings of a server changed", server=name)
                self._settings[name] = new.settings
                await registry.set_server(name, new.settings)
        for name, new in wanted.items():
            if name in pool or any(same_server(new.server, other) for other in pool.servers.values()):
                continue
            add = partial(self._add, new, pool, registry, tasks)
            await run_request(add, "a server could not be added", server=name)

    async def _add(self, new: ConfiguredServer, pool: ClientPool, registry: Registry, tasks: TaskGroup) -> None:
        name = new.server.label
        clients = await pool.open(new.server)
        self.nodes[name], self._settings[name] = NodeCache(clients.comfy), new.settings
        self._prepare(name, clients)
        await registry.set_server(name, new.settings)
        await tasks.start(self._connect, name, registry, name=f"connection {name}")
        logger.info("a server was added", server=name)

    async def _remove(self, name: ServerName, pool: ClientPool, registry: Registry) -> None:
        logger.info("a server is removed once it has nothing left to do", server=name)
        await registry.remove_server(name)
        self._ends[name].scope.cancel()
        await self._ends.pop(name).reached.wait()
        del self.connections[name], self._actors[name], self.nodes[name]
        self._settings.pop(name, None)
        closing = partial(pool.close, name)
        await run_request(closing, "the client of a server could not be closed", server=name)
        self._leaving.discard(name)
        logger.info("a server was removed", server=name)
        self._wakes.put(None)


class _End(Struct, frozen=True):
    """How to end the connection of a server: cancel `scope`, and wait for `reached`."""

    scope: anyio.CancelScope
    reached: anyio.Event


def _reach(server: Server) -> Server:
    """What must be equal for the clients of a server to stay open."""
    return replace(server, name="", failover_after=None, weight=1.0, workflows=None, power=None)
