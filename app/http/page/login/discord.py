"""Logging in with Discord: OAuth2 with a code and PKCE.

https://discord.com/developers/docs/topics/oauth2#authorization-code-grant

Only the scope `identify` is asked for: which servers, roles and channels somebody has the bot reads by itself, each
time that it matters, and not only once at the login.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpx
import msgspec
from httpx_oauth.exceptions import HTTPXOAuthError
from httpx_oauth.oauth2 import BaseOAuth2
from msgspec import Struct

REST_URL = "https://discord.com/api/v10"

SCOPE = "identify"

SECONDS = 10.0
"""Seconds for a login: two requests to Discord."""

MOST_BYTES = 64 * 1024
"""Bytes of an answer of Discord. Each has some hundreds."""

MOST_AT_ONCE = 16
"""Logins that talk to Discord at once; others wait."""


class LoginFailed(Exception):
    """Discord does not say who somebody is. `refused`: it does not accept the code; otherwise it is out of reach."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


class Account(Struct, frozen=True):
    """Somebody on Discord: the id, and what others see as the name."""

    id: str
    username: str = ""
    global_name: str | None = None

    @property
    def name(self) -> str:
        """How the person is called."""
        return self.global_name or self.username


class DiscordLogin:
    """Asks Discord who somebody is. `redirect` is the address to which Discord sends people back.

    `rest_url` is Discord's address, "" for the real one.
    """

    def __init__(self, application: str, secret: str, rest_url: str, redirect: str) -> None:
        rest = rest_url or REST_URL
        parts = urlsplit(rest)
        self._client = _Client(
            application,
            secret,
            f"{parts.scheme}://{parts.netloc}/oauth2/authorize",
            f"{rest}/oauth2/token",
            name="discord",
            base_scopes=[SCOPE],
            token_endpoint_auth_method="client_secret_basic",  # noqa: S106  the name of a method
        )
        self._me = f"{rest}/users/@me"
        self._redirect = redirect
        self._free = anyio.CapacityLimiter(MOST_AT_ONCE)

    async def address(self, state: str, challenge: str) -> str:
        """Where somebody is sent to log in. `challenge` is the SHA-256 of the verifier, in URL-safe base64."""
        return await self._client.get_authorization_url(
            self._redirect,
            state,
            code_challenge=challenge,
            code_challenge_method="S256",
            extras_params={"prompt": "none"},
        )

    async def account(self, code: str, verifier: str) -> Account:
        """Whose code it is that Discord sent along. Raises `LoginFailed`."""
        try:
            with anyio.fail_after(SECONDS):
                async with self._free:
                    token = await self._client.get_access_token(code, self._redirect, verifier)
                    return await self._read(str(token.get("access_token", "")))
        except TimeoutError:
            raise LoginFailed("Discord does not answer", refused=False) from None
        except HTTPXOAuthError as error:
            response: httpx.Response | None = getattr(error, "response", None)
            status = response.status_code if response is not None else 0
            raise LoginFailed(f"{type(error).__name__}: HTTP {status}", refused=400 <= status < 500) from None
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError) as error:
            raise LoginFailed(type(error).__name__, refused=False) from None
        except (AttributeError, TypeError, ValueError) as error:
            # The library does not check that an answer is what it should be.
            raise LoginFailed(f"an answer makes no sense: {type(error).__name__}", refused=False) from None

    async def _read(self, token: str) -> Account:
        async with self._client.get_httpx_client() as client:
            response = await client.get(self._me, headers={"Authorization": f"Bearer {token}"})
        if response.status_code != 200:
            raise LoginFailed(f"HTTP {response.status_code}", refused=False)
        account = msgspec.json.decode(response.content, type=Account)
        if not (account.id.isascii() and account.id.isdecimal()):
            raise LoginFailed("an answer without an id", refused=False)
        return account


class _Client(BaseOAuth2[dict[str, Any]]):
    """The library's client, with limits on what Discord answers."""

    @asynccontextmanager
    async def get_httpx_client(self) -> AsyncGenerator[httpx.AsyncClient]:
        # What is packed could be much larger than what arrives.
        headers = {"Accept-Encoding": "identity"}
        transport = _Limited(verify=_authorities())
        async with httpx.AsyncClient(transport=transport, timeout=SECONDS, headers=headers) as client:
            yield client


class _Limited(httpx.AsyncHTTPTransport):
    """Refuses answers that are larger than `MOST_BYTES`, or packed."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        stream = cast("httpx.AsyncByteStream", response.stream)
        is_packed = response.headers.get("content-encoding", "identity") != "identity"
        content = b""
        try:
            async for part in stream:
                content += part
                if len(content) > MOST_BYTES or is_packed:
                    # Closing ends the stream with an error; httpx cleans up badly when the loop is left early.
                    await stream.aclose()
        finally:
            await stream.aclose()
        return httpx.Response(response.status_code, headers=response.headers, content=content)


@cache
def _authorities() -> ssl.SSLContext:
    """The certificate authorities that certifi lists. Loading them takes 30 ms, so it is done once."""
    return httpx.create_ssl_context()
