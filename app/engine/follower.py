"""Reads all streams that a front follows, by one blocking command on one connection."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import anyio
import structlog

from app.boundary import log_failure
from app.engine.connection import FIRST, Engine, Entry
from app.ports import ConnectionLost

logger = structlog.stdlib.get_logger(__name__)

BLOCK = 5.0
"""Seconds for which the command waits in the engine."""

WAKE_SECONDS = 60.0
"""Seconds after which the engine forgets the stream that wakes the reader."""

DELETED_FROM = 16 * 2**10
"""Bytes of entries that were read together, above which they are deleted in the engine, whose memory they take."""


class Follower:
    """Hands each new entry of the followed streams to their receivers, in order, until cancelled.

    Each stream has one reader, so what was read is deleted. A receiver must return at once, and raises nothing.
    """

    def __init__(self, engine: Engine, wake: str, lost: Callable[[], None]) -> None:
        """`lost` is called when the connection is lost: the engine may have forgotten entries that were not read."""
        self._engine = engine
        self._lost = lost
        self._wake = wake
        self._woken = FIRST
        self._positions: dict[str, str] = {}
        self._receivers: dict[str, Callable[[Entry], None]] = {}
        self._changed = anyio.Event()

    @contextmanager
    def follow(self, stream: str, receive: Callable[[Entry], None]) -> Generator[None]:
        """Receive the entries of a stream within the block, from the first on. Call `wake` after entering."""
        self._positions[stream], self._receivers[stream] = FIRST, receive
        self._changed.set()
        try:
            yield
        finally:
            del self._positions[stream], self._receivers[stream]

    async def wake(self) -> None:
        """Have the reader look at the streams that it follows now. Raises `ConnectionLost`."""
        await self._engine.add(self._wake, b"", longest=1, seconds=WAKE_SECONDS)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                await self._engine.ready()
                await self._step()
            except ConnectionLost:
                # The engine says in the log that it is away; the positions stay.
                self._lost()
                await anyio.sleep(0.01)

    async def _step(self) -> None:
        if not self._positions:
            self._changed = anyio.Event()
            await self._changed.wait()
        streams = await self._engine.read(self._positions | {self._wake: self._woken}, block=BLOCK)
        for entry in streams.pop(self._wake, ()):
            self._woken = entry.id
        for stream, entries in streams.items():
            for entry in entries:
                # What is no longer followed may have been read nevertheless.
                if stream in self._positions:
                    self._positions[stream] = entry.id
                    try:
                        self._receivers[stream](entry)
                    except Exception as error:  # noqa: BLE001  one message must not stop all others
                        log_failure(error, "a message of a worker could not be handled", stream=stream)
            await self._forget(stream, entries)

    async def _forget(self, stream: str, entries: list[Entry]) -> None:
        """Delete what was read, if that is worth a command: the engine itself keeps only so many entries."""
        if sum(len(entry.data) for entry in entries) >= DELETED_FROM:
            with suppress(ConnectionLost):
                await self._engine.remove(stream, *(entry.id for entry in entries))
