"""The conflating stream: a place where news wait for one reader, and whose writer never waits."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import ObjectReceiveStream

T = TypeVar("T")


class Mailbox(ObjectReceiveStream[T], Generic[T]):
    """Milestones queue up; of each volatile kind only the newest is kept, in its predecessor's place.

    `slot` names the place of a volatile item, None for a milestone. The writer calls `put` and, after the
    last word, `end`; the reader iterates, which stops after the last word, and closes.
    """

    def __init__(self, slot: Callable[[T], Hashable | None]) -> None:
        self._slot = slot
        self._pending: dict[Hashable, T] = {}
        self._change = anyio.Event()
        self._ended = False
        self._closed = False

    def put(self, item: T) -> bool:
        """Leave an item; False if nobody will read it any more. After `end` nothing is taken."""
        if self._closed or self._ended:
            return False
        slot = self._slot(item)
        self._pending[object() if slot is None else slot] = item
        self._change.set()
        return True

    def end(self) -> None:
        """Say that the last word is in: the reader gets what is pending, and then the stream ends."""
        self._ended = True
        self._change.set()

    async def ended(self) -> None:
        """Wait for the last word to be in (not: to be read); for the one reader, between two items."""
        while not self._ended:
            self._change = anyio.Event()
            await self._change.wait()

    async def receive(self) -> T:
        """Take the oldest item. Raises `EndOfStream` after the last, `ClosedResourceError` when closed."""
        if self._pending or self._closed or self._ended:
            # Waiting is a checkpoint of its own, and a second one would cost as much as all the rest.
            await anyio.lowlevel.checkpoint()
        while not self._pending:
            if self._closed:
                raise anyio.ClosedResourceError
            if self._ended:
                raise anyio.EndOfStream
            self._change = anyio.Event()
            await self._change.wait()
        return self._pending.pop(next(iter(self._pending)))

    def drain(self) -> list[T]:
        """Take all that is pending, without waiting."""
        items = list(self._pending.values())
        self._pending.clear()
        return items

    async def aclose(self) -> None:
        """Stop reading: what is pending is forgotten, and the writer is told at its next `put`."""
        self._closed = True
        self._pending.clear()
        self._change.set()
