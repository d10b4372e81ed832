"""The websocket on asyncio, over aiohttp."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from socket import SHUT_RDWR, SocketType
from typing import cast

import aiohttp
import anyio

from app.comfy.errors import network_reason
from app.comfy.websocket.address import LARGEST_FRAME, Address, Timing
from app.library_errors import short_message
from app.ports import ConnectionLost, WebSocket
from app.reasons.servers import (
    FrameInvalid,
    FrameTooLarge,
    HandshakeInvalid,
    HandshakeRefused,
    HungUp,
    NetworkReason,
    NoAnswer,
    NoPong,
)


class _Socket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse, timing: Timing) -> None:
        self._socket = socket
        self._timing = timing
        self._loss: ConnectionLost | None = None

    async def send(self, message: str) -> None:
        try:
            await self._socket.send_str(message)
        except Exception as error:
            raise self._loss or ConnectionLost(HungUp()) from error

    async def receive(self) -> str | bytes:
        if self._loss is not None:
            raise self._loss
        while True:
            try:
                message = await self._socket.receive()
                kind, data = message.type, cast("object", message.data)
                if isinstance(data, (str, bytes)):
                    if kind is aiohttp.WSMsgType.TEXT or kind is aiohttp.WSMsgType.BINARY:
                        return data
                    if kind is aiohttp.WSMsgType.PING:
                        # We answer pings ourselves, because aiohttp would wait for ever on a server that does not read.
                        with anyio.fail_after(self._timing.pong):
                            await self._socket.pong(message.data)
                    continue
            except Exception as error:
                self._loss = self._lost(error)
                raise self._loss from error
            self._loss = self._lost(data)
            raise self._loss

    def _lost(self, why: object) -> ConnectionLost:
        if isinstance(why, (aiohttp.ServerTimeoutError, TimeoutError)):
            return ConnectionLost(NoPong())
        code = self._socket.close_code or 1006
        if isinstance(why, aiohttp.WebSocketError):
            if why.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                return ConnectionLost(FrameTooLarge(LARGEST_FRAME))
            return ConnectionLost(FrameInvalid(short_message(str(why))))
        return ConnectionLost(HungUp(int(code)))


@asynccontextmanager
async def open_on_asyncio(where: Address, timing: Timing) -> AsyncGenerator[WebSocket]:
    """See `app.comfy.websocket.connect.open_websocket`.

    aiohttp's heartbeat sends our pings: any incoming byte postpones it, so that a large frame on a slow network does
    not count as silence, and it waits half of `ping` for the pong.
    """
    tracing = aiohttp.TraceConfig()
    tracing.on_request_redirect.append(_refuse_redirect)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[tracing]) as session:
        try:
            with anyio.fail_after(timing.connect):
                socket = await session.ws_connect(
                    where.url,
                    headers=where.headers,
                    ssl=where.tls or True,
                    max_msg_size=LARGEST_FRAME,
                    heartbeat=timing.ping,
                    # aiohttp would wait for a second close frame for as long as the server sends something else.
                    autoclose=False,
                    autoping=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=timing.close),  # pyright: ignore[reportCallIssue]  attrs
                )
        except ConnectionLost:
            raise
        except Exception as error:
            raise ConnectionLost(_handshake_failure(error, timing)) from error
        line = cast("SocketType | None", socket.get_extra_info("socket"))
        try:
            yield _Socket(socket, timing)
        finally:
            with anyio.move_on_after(timing.close, shield=True):
                await socket.close()
            _hang_up(line)


def _hang_up(line: SocketType | None) -> None:
    """End the connection even if the server does not read: asyncio keeps it open as long as bytes wait to be sent."""
    if line is not None:
        with suppress(OSError):
            line.shutdown(SHUT_RDWR)


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: object, answer: aiohttp.TraceRequestRedirectParams
) -> None:
    """Refuse a redirect: aiohttp follows it with our headers, and `ws_connect` has no option against that."""
    raise ConnectionLost(HandshakeRefused(answer.response.status))


def _handshake_failure(error: Exception, timing: Timing) -> NetworkReason:
    """Why aiohttp could not open a websocket."""
    match error:
        case aiohttp.WSServerHandshakeError(status=101):
            return HandshakeInvalid()
        case aiohttp.WSServerHandshakeError():
            return HandshakeRefused(error.status)
        case aiohttp.ClientResponseError():
            return HandshakeInvalid()
        case TimeoutError():
            return NoAnswer(timing.connect)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return HungUp()
        case _:
            return network_reason(error)
