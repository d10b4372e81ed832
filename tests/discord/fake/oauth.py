"""OAuth2 as Discord has it: a page on which somebody agrees, codes, tokens, and who somebody is.

https://discord.com/developers/docs/topics/oauth2
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from html import escape
from urllib.parse import urlencode

from aiohttp import web

from tests.discord.fake.rest import BODY, PREFIX
from tests.discord.fake.state import State
from tests.discord.fake.wire import ApiError, Payload

CODE_LIFE = 60.0
"""Seconds for which a code is valid."""

SCOPES = frozenset({"identify", "guilds", "email", "guilds.members.read"})

PAGE = """\
<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Discord</title></head><body>
<h1>Authorize {name}</h1><p>It asks for: {scope}</p>
<form method="post" action="/oauth2/authorize">{hidden}
{people}<button name="person" value="">Cancel</button></form></body></html>
"""


@dataclass
class Grant:
    """What somebody agreed to."""

    person: str
    redirect: str
    challenge: str
    scope: str
    until: float


@dataclass
class Application:
    """What the developer portal says of the application."""

    secret: str = "s3cret-of-the-fake-application-00"
    redirects: list[str] = field(default_factory=list[str])
    """The addresses to which people may be sent back."""
    grants: dict[str, Grant] = field(default_factory=dict[str, Grant])
    """By their codes, which are used once."""
    tokens: dict[str, Grant] = field(default_factory=dict[str, Grant])
    """By their access tokens."""


class OAuth:
    """The endpoints of OAuth2."""

    def __init__(self, state: State, application: Application) -> None:
        self._state = state
        self._application = application

    def table(self) -> list[web.RouteDef]:
        """Method, path, endpoint."""
        return [
            web.get("/oauth2/authorize", self._ask),
            web.post("/oauth2/authorize", self._agree),
            web.post(f"{PREFIX}/oauth2/token", self._token),
        ]

    def person(self, authorization: str) -> Payload:
        """Whom a Bearer token belongs to. Raises 401."""
        grant = self._application.tokens.get(authorization.removeprefix("Bearer "))
        if grant is None or "identify" not in grant.scope.split():
            raise ApiError(401, 0, "401: Unauthorized")
        return self._state.person(grant.person).describe()

    async def _ask(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        self._check(asked)
        hidden = "".join(
            f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in asked.items()
        )
        people = "".join(
            f'<button name="person" value="{person.id}">Authorize as {escape(person.name)}</button>\n'
            for person in self._state.people.values()
            if not person.bot
        )
        page = PAGE.format(
            name=escape(self._state.bot.name), scope=escape(asked["scope"]), hidden=hidden, people=people
        )
        return web.Response(text=page, content_type="text/html")

    async def _agree(self, request: web.Request) -> web.Response:
        asked = {name: str(value) for name, value in (await request.post()).items()}
        self._check(asked)
        answer = {"state": asked["state"]} if "state" in asked else {}
        if not (person := asked.get("person", "")):
            answer |= {"error": "access_denied", "error_description": "The resource owner denied the request"}
        else:
            code = secrets.token_urlsafe(16)
            grant = Grant(
                self._state.person(person).id,
                asked["redirect_uri"],
                asked.get("code_challenge", ""),
                asked["scope"],
                self._state.clock.now() + CODE_LIFE,
            )
            self._application.grants[code] = grant
            answer |= {"code": code}
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode(answer)}")

    def _check(self, asked: dict[str, str]) -> None:
        """Raise unless the application may ask this."""
        known = asked.get("client_id") == self._state.bot.id and asked.get("response_type") == "code"
        if not known or asked.get("redirect_uri") not in self._application.redirects:
            raise web.HTTPBadRequest(text="Invalid OAuth2 redirect_uri, client_id or response_type")
        if not asked.get("scope") or not set(asked["scope"].split()) <= SCOPES:
            raise web.HTTPBadRequest(text="The requested scope is invalid, unknown, or malformed.")
        if "code_challenge" in asked and asked.get("code_challenge_method") != "S256":
            raise web.HTTPBadRequest(text="Invalid code_challenge_method")

    async def _token(self, request: web.Request) -> web.Response:
        given = request[BODY].json
        expected = base64.b64encode(f"{self._state.bot.id}:{self._application.secret}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            return web.json_response({"error": "invalid_client"}, status=401)
        if given.get("grant_type") != "authorization_code":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        grant = self._application.grants.pop(str(given.get("code")), None)
        verifier = str(given.get("code_verifier", "")).encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).decode().rstrip("=")
        if (
            grant is None
            or grant.until < self._state.clock.now()
            or grant.redirect != given.get("redirect_uri")
            or (grant.challenge and not secrets.compare_digest(grant.challenge, challenge))
        ):
            description = 'Invalid "code" in request.'
            return web.json_response({"error": "invalid_grant", "error_description": description}, status=400)
        token = secrets.token_urlsafe(24)
        self._application.tokens[token] = grant
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": 604800, "scope": grant.scope}
        return web.json_response(answer | {"refresh_token": secrets.token_urlsafe(24)})
