"""The Starlette application: one error boundary and one limit on bodies around all routes."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.boundary import report_failure
from app.texts.health import body_too_large

MAX_BODY = 64 * 1024
"""Bytes. The forms of the page have at most as much, and nothing else has a body."""


class BodyLimit:
    """Refuses a request that announces a body of more than `MAX_BODY` bytes; routes count what is not announced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            length = Headers(scope=scope).get("content-length", "")
            if length and not (length.isdecimal() and len(length) < 18 and int(length) <= MAX_BODY):
                response = PlainTextResponse(f"{body_too_large(MAX_BODY)}\n", 413, {"Connection": "close"})
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Application:
    """Answers requests by `routes`. Whatever a route raises is logged, and concerns only the one who asked."""

    def __init__(self, routes: Sequence[BaseRoute], middleware: Sequence[Middleware] = ()) -> None:
        self._app = Starlette(
            routes=routes,
            middleware=[*middleware, Middleware(BodyLimit)],
            exception_handlers={Exception: _answer_failure},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or connection."""
        try:
            await self._app(scope, receive, send)
        except Exception:  # noqa: BLE001  Starlette raises again what `_answer_failure` has reported
            return


async def _answer_failure(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{report_failure(error, 'an HTTP request failed', path=request.url.path)}\n", 500)
