"""A raw websocket to a server: trio-websocket on trio, aiohttp on asyncio, one port."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sniffio import current_async_library

from app.comfy.address import Timing, address
from app.config import Server
from app.ports import ConnectionLost, WebSocket


@asynccontextmanager
async def open_websocket(server: Server, client_id: str, *, timing: Timing | None = None) -> AsyncGenerator[WebSocket]:
    """Open one websocket for the length of a block, and keep it alive with pings.

    Whatever goes wrong (refused, 403, 502, certificate, hung up, no pong, a frame beyond all measure) is a
    `ConnectionLost` that says so. What the block itself raises comes out as it is.
    """
    timing = timing or Timing()
    try:
        where = address(server, client_id)
    except OSError as error:
        raise ConnectionLost(f"the CA file cannot be read: {error.strerror or error}") from error
    if current_async_library() == "trio":
        from app.comfy.socket_trio import open_on_trio as opened
    else:
        from app.comfy.socket_asyncio import open_on_asyncio as opened
    async with opened(where, timing) as socket:
        yield socket
