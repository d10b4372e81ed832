"""Logging in, with Discord or by a link of the bot, and logging out."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from app.http.page.context import PageContext, visit_of
from app.http.page.guard import for_own_forms
from app.http.page.login.discord import DiscordLogin, LoginFailed
from app.http.page.login.links import LoginLinks
from app.http.page.rendering import render, render_problem
from app.texts import page as texts

logger = structlog.stdlib.get_logger(__name__)

STATE = "login"
"""The purpose of what Discord sends back, so that a login ends in the browser in which it began."""

VERIFIER = "pkce"

PATIENCE = 600.0
"""Seconds that somebody has for Discord's page."""

LONGEST_CODE = 200
"""Characters of a code of Discord, which has 30."""


class Login:
    """The pages of logging in and out. Without `discord` there are only links."""

    def __init__(self, context: PageContext, links: LoginLinks, discord: DiscordLogin | None = None) -> None:
        self._context = context
        self._links = links
        self._discord = discord

    def routes(self) -> Sequence[BaseRoute]:
        """The routes of the login."""
        return [
            Route("/login", self._show),
            Route("/login/discord", self._begin),
            Route("/login/callback", self._end),
            Route("/login/link/{token}", self._show_link),
            Route("/login/link/{token}", for_own_forms(self._use_link), methods=["POST"]),
            Route("/logout", for_own_forms(self._log_out), methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        wanted = self._context.address.own_path(request.query_params.get("next", ""))
        if visit_of(request).person or self._context.everything:
            return RedirectResponse(wanted, 303)
        return render(request, "login.html", has_discord=self._discord is not None, wanted=wanted)

    async def _begin(self, request: Request) -> Response:
        """Send somebody to Discord. Two logins that began in one browser both may end there."""
        if self._discord is None:
            return render_problem(request, texts.NO_SUCH_PAGE, 404)
        wanted = self._context.address.own_path(request.query_params.get("next", ""))
        session = visit_of(request).ensure_session()
        nonce = secrets.token_urlsafe(12)
        state = self._context.signer.sign(STATE, session.person, session.id, nonce, wanted, life=PATIENCE)
        challenge = hashlib.sha256(self._verifier(nonce).encode()).digest()
        address = await self._discord.address(state, base64.urlsafe_b64encode(challenge).decode().rstrip("="))
        return RedirectResponse(address, 303, {"Cache-Control": "no-store"})

    async def _end(self, request: Request) -> Response:
        """Take somebody back whom Discord has sent."""
        if self._discord is None:
            return render_problem(request, texts.NO_SUCH_PAGE, 404)
        visit, query = visit_of(request), request.query_params
        signed = self._context.signer.read(STATE, query.get("state", ""))
        session = visit.session
        if signed is None or session is None or signed.parts[:1] != (session.id,):
            return self._refuse(request, texts.LOGIN_OVER, 400)
        if "error" in query:
            return self._refuse(request, texts.LOGIN_CANCELLED, 403)
        code = query.get("code", "")
        if not code or len(code) > LONGEST_CODE:
            return self._refuse(request, texts.LOGIN_OVER, 400)
        _, nonce, wanted = signed.parts
        try:
            account = await self._discord.account(code, self._verifier(nonce))
        except LoginFailed as error:
            logger.warning("a login with Discord failed", reason=str(error))
            sentence = texts.LOGIN_REFUSED if error.refused else texts.DISCORD_AWAY
            return self._refuse(request, sentence, 502)
        visit.log_in(account.id, account.name)
        return RedirectResponse(self._context.address.own_path(wanted), 303)

    def _refuse(self, request: Request, sentence: str, status: int) -> Response:
        return render(request, "login_again.html", status, sentence=sentence)

    def _verifier(self, nonce: str) -> str:
        """The secret of one login that Discord sees only at its end. It is derived, so that nothing is kept of it."""
        return self._context.signer.derive(VERIFIER, nonce)

    async def _show_link(self, request: Request) -> Response:
        """Ask before a link is used up: programs that look at links for a preview only read this."""
        if not self._links.person(request.path_params["token"]):
            return self._refuse(request, texts.LINK_OVER, 410)
        visit_of(request).ensure_session()
        return render(request, "link.html")

    async def _use_link(self, request: Request) -> Response:
        if not (person := self._links.use(request.path_params["token"])):
            return self._refuse(request, texts.LINK_OVER, 410)
        parts = self._context.parts
        name = await parts.names.person(person) if parts is not None and parts.names is not None else ""
        visit_of(request).log_in(person, name)
        return RedirectResponse(f"{self._context.address.base}/", 303)

    async def _log_out(self, request: Request) -> Response:
        visit_of(request).log_out()
        return RedirectResponse(f"{self._context.address.base}/login", 303)
