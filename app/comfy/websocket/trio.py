"""The websocket on trio, with timed reads and pings."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import cast

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto.events import Event
from wsproto.utilities import LocalProtocolError

from app.comfy.errors import network_reason
from app.comfy.websocket.address import LARGEST_FRAME, Address, Timing
from app.comfy.websocket.trio_protocol import GatheringProtocol
from app.ports import ConnectionLost, WebSocket
from app.reasons.servers import HungUp, LibraryError, NoAnswer, NoPong


class ReadTimedStream(trio.abc.Stream):
    """A stream that passes everything through and times reading and writing.

    A pong may be late because it queues behind a frame of 64 MB on a slow network, or because we do not read for a
    while; neither means a dead peer. A peer is dead if we wait for it and it sends no byte at all, or reads none.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._reading_since: float | None = None
        self._writing_since: float | None = None

    @property
    def waited(self) -> float:
        """Seconds since we began to wait for bytes to arrive or to be accepted; 0 if we are not waiting."""
        begun = [since for since in (self._reading_since, self._writing_since) if since is not None]
        return trio.current_time() - min(begun) if begun else 0.0

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream`."""
        self._reading_since = trio.current_time()
        try:
            return await self._stream.receive_some(max_bytes)
        finally:
            self._reading_since = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        self._writing_since = trio.current_time()
        try:
            await self._stream.send_all(data)
        finally:
            self._writing_since = None

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self._stream.aclose()


READ_SIZE = 64 * 1024
"""Bytes. trio-websocket's 4 KiB cost five times the CPU for previews of 50 kB (docs/protocol/discord.md 2)."""

SETTLING = 1.0
"""Seconds that a failed reader gets to report its reason; it takes one turn of the event loop."""


class _Connection(WebSocketConnection):
    """trio-websocket's connection, but with a reader that we run ourselves.

    `wrap_client_stream` leaves the reader's errors to a nursery that belongs to the caller, where they cancel
    everything. And it passes on all messages that arrived together at once, as one list.
    """

    def __init__(self, stream: ReadTimedStream, where: Address) -> None:
        self._protocol = GatheringProtocol(LARGEST_FRAME)
        super().__init__(
            stream,
            self._protocol,
            host=where.authority,
            path=where.resource,
            client_extra_headers=[(name.encode(), value.encode()) for name, value in where.headers.items()],
            max_message_size=LARGEST_FRAME,
            receive_buffer_size=READ_SIZE,
        )

    async def _handle_message_event(self, event: Event) -> None:
        messages, channel = self._protocol.take(), cast("trio.MemorySendChannel[list[str | bytes]]", self._send_channel)
        # Nobody reads any more once the channel is closed.
        with suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            try:
                # Unlike `send`, without a turn of the event loop.
                channel.send_nowait(messages)
            except trio.WouldBlock:
                await channel.send(messages)

    async def get_messages(self) -> list[str | bytes]:
        """The next messages, at least one. Raises `ConnectionClosed`."""
        return cast("list[str | bytes]", await self.get_message())

    async def read(self) -> None:
        """Send the handshake, and read until the connection ends."""
        await self._reader_task()

    async def wait_open(self) -> None:
        """Wait until the server has accepted the handshake."""
        await self._open_handshake.wait()


class _Socket:
    def __init__(self, connection: _Connection, stream: ReadTimedStream) -> None:
        self._connection = connection
        self._stream = stream
        self._messages = deque[str | bytes]()
        """Those that arrived and are not received yet."""
        self._loss: ConnectionLost | None = None
        self._ended = trio.Event()
        self._opening = trio.CancelScope()
        self._closing = trio.CancelScope()

    async def send(self, message: str) -> None:
        try:
            await self._connection.send_message(message)
        except (ConnectionClosed, LocalProtocolError) as closed:
            raise await self._lost(closed) from closed

    async def receive(self) -> str | bytes:
        if not self._messages:
            try:
                self._messages.extend(await self._connection.get_messages())
            except ConnectionClosed as closed:
                raise await self._lost(closed) from closed
        return self._messages.popleft()

    async def read(self) -> None:
        """Read until the connection ends; `send` and `receive` raise its reason from then on."""
        try:
            await self._connection.read()
        except Exception as error:  # noqa: BLE001  whatever trio-websocket, wsproto and h11 raise, this connection is lost
            self._fail(error)
        finally:
            self._ended.set()
            self._opening.cancel()
            self._closing.cancel()

    async def keep_alive(self, timing: Timing) -> None:
        """Send pings; if nothing comes back, close the stream, which ends all reads."""
        while True:
            await trio.sleep(timing.ping)
            with trio.move_on_after(timing.pong) as waiting:
                try:
                    await self._connection.ping()
                except ConnectionClosed:
                    return
                except Exception as error:  # noqa: BLE001  as in `read`
                    self._fail(error)
                    break
            if waiting.cancelled_caught and self._stream.waited >= timing.pong:
                self._fail(ConnectionLost(NoPong()))
                break
        await trio.aclose_forcefully(self._stream)

    async def wait_open(self) -> None:
        """Wait until the server has accepted the handshake. Raises `ConnectionLost` if it does not."""
        with self._opening:
            await self._connection.wait_open()
            return
        raise self._loss or ConnectionLost(HungUp())

    async def close(self, timing: Timing) -> None:
        """Send a close frame, and wait for the answer as long as the reader runs."""
        # Not shielded: a cancelled nursery has no reader left that could receive the answer.
        self._closing.deadline = trio.current_time() + timing.close
        with self._closing:
            await self._connection.aclose()

    def _fail(self, error: Exception) -> None:
        """Keep the first reason; later ones are its consequences."""
        if self._loss is None:
            known = isinstance(error, ConnectionLost)
            self._loss = error if known else ConnectionLost(LibraryError(type(error).__name__))

    async def _lost(self, closed: ConnectionClosed | LocalProtocolError) -> ConnectionLost:
        reason = closed.reason if isinstance(closed, ConnectionClosed) else None
        if reason is None:
            # Neither side closed it, so the reader is about to end and will know the reason in a moment.
            with trio.move_on_after(SETTLING):
                await self._ended.wait()
        return self._loss or ConnectionLost(HungUp(int(reason.code) if reason else 1006))


@asynccontextmanager
async def open_on_trio(where: Address, timing: Timing) -> AsyncGenerator[WebSocket]:
    """See `app.comfy.websocket.connect.open_websocket`."""
    stream = ReadTimedStream(await _open_stream(where, timing))
    try:
        async with trio.open_nursery() as nursery:
            socket = _Socket(_Connection(stream, where), stream)
            nursery.start_soon(socket.read, name=f"reader {where.authority}")
            with trio.move_on_after(timing.connect) as waiting:
                await socket.wait_open()
            if waiting.cancelled_caught:
                raise ConnectionLost(NoAnswer(timing.connect))
            nursery.start_soon(socket.keep_alive, timing, name=f"pings {where.authority}")
            try:
                yield socket
            finally:
                await socket.close(timing)
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # The nursery wraps even a single error of the block, which is not wrapped on asyncio.
        error = _only(group)
        raise error from error.__cause__
    finally:
        await trio.aclose_forcefully(stream)


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Unwrap the group of our own nursery; a group that the block itself raised stays a group."""
    return group.exceptions[0] if len(group.exceptions) == 1 else group


async def _open_stream(where: Address, timing: Timing) -> trio.abc.Stream:
    try:
        with trio.fail_after(timing.connect):
            plain = await trio.open_tcp_stream(where.host, where.port)
            if where.tls is None:
                return plain
            secure = trio.SSLStream(plain, where.tls, server_hostname=where.host, https_compatible=True)
            try:
                # Done here so that the reason is known: trio-websocket would only time out.
                await secure.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(plain)
                raise
            return secure
    except trio.TooSlowError as error:
        raise ConnectionLost(NoAnswer(timing.connect)) from error
    except Exception as error:
        raise ConnectionLost(network_reason(error)) from error
