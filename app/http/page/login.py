"""Logging in and out."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app.http.page.context import PageContext, visit_of
from app.http.page.guard import for_own_forms
from app.http.page.rendering import render


class Login:
    """The pages of logging in and out."""

    def __init__(self, context: PageContext) -> None:
        self._context = context

    def routes(self) -> Sequence[BaseRoute]:
        """The routes of the login."""
        return [
            Route("/login", self._show),
            Route("/logout", for_own_forms(self._log_out), methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        wanted = self._context.address.own_path(request.query_params.get("next", ""))
        if visit_of(request).person:
            return RedirectResponse(wanted, 303)
        return render(request, "login.html")

    async def _log_out(self, request: Request) -> Response:
        visit_of(request).log_out()
        return RedirectResponse(f"{self._context.address.base}/login", 303)
