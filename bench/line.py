"""A TCP proxy in front of a server: it can be cut, frozen and mended, and it records the requests that pass."""

from __future__ import annotations

import re
import socket
import struct
import time

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from msgspec import Struct

GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)

ABORTED = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of 0: closing a socket then sends RST instead of FIN."""

REQUEST = re.compile(rb"(GET|POST) (\S+) HTTP/1\.1\r\n")
"""The start of a request. Clients wait for each response, so a request starts a piece of received data."""


class Carried(Struct, frozen=True):
    """A request that passed, and its time by the monotonic clock, which all processes of a machine share."""

    at: float
    method: str
    path: str


class Era:
    """The time from one `mend` to the next; a connection belongs to the era in which it was opened."""

    frozen = False


class Line:
    """Owns the port and all connections through it. Runs on trio, where closing a socket can send nothing but RST."""

    def __init__(self, upstream: int) -> None:
        self.carried: list[Carried] = []
        self._upstream = upstream
        self._streams: set[SocketStream] = set()
        self._era = Era()
        self._opened = anyio.Event()
        self._cut = anyio.Event()
        self._closed = anyio.Event()
        self._mended = anyio.Event()
        self._moved = anyio.Event()

    async def run(self, *, task_status: TaskStatus[int] = TASK_STATUS_IGNORED) -> None:
        """Forward data until cancelled. `started` gets the port, which is the same after each cut."""
        port = 0
        while True:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port)
            async with listener, anyio.create_task_group() as lines:
                lines.start_soon(listener.serve, self._carry)
                if not port:
                    port = listener.extra(SocketAttribute.local_port)
                    task_status.started(port)
                self._cut, self._closed, self._mended = anyio.Event(), anyio.Event(), anyio.Event()
                self._opened.set()
                await self._cut.wait()
                for stream in self._streams:
                    raw: socket.socket = stream.extra(SocketAttribute.raw_socket)
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTED)
                lines.cancel_scope.cancel()
            self._opened = anyio.Event()
            self._closed.set()
            await self._mended.wait()

    async def cut(self) -> None:
        """Close the port, and close all open connections with RST; returns when that is done."""
        self._cut.set()
        await self._closed.wait()

    def freeze(self) -> None:
        """Make connections half open: they are accepted and stay open, but no data passes and no side is notified."""
        self._era.frozen = True

    async def mend(self) -> None:
        """Let new connections work from now on; those that were frozen stay frozen."""
        self._era = Era()
        if self._closed.is_set():
            self._mended.set()
            await self._opened.wait()

    async def moved(self) -> None:
        """Wait until data has passed."""
        self._moved = anyio.Event()
        await self._moved.wait()

    async def _carry(self, client: SocketStream) -> None:
        era = self._era
        async with client, await anyio.connect_tcp("127.0.0.1", self._upstream) as server:
            self._streams |= {client, server}
            try:
                async with anyio.create_task_group() as ways:
                    ways.start_soon(self._pass, client, server, era, ways.cancel_scope)
                    ways.start_soon(self._pass, server, client, era, ways.cancel_scope)
            finally:
                self._streams -= {client, server}

    async def _pass(self, source: SocketStream, target: SocketStream, era: Era, ways: anyio.CancelScope) -> None:
        try:
            while True:
                data = await source.receive()
                if era.frozen:
                    break
                if (request := REQUEST.match(data)) is not None:
                    method, path = request.groups()
                    self.carried.append(Carried(time.monotonic(), method.decode(), path.decode()))
                await target.send(data)
                self._moved.set()
        except GONE:
            pass
        if era.frozen:
            # The end of one side is not passed on to the other.
            await anyio.sleep_forever()
        ways.cancel()
