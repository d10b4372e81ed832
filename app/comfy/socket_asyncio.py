"""The websocket on asyncio, spoken by aiohttp."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import anyio

from app.comfy.address import LARGEST_FRAME, Address, Timing
from app.comfy.reach import why
from app.ports import ConnectionLost, WebSocket


class _Socket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, message: str) -> None:
        try:
            await self._socket.send_str(message)
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ConnectionLost("it hung up") from error

    async def receive(self) -> str | bytes:
        message = await self._socket.receive()
        data: object = message.data
        if isinstance(data, (str, bytes)):
            return data
        if isinstance(data, (aiohttp.ServerTimeoutError, TimeoutError)):
            raise ConnectionLost("it does not answer pings any more")
        code = self._socket.close_code or 1006
        if code == 1009:
            raise ConnectionLost(f"it sent a frame of more than {LARGEST_FRAME // 2**20} MiB")
        raise ConnectionLost(f"it hung up with code {code}")


@asynccontextmanager
async def open_on_asyncio(where: Address, timing: Timing) -> AsyncGenerator[WebSocket]:
    """See `app.comfy.socket.open_websocket`.

    aiohttp's heartbeat is our ping loop: any byte that comes in postpones it, so that a large frame on a
    slow line is no silence, and it waits half of `ping` for the pong.
    """
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        try:
            with anyio.fail_after(timing.connect):
                socket = await session.ws_connect(
                    where.url,
                    headers=where.headers,
                    ssl=where.tls or True,
                    max_msg_size=LARGEST_FRAME,
                    heartbeat=timing.ping,
                    timeout=aiohttp.ClientWSTimeout(ws_close=timing.close),  # pyright: ignore[reportCallIssue]  attrs
                )
        except aiohttp.WSServerHandshakeError as error:
            raise ConnectionLost(f"it answered {error.status} to the websocket's handshake") from error
        except TimeoutError as error:
            raise ConnectionLost(f"it did not answer within {timing.connect:g} s") from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError) as error:
            raise ConnectionLost("it hung up during the websocket's handshake") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionLost(f"it cannot be reached: {why(error)}") from error
        try:
            yield _Socket(socket)
        finally:
            with anyio.move_on_after(timing.close, shield=True):
                await socket.close()
