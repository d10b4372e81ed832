"""A simulated server that the `demo` command kills and starts again."""

from __future__ import annotations

from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from app.config.settings import Server
from app.simulator.engine.queue import Item
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import serve

STEPS = 12

STEP_TIME = 0.075
"""Seconds a step: each picture takes about a second, and the demo a quarter of a minute."""

FAILOVER_AFTER = 1
"""Seconds after which the jobs of a server that is away move. The configuration allows no less than five, which are too
long to look at."""


class DemoServer:
    """A simulated ComfyUI with a port of its own, which stays the same when it is killed and started again."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self._port = 0
        self._simulator = Simulator(folder)
        self._life = anyio.CancelScope()
        self._ended = anyio.Event()

    @property
    def config(self) -> Server:
        """What the configuration says of it; known once it was started."""
        return Server(url=f"http://127.0.0.1:{self._port}", name=self.name, failover_after=FAILOVER_AFTER)

    @property
    def running(self) -> Item | None:
        """The prompt that it runs, or None."""
        return self._simulator.running

    @property
    def unfinished(self) -> list[Item]:
        """The prompts that it would lose if it was killed now."""
        running = self._simulator.running
        return [*([running] if running is not None else []), *self._simulator.pending]

    async def start(self, tasks: TaskGroup) -> None:
        """Start it with an empty queue. Raises `OSError` if another program has taken its port."""
        self._simulator = Simulator(self._folder, steps=STEPS, step_time=STEP_TIME)
        self._life = anyio.CancelScope()
        self._ended = anyio.Event()
        self._port = await tasks.start(self._serve, name=self.name)

    async def kill(self) -> None:
        """Cut its connections, close its port, and forget its queue and history, as the end of its process does."""
        self._life.cancel()
        await self._ended.wait()

    async def _serve(self, *, task_status: TaskStatus[int] = TASK_STATUS_IGNORED) -> None:
        try:
            with self._life:
                await serve(self._simulator, "127.0.0.1", self._port, task_status=task_status)
        finally:
            self._ended.set()
