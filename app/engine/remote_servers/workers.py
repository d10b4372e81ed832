"""Finds the workers that the engine knows, and offers their ComfyUI servers to the front."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from urllib.parse import urlsplit

import anyio
import structlog
from msgspec import Struct

from app.actors.client_pool import ServerClients
from app.actors.servers import ConfiguredServer
from app.config.settings import WORKER_SCHEME, Server
from app.core.servers.state import ServerSettings
from app.engine.connection import Engine
from app.engine.follower import Follower
from app.engine.keys import NAME, replies_key, wake_key
from app.engine.messages import OfferedServer, Registration
from app.engine.registrations import Registered, registered
from app.engine.remote_servers.comfy import RemoteComfy, Save
from app.engine.remote_servers.listening import listening
from app.engine.remote_servers.remote_worker import RemoteWorker
from app.entry_points import run_loop
from app.events import ServerName
from app.ports import ConnectionLost, RunSync
from app.reasons.servers import WorkerAway

logger = structlog.stdlib.get_logger(__name__)

LOOK = 1.0
"""Seconds between two looks at who is registered."""

FIRST_LOOK = 10.0
"""Seconds that a front waits at its start for the engine, so that it knows the workers that have its jobs."""

FAILOVER = 7
"""Seconds that a worker may be away before its jobs move: with lease and looks, less than 15 s after it was killed."""

FORGOTTEN_AFTER = 900.0
"""Seconds after which a worker that is away is no server any more."""


class FrontSettings(Struct, frozen=True, kw_only=True):
    """What a front brings along. `client_id` is the base of the ids by which ComfyUI knows it, as for other servers.

    `lease` is the key and the value of the lease of a front that others may replace.
    """

    client_id: str
    save: Save
    run_sync: RunSync
    largest_result: int
    lease: tuple[str, bytes] | None = None


class Workers:
    """Owns what the front knows of all workers."""

    def __init__(self, engine: Engine, settings: FrontSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._id = uuid.uuid4().hex
        self._follower = Follower(engine, wake_key(self._id), self._lose_answers)
        self._workers: dict[str, RemoteWorker] = {}
        self._servers: dict[str, dict[ServerName, ConfiguredServer]] = {}
        self._away_since: dict[str, float] = {}
        self._last_signs: dict[str, float] = {}
        """When each worker has last renewed its lease, by the clock of the event loop."""
        self._refused: dict[str, str] = {}
        """What is wrong with registrations that cannot be used; each is logged once."""
        self._streams = ExitStack()

    def _lose_answers(self) -> None:
        for worker in self._workers.values():
            worker.lose_answers()

    @property
    def offered(self) -> dict[ServerName, ConfiguredServer]:
        """The servers of all workers, also of those that have been away for a while."""
        return {name: server for servers in self._servers.values() for name, server in servers.items()}

    def registration(self, name: str) -> Registration | None:
        """What a worker says of itself; None while it is away."""
        worker = self._workers.get(name)
        return None if worker is None else worker.registration

    @property
    def engine(self) -> Engine:
        """The engine through which they work."""
        return self._engine

    @property
    def here(self) -> int:
        """How many workers are there now."""
        return sum(worker.registration is not None for worker in self._workers.values())

    @property
    def lags(self) -> dict[ServerName, tuple[str, float]]:
        """The worker of each server, and the seconds since its last sign."""
        now = anyio.current_time()
        return {
            server: (worker, now - self._last_signs[worker])
            for worker, servers in self._servers.items()
            for server in servers
        }

    @property
    def settings(self) -> dict[ServerName, ServerSettings]:
        """What the registry needs to know of these servers."""
        return {name: offered.settings for name, offered in self.offered.items()}

    async def run(self, offer: Callable[[Mapping[ServerName, ConfiguredServer]], None]) -> None:
        """Look for workers until cancelled, and offer their servers whenever these change."""
        last = self.offered

        async def step() -> float:
            nonlocal last
            await self.look()
            if last != (offered := self.offered):
                last = offered
                offer(offered)
            return LOOK

        await run_loop(step, "the workers could not be looked up")

    async def first_look(self) -> None:
        """Find the workers before anything else, if the engine can be reached soon."""
        with anyio.move_on_after(FIRST_LOOK):
            await self._engine.ready()
            await self.look()

    async def look(self) -> None:
        """Compare who is registered with who is known. While the engine is away, everything stays as it is."""
        try:
            await self._engine.measure()
            workers = await registered(self._engine)
        except ConnectionLost:
            return
        now = anyio.current_time()
        usable = {name: worker for name, worker in workers.items() if self._is_usable(name, worker)}
        for name, worker in usable.items():
            self._last_signs[name] = now - worker.age
            if worker.registration is not None:
                await self._register(name, worker.registration)
        for name, worker in self._workers.items():
            if name in usable:
                continue
            if worker.registration is not None:
                logger.warning("a worker is away", worker=name)
                self._away_since[name] = now
                worker.register(None)
            elif now - self._away_since[name] >= FORGOTTEN_AFTER:
                self._servers.pop(name, None)

    def _is_usable(self, name: str, worker: Registered) -> bool:
        if worker.problem and self._refused.get(name) != worker.problem:
            self._refused[name] = worker.problem
            logger.warning("a worker cannot be used", worker=name, problem=worker.problem[:200])
        return not worker.problem

    async def _register(self, name: str, registration: Registration) -> None:
        worker = self._workers.get(name)
        if worker is None:
            client, lease = partial(self._client_of, name), self._settings.lease
            worker = RemoteWorker(self._engine, name, self._id, client, lease)
            self._streams.enter_context(self._follower.follow(replies_key(name, self._id), worker.receive))
            self._workers[name] = worker
            with suppress(ConnectionLost):
                # Without the engine the reader waits for nothing that would have to end.
                await self._follower.wake()
        if worker.registration is None or worker.registration.session != registration.session:
            logger.info("a worker is here", worker=name, program=registration.program)
        worker.register(registration)
        self._servers[name] = _configured(name, registration)

    def _client_of(self, worker: str, label: str) -> str:
        """The id by which a worker's ComfyUI knows us: the same after a restart, and none that another server gets."""
        return str(uuid.uuid5(uuid.UUID(self._settings.client_id), server_name(worker, label)))

    @asynccontextmanager
    async def open_clients(self, server: Server) -> AsyncGenerator[ServerClients]:
        """The clients of a server that a worker offers."""
        parts = urlsplit(server.url)
        worker, label = self._workers[parts.netloc], parts.path.strip("/")
        settings = self._settings

        async def probe() -> None:
            if worker.registration is None:
                raise ConnectionLost(WorkerAway())

        comfy = RemoteComfy(worker, label, settings.save, settings.run_sync, settings.largest_result)
        yield ServerClients(comfy, partial(listening, worker, label, self._follower), probe)

    async def follow(self) -> None:
        """Receive what the workers send, until cancelled."""
        with self._streams:
            await self._follower.run()


def server_name(worker: str, label: str) -> ServerName:
    """What people call a server of a worker."""
    return ServerName(f"{worker}/{label}" if label else worker)


def _configured(worker: str, registration: Registration) -> dict[ServerName, ConfiguredServer]:
    """The servers of a worker, without those whose label cannot be part of a name."""
    offered = [each for each in registration.servers if not each.label or NAME.fullmatch(each.label)]
    return {server_name(worker, each.label): _configured_server(worker, each) for each in offered}


def _configured_server(worker: str, offered: OfferedServer) -> ConfiguredServer:
    server = Server(
        url=f"{WORKER_SCHEME}://{worker}/{offered.label}",
        name=server_name(worker, offered.label),
        failover_after=FAILOVER,
        weight=offered.weight,
        workflows=offered.workflows,
    )
    settings = ServerSettings(
        failover_after=FAILOVER,
        running_patience=1,
        weight=offered.weight,
        workflows=None if offered.workflows is None else frozenset(offered.workflows),
    )
    return ConfiguredServer(server, settings)
