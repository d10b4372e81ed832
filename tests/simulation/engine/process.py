"""One process of a fleet: it may stand still, die, and be told to stop; what leaves it passes its gate."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import ParamSpec, TypeVar

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectSendStream

from app.discord.messages.ports import Away
from app.discord.request_deadline import may_begin
from app.ports import ConnectionLost
from app.reasons.servers import OutOfReach
from tests.simulation.board import DEPART
from tests.simulation.engine.connection import ModelledEngine
from tests.simulation.engine.model import EngineModel

WRITING = 0.02
"""Seconds that a request may take until it is on its way."""

P = ParamSpec("P")
T = TypeVar("T")


class Process:
    """Owns the successive lives of one process. `path` is its data folder."""

    def __init__(self, name: str, path: Path, model: EngineModel, rng: random.Random) -> None:
        self.name = name
        self.path = path
        self.down = 1.0
        """Seconds between two lives."""
        self.hurt_until = float("-inf")
        """Until when what it publishes may not arrive."""
        self.scope = anyio.CancelScope()
        self.signals: MemoryObjectSendStream[int] | None = None
        """Where it gets signals; None if it does not listen to any."""
        self.patience = 0
        """How many signals it still takes."""
        self._model = model
        self._rng = rng
        self._still_until = float("-inf")
        self._is_dead = True
        self.engine = ModelledEngine(model, rng)

    @property
    def is_up(self) -> bool:
        """Whether it runs, and does not stand still."""
        return not self._is_dead and anyio.current_time() >= self._still_until

    def begin(self) -> None:
        """Begin a life."""
        self._is_dead, self._still_until = False, float("-inf")
        self.engine = ModelledEngine(self._model, self._rng, self.gate)
        self.scope = anyio.CancelScope()
        self.signals = None

    def kill(self, down: float) -> None:
        """End its life: what it does while its tasks end reaches nobody."""
        self.down, self._is_dead = down, True
        self.scope.cancel()

    def freeze(self, seconds: float) -> None:
        """Let it stand still for so many seconds, unless it is dead."""
        self._still_until = max(self._still_until, anyio.current_time() + seconds)

    def thaw(self) -> None:
        """Let it go on."""
        self._still_until = float("-inf")

    async def gate(self) -> None:
        """Return once it does not stand still. Raises `ConnectionLost` if it is dead."""
        await anyio.lowlevel.checkpoint()
        while anyio.current_time() < self._still_until and not self._is_dead:  # noqa: ASYNC110  it may be thawed before
            await anyio.sleep(min(0.5, self._still_until - anyio.current_time()))
        if self._is_dead:
            raise ConnectionLost(OutOfReach("the process is dead"))

    def gated(self, call: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """The same call, which is not begun before the process goes on."""

        async def through(*args: P.args, **kwargs: P.kwargs) -> T:
            await self.gate()
            return await call(*args, **kwargs)

        return through


PROCESS: ContextVar[Process] = ContextVar("PROCESS")
"""The process that a task belongs to."""


class GatedSender:
    """A sender whose calls are begun, and leave, only while a process does not stand still: see `Process.gate`.

    A process may stand still between its last look whether a request may begin and the request itself.
    """

    def __init__(self, process: Process, sender: object, left: Callable[[], None] = lambda: None) -> None:
        """`left` is called when a request may begin."""
        self._process = process
        self._sender = sender
        self._left = left

    def __getattr__(self, name: str) -> Callable[..., Awaitable[object]]:
        call = self._process.gated(getattr(self._sender, name))

        async def through(*args: object) -> object:
            token = DEPART.set(self._depart)
            try:
                return await call(*args)
            finally:
                DEPART.reset(token)

        return through

    async def _depart(self) -> None:
        await self._process.gate()
        if not may_begin():
            raise Away("inactive")
        self._left()
        await anyio.sleep(WRITING)
        await self._process.gate()
