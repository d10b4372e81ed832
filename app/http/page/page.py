"""Page: all routes of the web page, below its base path, with the session of each visit and an error boundary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import anyio.lowlevel
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Message, Receive, Scope, Send

from app.boundary import log_failure, report_failure
from app.http.page.context import VISIT, PageContext, Visit
from app.http.page.guard import sentence_of
from app.http.page.protection.headers import SecurityHeaders
from app.http.page.protection.inside import OnlyInside
from app.http.page.protection.rate_limits import RateLimits
from app.http.page.rendering import render_problem


class PagePart(Protocol):
    """A part of the page: the gallery, the queue, the login."""

    def routes(self) -> Sequence[BaseRoute]:
        """Its routes, with paths below the base path."""
        ...


class Page:
    """The web page: its parts as one application."""

    def __init__(self, context: PageContext, parts: Sequence[PagePart], rate_limits: RateLimits) -> None:
        self._context = context
        self._rate_limits = rate_limits
        self.proxies = rate_limits.trusted_proxies
        """Addresses or networks behind which there are many people."""
        routes = [route for part in (context.static, *parts) for route in part.routes()]
        # Starlette would redirect to the address that the proxy uses, which people cannot open.
        self._router = Router(routes, redirect_slashes=False)
        self.middleware = [Middleware(SecurityHeaders), Middleware(OnlyInside, address=context.address)]
        """What has to be around everything that is served with the page."""

    def routes(self) -> Sequence[BaseRoute]:
        """The routes of the page, which must be the last ones: it answers whatever is below its base path."""
        base = self._context.address.base
        if not base:
            return [Mount("/", app=self)]

        async def lead_in(_: Request) -> Response:
            return RedirectResponse(f"{base}/", 308)

        return [Route(base, lead_in), Mount(base, app=self)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            # Nothing here speaks by websocket.
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
            return
        sessions = self._context.sessions
        headers = Headers(scope=scope)
        session, renew = sessions.read(headers.get("cookie", ""))
        visit = scope[VISIT] = Visit(self._context, session, renew=renew)
        # Starlette would answer errors with a word of English; this page has sentences.
        scope["starlette.exception_handlers"] = ({}, {})
        has_begun = False

        async def send_with_session(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                answer = MutableHeaders(scope=message)
                # What is the same for everybody may be kept by a proxy, too.
                if visit.changed and not answer.get("cache-control", "").startswith("public"):
                    answer.append("Set-Cookie", sessions.header(visit.session))
            await send(message)
            if message.get("more_body"):
                # What is sent to a client that has gone is gone at once: others must have their turn.
                await anyio.lowlevel.checkpoint()

        request = Request(scope, receive)
        # Only the beginning of the path is logged: what follows may be secret.
        part = scope["path"].removeprefix(self._context.address.base).lstrip("/").partition("/")[0]
        limits, ident = self._rate_limits, session.id if session is not None else ""
        try:
            if not self._context.address.is_own_host(headers.get("host", "")):
                raise HTTPException(421)
            if pause := limits.wait(scope, ident, is_login=part == "login"):
                raise HTTPException(429, headers={"Retry-After": str(pause)})
            with limits.counted(scope, ident) as may_be_answered:
                if not may_be_answered:
                    raise HTTPException(429, headers={"Retry-After": "10"})
                await self._router(scope, receive, send_with_session)
        except Exception as error:  # noqa: BLE001  the boundary of one request
            if has_begun:
                log_failure(error, "a page broke off", part=part)
                return
            await _failed(request, error, part)(scope, receive, send_with_session)


def _failed(request: Request, error: Exception, part: str) -> Response:
    if isinstance(error, HTTPException):
        response = render_problem(request, sentence_of(error), error.status_code)
        response.headers.update(error.headers or {})
        return response
    return render_problem(request, report_failure(error, "a page could not be shown", part=part), 500)
