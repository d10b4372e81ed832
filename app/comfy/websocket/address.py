"""Where a server's websocket is, and how long to wait for it: what both libraries are told."""

from __future__ import annotations

import base64
import ssl
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from app.comfy.tls import tls_context
from app.config import Server


class Timing(Struct, frozen=True):
    """How long to wait for what, in seconds."""

    connect: float = 5.0
    """For TCP and TLS, and once more for the handshake: what needs longer is as good as away."""
    close: float = 1.0
    """A goodbye is a courtesy: the process must be able to end within two seconds."""
    ping: float = 5.0
    """The server sends no pings of its own (COMFYUI.md 2.1), so a dead peer shows itself by ours alone."""
    pong: float = 5.0
    """The server's loop answers within 34 ms even under load (measured, T17); aiohttp takes half of `ping`."""


class Address(Struct, frozen=True):
    """Where to go and how to introduce oneself, taken apart for both libraries.

    `authority` is what belongs into the Host header: brackets around IPv6, and a port only where it is not
    the scheme's own.
    """

    url: str
    host: str
    port: int
    authority: str
    resource: str
    headers: dict[str, str]
    tls: ssl.SSLContext | None


LARGEST_FRAME = 256 * 2**20
"""A 4096² PNG by SaveImageWebsocket is about 30 MB (T04_big_image), and batches of video are larger."""


def address(server: Server, client_id: str) -> Address:
    """Derive the websocket's address from the server's. Raises `OSError` for an unreadable CA file.

    A user and a password in it become a header, as httpx does it, and leave the address.
    """
    parts = urlsplit(server.url)
    secure = parts.scheme == "https"
    authority = parts.netloc.rpartition("@")[2].removesuffix(":443" if secure else ":80")
    resource = f"{parts.path.rstrip('/')}/ws?clientId={quote(client_id, safe='')}"
    headers = dict(server.headers)
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    return Address(
        url=f"{'wss' if secure else 'ws'}://{authority}{resource}",
        host=parts.hostname or "",
        port=parts.port or (443 if secure else 80),
        authority=authority,
        resource=resource,
        headers=headers,
        tls=tls_context(server) if secure else None,
    )
