"""What Discord said a short time ago."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from app.discord.messages.ports import SendError
from app.entry_points import run_request

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

CURRENT = 270.0
"""Seconds for which an answer counts, from when it was asked for.

An open page asks again every 20 seconds, and waits some seconds for the answer. So a right that is taken away counts
within five minutes.
"""

MOST_KEPT = 10_000
"""Answers that are kept; the oldest are dropped."""


class _Reading(Generic[V]):
    """An answer that is being asked for. `failure` is why there is none."""

    def __init__(self) -> None:
        self.over = anyio.Event()
        self.answers: list[V] = []
        self.failure: SendError | None = None


class Remembered(Generic[K, V]):
    """Keeps answers of Discord for `current` seconds. Each is asked for in `tasks`, by one request however many wait.

    Who waits may be cancelled, the request may not: hikari's queue for a rate limit would stop for good.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        read: Callable[[K], Awaitable[V]],
        clock: Callable[[], float] = anyio.current_time,
        current: float = CURRENT,
    ) -> None:
        self._current = current
        self._clock = clock
        self._tasks = tasks
        self._read = read
        self._known: dict[K, tuple[V, float]] = {}
        """The answers, and until when they count; oldest first."""
        self._readings: dict[K, _Reading[V]] = {}

    async def get(self, key: K) -> V:
        """The answer for a key, at most `current` seconds old. Raises `SendError` if Discord does not answer."""
        if (known := self._known.get(key)) is not None and self._clock() < known[1]:
            return known[0]
        if (reading := self._readings.get(key)) is None:
            reading = self._readings[key] = _Reading[V]()
            self._tasks.start_soon(self._ask, key, reading, name="ask Discord")
        await reading.over.wait()
        if not reading.answers:
            raise reading.failure or SendError()
        return reading.answers[0]

    def last(self, key: K) -> V | None:
        """The last answer for a key, however old; None if there is none."""
        known = self._known.get(key)
        return known[0] if known is not None else None

    def forget(self, concerns: Callable[[K, V], bool]) -> None:
        """Forget the answers for which this is true, and those that are being asked for now."""
        self._known = {key: known for key, known in self._known.items() if not concerns(key, known[0])}
        self._readings.clear()

    async def _ask(self, key: K, reading: _Reading[V]) -> None:
        began = self._clock()

        async def ask() -> None:
            try:
                reading.answers.append(await self._read(key))
            except SendError as error:
                reading.failure = error

        try:
            await run_request(ask, "an answer of Discord cannot be used")
        finally:
            reading.over.set()
        if self._readings.get(key) is not reading:
            # It was forgotten meanwhile: what was answered may be what was true before.
            return
        del self._readings[key]
        if reading.answers:
            self._known.pop(key, None)
            self._known[key] = reading.answers[0], began + self._current
            if len(self._known) > MOST_KEPT:
                del self._known[next(iter(self._known))]
