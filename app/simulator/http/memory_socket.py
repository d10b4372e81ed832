"""A websocket in memory, for tests and for a demo in one process."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import anyio
from anyio import lowlevel

from app.ports import ConnectionLost
from app.reasons.servers import HungUp

ROOM = 4 * 2**20
"""Bytes that a client may leave unread before the publisher waits for it: as much as a kernel buffers."""


class MemorySocket:
    """Both ends of one connection: `app.ports.WebSocket` for the client, `Socket` for the server."""

    def __init__(self) -> None:
        self._frames: deque[str | bytes] = deque()
        self._unread = 0
        self._closed = False
        self._moved = anyio.Event()
        """Set when a frame is added or removed, or the connection is cut; then replaced by a new event."""
        self._said: Callable[[str], Awaitable[None]] | None = None

    def opened(self, handler: Callable[[str], Awaitable[None]]) -> None:
        """Set the handler of the client's messages."""
        self._said = handler

    async def send(self, message: str) -> None:
        """Send a message from the client to the server. Raises `ConnectionLost` if the connection was cut."""
        if self._said is None:
            raise ConnectionLost(HungUp())
        await self._said(message)

    async def receive(self) -> str | bytes:
        """Wait for the server's next frame. Raises `ConnectionLost` if the connection was cut."""
        await lowlevel.checkpoint()
        while not self._closed and not self._frames:
            await self._moved.wait()
        if self._closed:
            raise ConnectionLost(HungUp())
        frame = self._frames.popleft()
        self._unread -= len(frame)
        self._move()
        return frame

    async def deliver(self, frame: str | bytes) -> None:
        """Send a frame from the server to the client; waits until fewer than `ROOM` bytes are unread.

        Then a frame of any size is added whole. Raises `ConnectionLost` if the connection was cut.
        """
        while not self._closed and self._unread >= ROOM:
            await self._moved.wait()
        if self._closed:
            raise ConnectionLost(HungUp())
        self._frames.append(frame)
        self._unread += len(frame)
        self._move()

    def abort(self) -> None:
        """Cut the connection; unread frames are lost."""
        self._said = None
        self._closed = True
        self._frames.clear()
        self._move()

    def _move(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()
