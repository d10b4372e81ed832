"""A websocket without a wire: for tests, and for a demo in one process."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import anyio
from anyio import lowlevel

from app.ports import ConnectionLost

ROOM = 4 * 2**20
"""Bytes that a reader may leave unread before the publisher waits for it: what a kernel keeps of one connection."""


class MemorySocket:
    """Both ends of one connection: `app.ports.WebSocket` for the client, `Socket` for the server."""

    def __init__(self) -> None:
        self._frames: deque[str | bytes] = deque()
        self._unread = 0
        self._closed = False
        self._moved = anyio.Event()
        """Something was put in or taken out, or the line was cut; another event follows each."""
        self._said: Callable[[str], Awaitable[None]] | None = None

    def opened(self, said: Callable[[str], Awaitable[None]]) -> None:
        """From now on what the client sends is heard."""
        self._said = said

    async def send(self, message: str) -> None:
        """Client to server."""
        if self._said is None:
            raise ConnectionLost("the connection was cut")
        await self._said(message)

    async def receive(self) -> str | bytes:
        """Server to client."""
        await lowlevel.checkpoint()
        while not self._closed and not self._frames:
            await self._moved.wait()
        if self._closed:
            raise ConnectionLost("the connection was cut")
        frame = self._frames.popleft()
        self._unread -= len(frame)
        self._move()
        return frame

    async def deliver(self, frame: str | bytes) -> None:
        """The server sends; a frame of any size goes where there is room at all, and at once."""
        while not self._closed and self._unread >= ROOM:
            await self._moved.wait()
        if self._closed:
            raise ConnectionLost("the reader is gone")
        self._frames.append(frame)
        self._unread += len(frame)
        self._move()

    def abort(self) -> None:
        """Cut: what was not read yet is lost with it."""
        self._said = None
        self._closed = True
        self._frames.clear()
        self._move()

    def _move(self) -> None:
        self._moved.set()
        self._moved = anyio.Event()
