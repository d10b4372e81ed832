"""The address of a server's websocket and the timeouts for it, for both libraries."""

from __future__ import annotations

import base64
import ssl
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from msgspec import Struct

from app.comfy.tls import tls_context
from app.config.settings import Server


class Timing(Struct, frozen=True):
    """Timeouts and intervals, in seconds."""

    connect: float = 5.0
    """For TCP and TLS, and again for the handshake: a server that needs longer counts as unreachable."""
    close: float = 1.0
    """For the close handshake, which is optional: the process must be able to end within two seconds."""
    ping: float = 5.0
    """Between two pings. The server sends none (docs/protocol/comfyui.md 2.1), so only ours detect a dead peer."""
    pong: float = 5.0
    """For a pong. The server answers within 34 ms even under load (measured, T17); aiohttp uses half of `ping`."""


class Address(Struct, frozen=True):
    """The address and headers of a websocket, split up for both libraries.

    `authority` is the value of the Host header: with brackets around IPv6, and a port only if it is not the scheme's
    default.
    """

    url: str
    host: str
    port: int
    authority: str
    resource: str
    headers: dict[str, str]
    tls: ssl.SSLContext | None


def host_and_port(url: str) -> tuple[str, int]:
    """The host and the port of a server's address; its websocket has the same."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def without_login(url: str) -> str:
    """The address of a server without the user and the password that it may contain: `headers_of` has them."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def headers_of(server: Server) -> dict[str, str]:
    """The headers that every request to a server has; a user and a password in its address become one of them."""
    parts = urlsplit(server.url)
    if parts.username is None:
        return dict(server.headers)
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    others = {name: value for name, value in server.headers.items() if name.lower() != "authorization"}
    return {**others, "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


LARGEST_FRAME = 256 * 2**20
"""Bytes. A 4096² PNG from SaveImageWebsocket is about 30 MB (T04_big_image), and batches of video are larger."""


def address(server: Server, client_id: str) -> Address:
    """Derive the websocket's address from the server's. Raises `OSError` for a CA file that cannot be read."""
    parts = urlsplit(server.url)
    secure = parts.scheme == "https"
    host, port = host_and_port(server.url)
    authority = parts.netloc.rpartition("@")[2].removesuffix(":443" if secure else ":80")
    resource = f"{parts.path.rstrip('/')}/ws?clientId={quote(client_id, safe='')}"
    return Address(
        url=f"{'wss' if secure else 'ws'}://{authority}{resource}",
        host=host,
        port=port,
        authority=authority,
        resource=resource,
        headers=headers_of(server),
        tls=tls_context(server) if secure else None,
    )
