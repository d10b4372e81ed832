"""One process's connection to the modelled engine, and what happens on it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import anyio
import anyio.lowlevel

from app.backoff import backoff
from app.config.engine import EngineSettings
from app.engine.connection import ANSWER_SECONDS, Argument, Engine, Entry
from app.ports import ConnectionLost
from app.reasons.servers import EngineAway, EngineRefuses
from tests.simulation.engine.model import EngineFull, EngineModel

T = TypeVar("T")

WAY = 0.002
"""Seconds that a command, and that an answer, may take while all is well."""

SLOW = 1.5
"""The same while it is slow: commands of several connections overtake each other."""

SETTINGS = EngineSettings(host="modelled", port=6379)


class ModelledEngine(Engine):
    """See `app.engine.connection.Engine`: the same commands for one process, which reaches the model through faults."""

    def __init__(
        self,
        model: EngineModel,
        rng: random.Random,
        gate: Callable[[], Awaitable[None]] = anyio.lowlevel.checkpoint,
    ) -> None:
        """`gate` returns once the process does not stand still; it raises `ConnectionLost` if the process is dead."""
        super().__init__(SETTINGS, None, backoff)
        self.reason = None
        self._gate = gate
        self._model = model
        self._rng = rng
        self._cuts = 0
        self._away_until = self._silent_until = self._slow_until = float("-inf")
        self.lost_answers = 0
        """How many of the next answers are lost, after the command was done."""
        self.doubled = 0
        """How many of the next commands are done twice."""

    @property
    def is_well(self) -> bool:
        """Whether commands arrive."""
        return anyio.current_time() >= max(self._away_until, self._silent_until) and not self.lost_answers

    def calm(self) -> None:
        """From now on all is well."""
        self._away_until = self._silent_until = self._slow_until = float("-inf")
        self.lost_answers = self.doubled = 0

    def cut(self, seconds: float) -> None:
        """Lose the connection, with all that is under way, and get no other one for so many seconds."""
        self._cuts += 1
        self._away_until = anyio.current_time() + seconds
        self._model.changed.set()
        self._model.changed = anyio.Event()

    def silence(self, seconds: float) -> None:
        """Let what is sent arrive only after so many seconds, when nobody waits for its answer any more."""
        self._silent_until = anyio.current_time() + seconds

    def slow(self, seconds: float) -> None:
        """Let commands and answers take long."""
        self._slow_until = anyio.current_time() + seconds

    async def ready(self) -> None:
        """See `Engine`."""
        await self._gate()
        while anyio.current_time() < self._away_until:  # noqa: ASYNC110  it may be cut again meanwhile
            await anyio.sleep_until(self._away_until)

    async def keep(self) -> None:
        """See `Engine`: there is nothing to be built."""
        await anyio.sleep_forever()

    def _check(self, cuts: int) -> None:
        if cuts != self._cuts or anyio.current_time() < self._away_until:
            raise ConnectionLost(EngineAway("cut off"))

    async def _way(self) -> None:
        longest = SLOW if anyio.current_time() < self._slow_until else WAY
        await anyio.sleep(self._rng.uniform(0, longest))

    async def _do(self, act: Callable[[], T]) -> T:
        """One command: there, done, and back, or what became of it."""
        await self._gate()
        cuts = self._cuts
        self._check(cuts)
        await self._way()
        if (late := self._silent_until - anyio.current_time()) > 0:
            # It is done although whoever sent it has given up long since.
            if late > ANSWER_SECONDS:
                await anyio.sleep(ANSWER_SECONDS)
                raise ConnectionLost(EngineAway("no answer in time"))
            await anyio.sleep(late)
        self._check(cuts)
        try:
            answer = act()
            if self.doubled:
                self.doubled -= 1
                act()
        except EngineFull as error:
            await self._gate()
            raise ConnectionLost(EngineRefuses(str(error))) from None
        await self._way()
        await self._gate()
        self._check(cuts)
        if self.lost_answers:
            self.lost_answers -= 1
            raise ConnectionLost(EngineAway("the answer was lost"))
        return answer

    async def measure(self) -> None:
        """See `Engine`."""
        began = anyio.current_time()
        await self._do(lambda: None)
        self.round_trip = anyio.current_time() - began

    async def set(self, key: str, value: bytes, seconds: float, *, only_new: bool = False) -> bool:
        """See `Engine`."""
        return await self._do(lambda: self._model.set(key, value, round(seconds * 1000), only_new=only_new))

    async def get(self, key: str) -> bytes | None:
        """See `Engine`."""
        return await self._do(lambda: self._model.get(key))

    async def take(self, key: str) -> bytes | None:
        """See `Engine`."""
        return await self._do(lambda: self._model.take(key))

    async def values(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `Engine`."""
        return await self._do(lambda: [self._model.get(key) for key in keys]) if keys else []

    async def delete(self, *keys: str) -> int:
        """See `Engine`."""
        return await self._do(lambda: self._model.delete(keys))

    async def expire(self, key: str, seconds: float) -> bool:
        """See `Engine`."""
        return await self._do(lambda: self._model.expire(key, round(seconds * 1000)))

    async def keys(self, pattern: str) -> list[str]:
        """See `Engine`."""
        return await self._do(lambda: self._model.keys(pattern))

    async def script(self, source: str, keys: Sequence[str], arguments: Sequence[Argument]) -> object:
        """See `Engine`."""
        return await self._do(lambda: self._model.script(source, keys, arguments))

    async def read(self, positions: Mapping[str, str], *, block: float, most: int = 100) -> dict[str, list[Entry]]:
        """See `Engine`."""
        cuts, until = self._cuts, anyio.current_time() + block
        changed = self._model.changed

        def look() -> dict[str, list[Entry]]:
            nonlocal changed
            # An entry that comes while the answer is on its way is not missed.
            changed = self._model.changed
            return self._model.read(positions, most)

        while True:
            if streams := await self._do(look):
                return streams
            with anyio.move_on_after(max(0.0, until - anyio.current_time())) as scope:
                await changed.wait()
            if scope.cancelled_caught:
                return {}
            self._check(cuts)

    async def range(self, stream: str, start: str = "-", end: str = "+", most: int | None = None) -> list[Entry]:
        """See `Engine`."""
        return await self._do(lambda: self._model.range(stream, start, end, most))

    async def remove(self, stream: str, *entries: str) -> int:
        """See `Engine`."""
        return await self._do(lambda: self._model.remove(stream, entries))

    async def time(self) -> float:
        """See `Engine`."""
        return await self._do(self._model.clock)
