"""A bad line: a TCP proxy that delays, freezes, breaks off and resets, as it is told."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
from anyio.abc import SocketAttribute, SocketStream

GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)


class Proxy:
    """Owns the connections through it, and what is wrong with them."""

    def __init__(self, port: int, upstream: int) -> None:
        self.port = port
        self.delay = 0.0
        """Seconds that every piece of data is late."""
        self.room: int | None = None
        """So many bytes of each answer still come through, then the line breaks; None for all."""
        self._upstream = upstream
        self._thawed = anyio.Event()
        self._thawed.set()
        self._open: set[SocketStream] = set()

    def freeze(self) -> None:
        """Nothing moves, and nobody is told: a half-open line."""
        self._thawed = anyio.Event()

    def thaw(self) -> None:
        """Everything goes on."""
        self._thawed.set()

    async def reset(self) -> None:
        """All lines end in the middle, with RST instead of a goodbye."""
        for stream in tuple(self._open):
            with suppress(OSError):
                # One that has just left by itself needs no push.
                raw: socket.socket = stream.extra(SocketAttribute.raw_socket)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await anyio.aclose_forcefully(stream)

    async def serve(self, client: SocketStream) -> None:
        """One line, until either side leaves."""
        async with client:
            await self._thawed.wait()
            try:
                server = await anyio.connect_tcp("127.0.0.1", self._upstream)
            except OSError:
                return
            self._open |= {client, server}
            try:
                async with server, anyio.create_task_group() as ways:
                    ways.start_soon(partial(self._pass, client, server, ways.cancel_scope, is_answer=False))
                    ways.start_soon(partial(self._pass, server, client, ways.cancel_scope, is_answer=True))
            finally:
                self._open -= {client, server}

    async def _pass(
        self, source: SocketStream, target: SocketStream, ways: anyio.CancelScope, *, is_answer: bool
    ) -> None:
        passed = 0
        try:
            while True:
                data = await source.receive()
                await anyio.sleep(self.delay)
                await self._thawed.wait()
                if is_answer and self.room is not None and passed + len(data) > self.room:
                    await target.send(data[: max(0, self.room - passed)])
                    break
                passed += len(data)
                await target.send(data)
        except GONE:
            pass
        ways.cancel()


@asynccontextmanager
async def proxy(upstream: int) -> AsyncGenerator[Proxy]:
    """A line to a port of this machine, for the length of the block."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        line = Proxy(listener.extra(SocketAttribute.local_port), upstream)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, line.serve)
            yield line
            tasks.cancel_scope.cancel()
