"""A front and a worker in one process, over a real Valkey; ComfyUI is the simulator, or what a test makes of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import repeat
from pathlib import Path

import anyio
import httpx
from anyio import to_thread
from anyio.abc import TaskGroup
from msgspec import Struct

from app.actors.client_pool import ServerClients
from app.actors.registry import new_prompt_id
from app.comfy.client import open_comfy_client
from app.comfy.download import save
from app.comfy.websocket.connect import connect
from app.config.engine import EngineSettings
from app.config.settings import Server
from app.engine.connection import Engine, open_engine
from app.engine.messages import OfferedServer
from app.engine.remote_servers.workers import FrontSettings, Workers
from app.engine.worker.hosts import OpenHost
from app.engine.worker.session import WorkerSettings, work
from app.events import ServerName
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import application

NAME = "attic"
HERE = ServerName(NAME)
SERVER = Server(url="http://simulator")
CLIENT = str(new_prompt_id())
PATIENCE = 30.0


def soon() -> Iterator[float]:
    return repeat(0.01)


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110  what another process does sets no event
            await anyio.sleep(0.005)


async def save_stream(stream: AsyncIterator[bytes], to: Path, size: int) -> None:
    await save(stream, to, to_thread.run_sync, expected=size)


def simulated(simulator: Simulator) -> OpenHost:
    """Opens the clients of a simulator in memory."""

    @asynccontextmanager
    async def open_host(server: Server, client_id: str) -> AsyncGenerator[ServerClients]:
        transport = httpx.ASGITransport(application(simulator))
        async with open_comfy_client(server, client_id, transport=transport) as comfy:
            yield ServerClients(comfy, partial(connect, partial(simulator.connect, client_id)))

    return open_host


def worker_settings(folder: Path, name: str = NAME) -> WorkerSettings:
    folder.mkdir(parents=True, exist_ok=True)
    return WorkerSettings(
        name=name,
        servers={"": SERVER},
        offer=lambda: (OfferedServer(),),
        folder=folder,
        program="test",
        run_sync=to_thread.run_sync,
    )


class Pair(Struct):
    """A front that knows a worker, each with its own connection to the engine."""

    front: Engine
    workers: Workers
    worker: Engine
    tasks: TaskGroup

    async def known(self, name: ServerName = HERE) -> Server:
        """The server of the worker, once the front knows it."""
        with anyio.fail_after(PATIENCE):
            while name not in self.workers.offered:
                await self.workers.look()
                await anyio.sleep(0.01)
        return self.workers.offered[name].server

    @asynccontextmanager
    async def clients(self) -> AsyncGenerator[ServerClients]:
        async with self.workers.open_clients(await self.known()) as clients:
            yield clients


@asynccontextmanager
async def connected(settings: EngineSettings) -> AsyncGenerator[Engine]:
    async with open_engine(settings, pauses=soon) as engine:
        with anyio.fail_after(PATIENCE):
            await engine.ready()
        yield engine


@asynccontextmanager
async def pair(database: EngineSettings, folder: Path, open_host: OpenHost | None = None) -> AsyncGenerator[Pair]:
    """A front and, if there is something for it to offer, a worker."""
    settings = FrontSettings(client_id=CLIENT, save=save_stream, run_sync=to_thread.run_sync, largest_result=2**30)
    async with connected(database) as front, connected(database) as engine, anyio.create_task_group() as tasks:
        workers = Workers(front, settings)
        tasks.start_soon(workers.follow, name="front")
        if open_host is not None:
            tasks.start_soon(work, engine, worker_settings(folder / "worker"), open_host, name="worker")
        try:
            yield Pair(front, workers, engine, tasks)
        finally:
            tasks.cancel_scope.cancel()
