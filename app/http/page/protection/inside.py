"""Keeps health and metrics from people who open the page: a proxy may forward more than the page by mistake."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.page.protection.addresses import PageAddress

INSIDE = frozenset({"/healthz", "/readyz", "/metrics"})
"""What only operators and their programs read, at the address of `[http]`."""


class OnlyInside:
    """Hides `INSIDE` from requests that name the public address of the page as their Host, if there is one."""

    def __init__(self, app: ASGIApp, address: PageAddress) -> None:
        self._app = app
        self._public = urlsplit(address.url).netloc if address.fixed else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if self._public and scope["path"].rstrip("/") in INSIDE and Headers(scope=scope).get("host") == self._public:
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
            return
        await self._app(scope, receive, send)
