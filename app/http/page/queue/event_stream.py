"""EventStream: an answer that goes on until its client leaves, as server-sent events.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Write: TypeAlias = Callable[[bytes], Awaitable[None]]
"""Sends bytes to the client, and waits until it reads them."""

HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]
"""nginx holds events back without the last one."""

HEARTBEAT = b":\n\n"
"""A comment: proxies close connections in which nothing is sent."""


class EventStream(Response):
    """Sends what `talk` writes, until it returns or the client leaves."""

    def __init__(self, talk: Callable[[Write], Awaitable[None]]) -> None:
        super().__init__()
        self.raw_headers = HEADERS
        self._talk = talk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""

        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        async with anyio.create_task_group() as tasks:

            async def until_the_client_leaves() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(until_the_client_leaves, name="client of events")
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._talk(write)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            tasks.cancel_scope.cancel()


def event(name: str, data: bytes, ident: str = "") -> bytes:
    """One event. The data must be on one line."""
    lines: Iterable[bytes] = (
        b"event: %s" % name.encode(),
        *([b"id: %s" % ident.encode()] if ident else []),
        b"data: %s" % data,
    )
    return b"\n".join(lines) + b"\n\n"
