"""A conflating stream: holds items for one reader, and its writer never waits."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import ObjectReceiveStream

T = TypeVar("T")


class Mailbox(ObjectReceiveStream[T], Generic[T]):
    """A stream that queues milestones, and keeps only the newest item of each volatile kind, in the old one's position.

    `slot` returns the conflation key of a volatile item, None for a milestone. The writer calls `put` and, after the
    last item, `end`; the reader iterates, which stops after the last item, and closes.
    """

    def __init__(self, slot: Callable[[T], Hashable | None]) -> None:
        self._slot = slot
        self._pending: dict[Hashable, T] = {}
        self._change = anyio.Event()
        self._milestone = anyio.Event()
        self._end = anyio.Event()
        self._closed = False

    def put(self, item: T) -> bool:
        """Add an item; return False if nobody will read it any more. After `end` no item is accepted."""
        if self._closed or self._end.is_set():
            return False
        slot = self._slot(item)
        self._pending[object() if slot is None else slot] = item
        self._change.set()
        if slot is None:
            self._milestone.set()
        return True

    def end(self) -> None:
        """Declare that the last item was put: the reader gets the pending items, and then the stream ends."""
        self._end.set()
        self._change.set()
        self._milestone.set()

    async def ended(self) -> None:
        """Wait until `end` was called, not until everything was read; no item wakes whoever waits."""
        await self._end.wait()

    async def milestone(self) -> None:
        """Wait until a milestone was put since the last `drain`, or `end` was called; volatile items wake nobody.

        For the one reader.
        """
        await self._milestone.wait()

    async def filled(self) -> bool:
        """Wait until there is an item, and leave it there; False if no more come. For the one reader."""
        while not self._pending and not self._end.is_set():
            self._change = anyio.Event()
            await self._change.wait()
        return bool(self._pending)

    async def receive(self) -> T:
        """Take the oldest item. Raises `EndOfStream` after the last, `ClosedResourceError` when closed."""
        if self._pending or self._closed or self._end.is_set():
            # The wait below is a checkpoint itself, and a second one would cost as much as everything else here.
            await anyio.lowlevel.checkpoint()
        while not self._pending:
            if self._closed:
                raise anyio.ClosedResourceError
            if self._end.is_set():
                raise anyio.EndOfStream
            self._change = anyio.Event()
            await self._change.wait()
        return self._pending.pop(next(iter(self._pending)))

    @property
    def size(self) -> int:
        """How many items wait for the reader."""
        return len(self._pending)

    def drain(self) -> list[T]:
        """Remove and return all pending items, without waiting."""
        items = list(self._pending.values())
        self._pending.clear()
        if self._milestone.is_set():
            self._milestone = anyio.Event()
        return items

    async def aclose(self) -> None:
        """Stop reading: pending items are dropped, and the writer's next `put` returns False."""
        self._closed = True
        self._pending.clear()
        self._change.set()
