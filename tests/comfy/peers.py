"""Small servers on real sockets that behave in one particular way, good or bad."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import anyio
import wsproto
import wsproto.connection
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Request, TextMessage

Behaviour: TypeAlias = Callable[[ByteStream], Awaitable[None]]


@asynccontextmanager
async def peer(behave: Behaviour, tls: ssl.SSLContext | None = None, *, port: int = 0) -> AsyncGenerator[int]:
    """Listen on this port, by default one of our own, for the length of the block, which gets its number."""

    async def serve(stream: ByteStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
            try:
                await behave(stream)
            finally:
                await anyio.aclose_forcefully(stream)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as listener:
        port = listener.extra(SocketAttribute.local_port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon((TLSListener(listener, tls) if tls else listener).serve, serve)
            yield port
            tasks.cancel_scope.cancel()


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def silent(stream: ByteStream) -> None:
    """Accept, and never say a word."""
    await anyio.sleep_forever()


def answering(status: str) -> Behaviour:
    """Answer the first request with this status line and no body."""

    async def behave(stream: ByteStream) -> None:
        await stream.receive()
        await stream.send(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await stream.receive()

    return behave


class Conversation:
    """The server's side of one websocket."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._protocol = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        self.request = b""

    async def greet(self) -> None:
        """Shake hands."""
        while b"\r\n\r\n" not in self.request:
            self.request += await self._stream.receive()
        self._protocol.receive_data(self.request)
        assert isinstance(next(iter(self._protocol.events())), Request)
        await self._stream.send(self._protocol.send(AcceptConnection()))

    async def say(self, message: str | bytes) -> None:
        event = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
        await self._stream.send(self._protocol.send(event))

    async def hear(self) -> str:
        """Wait for the next text; answer pings and goodbyes as is proper."""
        while True:
            self._protocol.receive_data(await self._stream.receive())
            for event in self._protocol.events():
                match event:
                    case Ping():
                        await self._stream.send(self._protocol.send(event.response()))
                    case CloseConnection() if self._protocol.state is wsproto.connection.ConnectionState.REMOTE_CLOSING:
                        await self._stream.send(self._protocol.send(event.response()))
                    case TextMessage(data=text):
                        return text
                    case _:
                        pass

    async def close(self, code: int) -> None:
        await self._stream.send(self._protocol.send(CloseConnection(code)))
        await self.hear()

    async def begin(self, size: int) -> None:
        """Announce a binary frame of `size` bytes, of which nothing comes yet."""
        await self._stream.send(b"\x82\x7f" + struct.pack(">Q", size))

    async def send_raw(self, data: bytes) -> None:
        await self._stream.send(data)

    async def abort(self) -> None:
        """Hang up with a reset, as a machine does whose process was killed."""
        raw = self._stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await anyio.aclose_forcefully(self._stream)


def talking(talk: Callable[[Conversation], Awaitable[None]]) -> Behaviour:
    """Speak websocket: shake hands, then do this."""

    async def behave(stream: ByteStream) -> None:
        conversation = Conversation(stream)
        await conversation.greet()
        await talk(conversation)

    return behave
