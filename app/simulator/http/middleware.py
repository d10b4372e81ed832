"""Middleware for all routes: faults, foreign origins, and bodies that are too large. Plain ASGI."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

import anyio
import msgspec
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.simulator.engine.simulator import Simulator
from app.simulator.http.binary_frames import MAX_BODY

CONTROL = "/simulator/faults"
"""The only path that always answers, so that a fault can be lifted."""


TROUBLE = "500 Internal Server Error\n\nServer got itself in trouble"
"""ComfyUI's response when a request makes it fail: text, not JSON."""

TRIPS = (LookupError, OSError, TypeError, ValueError, msgspec.MsgspecError)
"""Errors that odd requests raise, such as a preview of a file that is no image, or an object in place of a list."""


class TooLarge(Exception):
    """A body without a content-length is larger than `MAX_BODY`."""


class Gates:
    """Applies faults and ComfyUI's checks to each request before its route."""

    def __init__(self, app: ASGIApp, simulator: Simulator) -> None:
        self._app = app
        self._faults = simulator.faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request; websockets are passed on unchanged."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not str(scope["path"]).endswith(CONTROL):
            if self._faults.http_delay:
                await anyio.sleep(self._faults.http_delay)
            if self._faults.away:
                await PlainTextResponse("502 Bad Gateway", 502)(scope, receive, send)
                return
        headers = Headers(scope=scope)
        if foreign(headers):
            await Response(status_code=403)(scope, receive, send)
            return
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > MAX_BODY:
            await _too_large()(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > MAX_BODY:
                raise TooLarge
            return message

        try:
            await self._app(scope, counted, send)
        except TooLarge:
            await _too_large()(scope, receive, send)
        except TRIPS:
            await PlainTextResponse(TROUBLE, 500)(scope, receive, send)


def foreign(headers: Headers) -> bool:
    """Return whether a foreign web page sent the request: Host is this machine, and Origin is another one (T12)."""
    if "origin" not in headers:
        return False
    host, origin = headers.get("host", "").lower(), urlsplit(headers["origin"].lower())
    name = urlsplit(f"//{host}").hostname or ""
    if not origin.netloc or not _loopback(name):
        return False
    return (host if origin.port is not None else name) != origin.netloc


def _loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _too_large() -> Response:
    return PlainTextResponse(f"Maximum request body size {MAX_BODY} exceeded.", 413)
