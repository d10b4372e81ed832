"""The websocket on trio, spoken by trio-websocket over a stream that we open, and so also close.

trio-websocket leaves its own stream open when the peer hangs up first, and hides why a certificate was
refused; over a stream of ours it does neither.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import trio
import trio_websocket
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, WebSocketConnection

from app.comfy.socket import LARGEST_FRAME, Address, Timing
from app.ports import ConnectionLost, WebSocket

READ_SIZE = 64 * 1024
"""trio-websocket's own 4 KiB cost five times the CPU for previews of 50 kB (DISCORD.md 2)."""


class _Socket:
    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection
        self.silent = False
        """Whether it was we who cut the line, because no pong came."""

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

    def _lost(self, closed: ConnectionClosed) -> ConnectionLost:
        if self.silent:
            return ConnectionLost("it does not answer pings any more")
        code = closed.reason.code if closed.reason else 1006
        return ConnectionLost(f"it hung up with code {code}")

    async def keep_alive(self, timing: Timing, stream: trio.abc.Stream) -> None:
        """Ping; where no pong comes, cut the line, which ends whoever reads."""
        while True:
            await trio.sleep(timing.ping)
            with trio.move_on_after(timing.pong) as waiting:
                try:
                    await self._connection.ping()
                except ConnectionClosed:
                    return
            if waiting.cancelled_caught:
                self.silent = True
                await trio.aclose_forcefully(stream)
                return


@asynccontextmanager
async def open_on_trio(where: Address, timing: Timing) -> AsyncGenerator[WebSocket]:
    """See `app.comfy.socket.open_websocket`."""
    stream = await _open_stream(where, timing)
    lost: ConnectionLost | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                with trio.fail_after(timing.connect):
                    connection = await _shake_hands(nursery, stream, where)
            except trio.TooSlowError:
                lost = ConnectionLost(f"it did not answer within {timing.connect:g} s")
            else:
                socket = _Socket(connection)
                nursery.start_soon(socket.keep_alive, timing, stream, name=f"pings {where.url}")
                try:
                    yield socket
                except ConnectionLost as loss:
                    lost = loss
                # Not shielded: a cancelled nursery has no reader left who could see the answer.
                with trio.move_on_after(timing.close):
                    await connection.aclose()
            nursery.cancel_scope.cancel()
    except* (HandshakeError, ConnectionClosed) as errors:
        # A refusal may come out of the library's reader, and so out of the nursery.
        lost = _refusal(errors)
    finally:
        await trio.aclose_forcefully(stream)
    if lost is not None:
        raise lost


def _refusal(errors: BaseExceptionGroup[BaseException]) -> ConnectionLost:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return _refusal(cast("BaseExceptionGroup[BaseException]", error))
        if isinstance(error, ConnectionRejected):
            return ConnectionLost(f"it answered {error.status_code} to the websocket's handshake")
    return ConnectionLost("it hung up during the websocket's handshake")


async def _open_stream(where: Address, timing: Timing) -> trio.abc.Stream:
    try:
        with trio.fail_after(timing.connect):
            plain = await trio.open_tcp_stream(where.host, where.port)
            if where.tls is None:
                return plain
            secure = trio.SSLStream(plain, where.tls, server_hostname=where.host, https_compatible=True)
            try:
                await secure.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(plain)
                raise
            return secure
    except trio.TooSlowError as error:
        raise ConnectionLost(f"it did not answer within {timing.connect:g} s") from error
    except trio.BrokenResourceError as error:
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            reason = error.__cause__.verify_message
            raise ConnectionLost(f"its certificate is not to be trusted: {reason}") from error
        raise ConnectionLost(f"TLS failed: {error.__cause__}") from error
    except OSError as error:
        raise ConnectionLost(f"it cannot be reached: {error}") from error


async def _shake_hands(nursery: trio.Nursery, stream: trio.abc.Stream, where: Address) -> WebSocketConnection:
    host = where.host if where.port in (80, 443) else f"{where.host}:{where.port}"
    return await trio_websocket.wrap_client_stream(
        nursery,
        stream,  # pyright: ignore[reportArgumentType]  any trio stream does
        host,
        where.resource,
        extra_headers=[(name.encode(), value.encode()) for name, value in where.headers.items()],
        max_message_size=LARGEST_FRAME,
        receive_buffer_size=READ_SIZE,
    )
