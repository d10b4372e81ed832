"""What people send: small forms, which must arrive soon and come from a page of ours."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from typing import cast
from urllib.parse import parse_qsl

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from app.http.page.context import visit_of

MAX_FORM = 64 * 1024
"""Bytes. A prompt has at most some thousands."""

MOST_FIELDS = 200

PATIENCE = 10.0
"""Seconds for the whole form to arrive."""

TOKEN_FIELD, TOKEN_HEADER = "csrf", "x-csrf-token"

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

FORM = "atelier.form"
"""The key of what was read in the scope of a request."""


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form that was sent, by name. Raises `HTTPException` for what is none, too large or too slow."""
    if (form := request.scope.get(FORM)) is None:
        form = request.scope[FORM] = await _read(request)
    return cast("Mapping[str, str]", form)


async def _read(request: Request) -> Mapping[str, str]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    content = b""
    try:
        with anyio.fail_after(PATIENCE):
            async with aclosing(request.stream()) as parts:
                async for part in parts:
                    content += part
                    if len(content) > MAX_FORM:
                        raise HTTPException(413)
    except TimeoutError:
        raise HTTPException(408) from None
    except ClientDisconnect:
        raise HTTPException(400) from None
    if not content:
        return {}
    if media_type != "application/x-www-form-urlencoded":
        raise HTTPException(415)
    try:
        return dict(parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise HTTPException(400) from None


async def comes_from_here(request: Request) -> bool:
    """Whether a request that may change something was sent by a page of ours that this session was shown.

    Browsers name the page that sends as Origin, and the page has a token that only this session got.
    """
    if request.method in SAFE:
        return True
    visit = visit_of(request)
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and not visit.context.address.is_own_origin(origin, host):
        return False
    if visit.session is None:
        return False
    token = request.headers.get(TOKEN_HEADER) or (await form_of(request)).get(TOKEN_FIELD, "")
    return visit.context.sessions.is_csrf_token(visit.session, token)
