"""Posts alerts to a webhook, in the form that Discord's accept: {"content": text}.

https://discord.com/developers/docs/resources/webhook#execute-webhook
"""

from __future__ import annotations

import ssl
from functools import cache

import anyio
import httpx

from app.ports import ConnectionLost
from app.reasons.servers import NoAnswer, OutOfReach

SECONDS = 10.0
"""Seconds for one post, from the connection to the status of the answer."""


class Webhook:
    """See `app.ports.AlertChannel`. `url` is a secret, so no error and no log contains it."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def send(self, text: str) -> None:
        """Post one text. Any status but 2xx is a failure, also a redirect; the body of the answer is not read."""
        content = {"content": text, "allowed_mentions": {"parse": list[str]()}}
        try:
            with anyio.fail_after(SECONDS):
                async with (
                    # A client of its own: there are so few alerts that no connection is worth keeping.
                    httpx.AsyncClient(timeout=SECONDS, follow_redirects=False, verify=_authorities()) as client,
                    client.stream("POST", self._url, json=content) as response,
                ):
                    status = response.status_code
        except TimeoutError:
            raise ConnectionLost(NoAnswer(SECONDS)) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ConnectionLost(OutOfReach(type(error).__name__)) from None
        if not 200 <= status < 300:
            raise ConnectionLost(OutOfReach(f"HTTP {status}"))


@cache
def _authorities() -> ssl.SSLContext:
    """The certificate authorities that certifi lists. Loading them takes 30 ms, so it is done once."""
    return httpx.create_ssl_context()
