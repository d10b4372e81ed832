"""Counts every request that hikari sends to Discord's REST API, with the status of its answer.

hikari has no hook for this, but its HTTP client has: https://docs.aiohttp.org/en/stable/tracing_reference.html
"""

from __future__ import annotations

import aiohttp
import hikari
import structlog

from app.discord.traffic import Traffic

logger = structlog.stdlib.get_logger(__name__)

NO_ANSWER = "none"
"""The status of a request that had no answer."""


def count_requests(rest: hikari.api.RESTClient, traffic: Traffic) -> None:
    """Count the requests of a client that was started; those of an unknown kind of client are not counted."""
    session: object = getattr(rest, "_client_session", None)
    if not isinstance(session, aiohttp.ClientSession):
        logger.warning("hikari sends requests in a way that is unknown here: they are not counted")
        return

    async def answered(_: aiohttp.ClientSession, __: object, params: aiohttp.TraceRequestEndParams) -> None:
        traffic.requests[params.method, str(params.response.status)] += 1

    async def failed(_: aiohttp.ClientSession, __: object, params: aiohttp.TraceRequestExceptionParams) -> None:
        traffic.requests[params.method, NO_ANSWER] += 1

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(answered)
    trace.on_request_exception.append(failed)
    trace.freeze()
    session.trace_configs.append(trace)
