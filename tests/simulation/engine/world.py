"""A front and its workers over the modelled engine, on virtual time, while their connections and processes fail.

ComfyUI is only what counts here: it takes prompts, and sends one numbered event after the other.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import anyio
from anyio.abc import TaskGroup

from app.actors.client_pool import ServerClients
from app.config.settings import Server
from app.engine.messages import OfferedServer, Request, Submit, decode
from app.engine.remote_servers.workers import FrontSettings, Workers
from app.engine.worker.session import WorkerSettings, work
from app.events import ExecutionStarted, PromptId, ServerEvent, ServerName
from app.ports import Comfy, ConnectionLost, Graph, Ticket
from tests.conftest import inline
from tests.simulation.engine.connection import ModelledEngine
from tests.simulation.engine.model import EngineModel

NAMES = ("attic", "cellar")

TROUBLE = 120.0
"""Seconds in which something goes wrong."""

CALM = 60.0
"""Seconds without faults, after the half of which every prompt must be taken."""

FORGOTTEN = 1.0
"""Seconds of which the engine forgets everything at a failover."""

UNDER_WAY = 5.0
"""Seconds around a failover in which a worker may have claimed what the engine then forgets: a claim and its answer may
take three seconds."""

FRAME = 0.3
"""Seconds between two events of a websocket."""

CLIENT = "00000000-0000-4000-8000-000000000001"


class World:
    """Owns one world; `wrong` are the promises that were broken."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._rng = random.Random(seed)
        self._folder = folder
        self._model = EngineModel(lambda: 1e9 + anyio.current_time())
        self.wrong: list[str] = []
        self.posted = Counter[str]()
        self.withdrawn: dict[str, float] = {}
        """When the front took requests back that nobody had begun with."""
        self._posted_at: dict[str, float] = {}
        self._fail_overs: list[float] = []
        self.events = 0
        self._sockets = 0
        self._calm_since = float("inf")
        self._worker_scopes = {name: anyio.CancelScope() for name in NAMES}
        self._connections: list[ModelledEngine] = []

    async def play(self) -> None:
        """Let everything go wrong for a while, then nothing."""
        front = Front(self)
        settings = FrontSettings(client_id=CLIENT, save=never, run_sync=inline, largest_result=1)
        workers = Workers(front, settings)
        self._connections.append(front)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(workers.follow)
            tasks.start_soon(partial(workers.run, lambda _: None))
            for name in NAMES:
                tasks.start_soon(self._run_worker, name)
            for name in NAMES:
                tasks.start_soon(self._use, workers, name, tasks)
            await self._trouble()
            self._calm_since = anyio.current_time()
            await anyio.sleep(CALM)
            tasks.cancel_scope.cancel()
        self.wrong += [f"{prompt} was posted {count} times" for prompt, count in self.posted.items() if count > 1]
        self.wrong += [
            f"{prompt} was withdrawn, and posted" for prompt in self.withdrawn if self._is_posted_late(prompt)
        ]

    def _is_posted_late(self, prompt: str) -> bool:
        """Whether a prompt was posted after it was withdrawn, although the engine forgot neither that nor a claim."""
        withdrawn_at, posted_at = self.withdrawn[prompt], self._posted_at.get(prompt, 0.0)
        is_forgotten = any(abs(withdrawn_at - at) <= UNDER_WAY for at in self._fail_overs)
        return posted_at > withdrawn_at and not is_forgotten

    async def _trouble(self) -> None:
        ends = anyio.current_time() + TROUBLE
        while anyio.current_time() < ends:
            await anyio.sleep(self._rng.uniform(0, 5))
            connection, seconds = self._rng.choice(self._connections), self._rng.choice((0.5, 3.0, 12.0))
            match self._rng.randrange(8):
                case 0:
                    connection.cut(seconds)
                case 1:
                    connection.silence(seconds)
                case 2 | 3 | 4:
                    connection.slow(seconds)
                case 5:
                    connection.lost_answers += 2
                case 6:
                    self._model.fail_over(FORGOTTEN)
                    self._fail_overs.append(anyio.current_time())
                case _:
                    self._worker_scopes[self._rng.choice(NAMES)].cancel()
        for connection in self._connections:
            connection.calm()

    async def _run_worker(self, name: str) -> None:
        """One process of a worker after the other, each of which dies."""
        while True:
            engine = ModelledEngine(self._model, self._rng)
            self._connections.append(engine)
            settings = WorkerSettings(
                name=name,
                servers={"": Server(url="http://simulated")},
                offer=lambda: (OfferedServer(),),
                folder=self._folder,
                program="test",
                run_sync=inline,
            )
            with anyio.CancelScope() as self._worker_scopes[name]:
                await work(engine, settings, self._open_host)
            # Nobody gives the name up for a process that was killed.
            self._connections.remove(engine)
            await anyio.sleep(self._rng.uniform(0, 3))

    @asynccontextmanager
    async def _open_host(self, _: Server, __: str) -> AsyncGenerator[ServerClients]:
        yield ServerClients(cast("Comfy", self), self._connect)

    async def submit(self, prompt: PromptId, _: Graph, *, paid: bool = False) -> Ticket:
        """See `app.ports.Comfy`: the ComfyUI of each worker."""
        assert not paid
        self.posted[prompt] += 1
        self._posted_at[prompt] = anyio.current_time()
        await anyio.sleep(self._rng.uniform(0, 0.1))
        return Ticket(prompt)

    @asynccontextmanager
    async def _connect(self) -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        async def frames() -> AsyncIterator[ServerEvent]:
            number = 0
            while True:
                await anyio.sleep(FRAME)
                number += 1
                yield ExecutionStarted(prompt=PromptId(str(number)))

        yield frames()

    async def _use(self, workers: Workers, name: str, tasks: TaskGroup) -> None:
        """What a front does with one server: it submits and listens, each again and again."""
        while ServerName(name) not in workers.offered:  # noqa: ASYNC110  the look sets no event
            await anyio.sleep(0.1)
        async with workers.open_clients(workers.offered[ServerName(name)].server) as clients:
            tasks.start_soon(self._listen, clients)
            count = 0
            while True:
                count += 1
                prompt, taken = PromptId(f"{name} {count}"), False
                asked_at = anyio.current_time()
                with anyio.move_on_after(self._rng.choice((0.1, 1.0, 20.0))) as scope:
                    try:
                        taken = (await clients.comfy.submit(prompt, {})).prompt == prompt
                    except ConnectionLost:
                        await anyio.sleep(0.2)
                if taken and not self.posted[prompt]:
                    self.wrong.append(f"{prompt} was never posted, and counts as taken")
                if asked_at > self._calm_since + CALM / 2 and not (taken or scope.cancelled_caught):
                    self.wrong.append(f"{prompt} was not taken although all is well")
                await anyio.sleep(self._rng.uniform(0, 1))

    async def _listen(self, clients: ServerClients) -> None:
        """Read the events of one websocket after the other, each from its first event and without a gap."""
        while True:
            expected = 0
            try:
                async with clients.connect() as events:
                    async for event in events:
                        expected += 1
                        self.events += 1
                        if event != ExecutionStarted(prompt=PromptId(str(expected))):
                            self.wrong.append(f"an event is missing before {event}")
                            break
            except ConnectionLost:
                await anyio.sleep(0.5)


class Front(ModelledEngine):
    """The front's connection, which notes each request that was taken back before anybody did it."""

    def __init__(self, world: World) -> None:
        super().__init__(world._model, world._rng)  # pyright: ignore[reportPrivateUsage]
        self._withdrawn = world.withdrawn

    async def remove(self, stream: str, *entries: str) -> int:
        """See `Engine`."""

        def act() -> int:
            data = {entry.id: entry.data for entry in self._model.range(stream, "-", "+", None)}
            removed = self._model.remove(stream, entries)
            for entry in entries:
                if entry in data and ":requests:" in stream:
                    call = decode(data[entry], Request).call
                    if isinstance(call, Submit):
                        self._withdrawn[call.prompt] = anyio.current_time()
            return removed

        return await self._do(act)


async def never(*_: object) -> None:
    """No file is fetched here."""
    raise AssertionError
