"""A raw websocket to a server: trio-websocket on trio, aiohttp on asyncio, one port."""

from __future__ import annotations

import ssl
from contextlib import AbstractAsyncContextManager
from urllib.parse import quote, urlsplit

from msgspec import Struct
from sniffio import current_async_library

from app.comfy.tls import tls_context
from app.config import Server
from app.ports import WebSocket


class Timing(Struct, frozen=True):
    """How long to wait for what, in seconds."""

    connect: float = 5.0
    """A server that needs longer than this to shake hands is as good as away."""
    close: float = 1.0
    """A goodbye is a courtesy: the process must be able to end within two seconds."""
    ping: float = 5.0
    """The server sends no pings of its own (COMFYUI.md 2.1), so a dead peer shows itself by ours alone."""
    pong: float = 5.0
    """The server's loop answers within 34 ms even under load (measured, T17)."""


class Address(Struct, frozen=True):
    """Where to go and how to introduce oneself, taken apart for both libraries."""

    url: str
    host: str
    port: int
    resource: str
    headers: dict[str, str]
    tls: ssl.SSLContext | None


LARGEST_FRAME = 256 * 2**20
"""A 4096² PNG by SaveImageWebsocket is about 30 MB (T04_big_image), and batches of video are larger."""


def address(server: Server, client_id: str) -> Address:
    """Derive the websocket's address from the server's. Raises `OSError` for an unreadable CA file."""
    parts = urlsplit(server.url)
    secure = parts.scheme == "https"
    resource = f"{parts.path.rstrip('/')}/ws?clientId={quote(client_id)}"
    return Address(
        url=f"{'wss' if secure else 'ws'}://{parts.netloc}{resource}",
        host=parts.hostname or "",
        port=parts.port or (443 if secure else 80),
        resource=resource,
        headers=server.headers,
        tls=tls_context(server) if secure else None,
    )


def open_websocket(
    server: Server, client_id: str, *, timing: Timing | None = None
) -> AbstractAsyncContextManager[WebSocket]:
    """Open one websocket for the length of a block, and keep it alive with pings.

    Whatever goes wrong (refused, 403, 502, certificate, hung up, no pong, a frame beyond all measure) is a
    `ConnectionLost` that says so.
    """
    where, timing = address(server, client_id), timing or Timing()
    if current_async_library() == "trio":
        from app.comfy.socket_trio import open_on_trio

        return open_on_trio(where, timing)
    from app.comfy.socket_asyncio import open_on_asyncio

    return open_on_asyncio(where, timing)
