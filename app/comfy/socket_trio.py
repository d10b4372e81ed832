"""The websocket on trio, spoken by trio-websocket over a stream that we open, and so also close.

trio-websocket leaves its own stream open when the peer hangs up first, and hides why a certificate was
refused; over a stream of ours it does neither (DISCORD.md 2).
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
import trio_websocket
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection

from app.comfy.address import LARGEST_FRAME, Address, Timing
from app.comfy.reach import why
from app.comfy.watched import Watched
from app.ports import ConnectionLost, WebSocket

READ_SIZE = 64 * 1024
"""trio-websocket's own 4 KiB cost five times the CPU for previews of 50 kB (DISCORD.md 2)."""


class _Socket:
    def __init__(self, connection: WebSocketConnection, stream: Watched) -> None:
        self._connection = connection
        self._stream = stream
        self._silent = False

    async def send(self, message: str) -> None:
        try:
            await self._connection.send_message(message)
        except ConnectionClosed as closed:
            raise self._lost(closed) from closed

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.get_message()
        except ConnectionClosed as closed:
            raise self._lost(closed) from closed

    async def keep_alive(self, timing: Timing) -> None:
        """Ping; where nothing comes back, cut the line, which ends whoever reads."""
        while True:
            await trio.sleep(timing.ping)
            with trio.move_on_after(timing.pong) as waiting:
                try:
                    await self._connection.ping()
                except ConnectionClosed:
                    return
            if waiting.cancelled_caught and self._stream.waited >= timing.pong:
                self._silent = True
                await trio.aclose_forcefully(self._stream)
                return

    def _lost(self, closed: ConnectionClosed) -> ConnectionLost:
        if self._silent:
            return ConnectionLost("it does not answer pings any more")
        code = closed.reason.code if closed.reason else 1006
        if code == 1009:
            return ConnectionLost(f"it sent a frame of more than {LARGEST_FRAME // 2**20} MiB")
        return ConnectionLost(f"it hung up with code {code}")


@asynccontextmanager
async def open_on_trio(where: Address, timing: Timing) -> AsyncGenerator[WebSocket]:
    """See `app.comfy.socket.open_websocket`."""
    stream = Watched(await _open_stream(where, timing))
    try:
        async with trio.open_nursery() as nursery:
            connection = await _shake_hands(nursery, stream, where, timing)
            socket = _Socket(connection, stream)
            nursery.start_soon(socket.keep_alive, timing, name=f"pings {where.authority}")
            try:
                yield socket
            finally:
                # Not shielded: a cancelled nursery has no reader left who could see the answer.
                with trio.move_on_after(timing.close):
                    await connection.aclose()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # The nursery wraps even the one error of the block, which on asyncio arrives bare. And trio-websocket
        # raises a refusal in its reader, where nobody but the nursery hears it.
        error = _only(group)
        if isinstance(error, ConnectionRejected):
            raise ConnectionLost(f"it answered {error.status_code} to the websocket's handshake") from error
        raise error from error.__cause__
    finally:
        await trio.aclose_forcefully(stream)


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Unwrap one layer, ours; a group that the block itself raised stays one."""
    return group.exceptions[0] if len(group.exceptions) == 1 else group


async def _open_stream(where: Address, timing: Timing) -> trio.abc.Stream:
    try:
        with trio.fail_after(timing.connect):
            plain = await trio.open_tcp_stream(where.host, where.port)
            if where.tls is None:
                return plain
            secure = trio.SSLStream(plain, where.tls, server_hostname=where.host, https_compatible=True)
            try:
                # Here, so that the reason is seen: trio-websocket would only time out.
                await secure.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(plain)
                raise
            return secure
    except trio.TooSlowError as error:
        raise ConnectionLost(f"it did not answer within {timing.connect:g} s") from error
    except (OSError, trio.BrokenResourceError, ssl.CertificateError) as error:
        raise ConnectionLost(f"it cannot be reached: {why(error)}") from error


async def _shake_hands(nursery: trio.Nursery, stream: Watched, where: Address, timing: Timing) -> WebSocketConnection:
    """Shake hands, in a race with the clock and with the peer's leaving, which trio-websocket waits through."""
    connection: WebSocketConnection | None = None
    with trio.move_on_after(timing.connect) as waiting:
        async with trio.open_nursery() as race:
            race.start_soon(_cancel_at_end, stream, race.cancel_scope)
            connection = await trio_websocket.wrap_client_stream(
                nursery,
                stream,  # pyright: ignore[reportArgumentType]  any trio stream does
                where.authority,
                where.resource,
                extra_headers=[(name.encode(), value.encode()) for name, value in where.headers.items()],
                max_message_size=LARGEST_FRAME,
                receive_buffer_size=READ_SIZE,
            )
            race.cancel_scope.cancel()
    if connection is not None:
        return connection
    if waiting.cancelled_caught:
        raise ConnectionLost(f"it did not answer within {timing.connect:g} s")
    raise ConnectionLost("it hung up during the websocket's handshake")


async def _cancel_at_end(stream: Watched, scope: trio.CancelScope) -> None:
    await stream.ended.wait()
    scope.cancel()
