"""HTTP answers that no ComfyUI gives, through the real client: its own code decides what they mean."""

from __future__ import annotations

import gzip
import random
from collections.abc import AsyncIterator, Callable
from typing import Self

import anyio
import httpx

from app.comfy.client import ComfyClient
from app.comfy.exchange import Requests
from app.events import ServerName
from app.ports import RunSync

PAGE = b"<!doctype html><html><head><title>Log in</title></head><body>&Uuml;</body></html>"

BODIES: tuple[bytes, ...] = (
    b"",
    PAGE,
    b"null",
    b"[]",
    b"7",
    b'"queue"',
    b'{"queue_running":[[1]],"queue_pending":null}',
    b'{"queue_running":{},"queue_pending":{}}',
    b'{"prompt_id":17}',
    b'{"prompt_id":',
    b'{"cancelled":"perhaps"}',
    b"\xff\xfe\x00",
    b'"\\ud800"',
    b"[" * 20_000,
    b"1" + b"0" * 20_000,
)
"""Bodies that say nothing, with the status of a success."""

STATUSES = (302, 400, 401, 404, 405, 413, 418, 429, 500, 502, 503, 599)

ERRORS: tuple[Callable[[httpx.Request], httpx.HTTPError], ...] = (
    lambda request: httpx.ReadError("", request=request),
    lambda request: httpx.WriteError("broken pipe", request=request),
    lambda request: httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request),
    lambda request: httpx.ConnectError("[SSL: WRONG_VERSION_NUMBER] wrong version number", request=request),
    lambda request: httpx.DecodingError("Error -3 while decompressing data", request=request),
    lambda request: httpx.TooManyRedirects("Exceeded maximum allowed redirects.", request=request),
)
"""What httpx raises instead of an answer."""


LARGEST = 2**20
"""Bytes of an answer or a file from such a server, at most: 64 MiB and 1 GiB would take seconds to refuse."""

TRICKLE = 4.0
"""Seconds between two bytes of an answer that is too slow."""


class Malformed:
    """Owns a client of a server that gives only such answers: wrong, truncated, huge, slow, or none."""

    def __init__(self, name: ServerName, client_id: str, run_sync: RunSync, rng: random.Random) -> None:
        self._rng = rng
        requests = Requests(httpx.MockTransport(self._answer), "http://malformed/", {})
        self.comfy = ComfyClient(requests, client_id, run_sync, LARGEST)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        """Nothing was done at the server, whatever the answer says."""
        rng = self._rng
        if rng.random() < 0.3:
            raise rng.choice(ERRORS)(request)
        if rng.random() < 0.3:
            return await self._without_end(request)
        if request.url.path == "/view":
            # A page that comes with a 200 cannot be told from a file.
            if rng.random() < 0.5:
                return httpx.Response(200, content=_half(request), headers={"content-length": "1000"})
            return httpx.Response(rng.choice(STATUSES), content=PAGE)
        status = 200 if rng.random() < 0.7 else rng.choice(STATUSES)
        kind = rng.choice(("application/json", "text/html; charset=utf-8", "", "application/json; charset=no-such"))
        return httpx.Response(status, content=rng.choice(BODIES), headers={"content-type": kind})

    async def _without_end(self, request: httpx.Request) -> httpx.Response:
        """An answer that is only ended by a limit."""
        headers = {"content-type": "application/json"}
        match self._rng.choice(("announced", "endless", "packed", "slow", "never")):
            case "announced":
                return httpx.Response(200, headers={"content-length": str(10**12)}, stream=_Spaces(0.0, 1))
            case "endless":
                return httpx.Response(200, headers=headers, stream=_Spaces(0.0, LARGEST // 4))
            case "packed":
                return httpx.Response(
                    200, headers=headers | {"content-encoding": "gzip"}, stream=httpx.ByteStream(BOMB)
                )
            case "slow":
                return httpx.Response(200, headers=headers, stream=_Spaces(TRICKLE, 1))
            case _:
                # What httpx's own transport does about silence.
                await anyio.sleep(request.extensions["timeout"]["read"])
                raise httpx.ReadTimeout("", request=request)


BOMB = gzip.compress(b" " * (4 * LARGEST))


class _Spaces(httpx.AsyncByteStream):
    """A body without end: so many spaces after each pause. No generator, so that nothing stays open in the middle."""

    def __init__(self, pause: float, size: int) -> None:
        self._pause = pause
        self._piece = b" " * size

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        await anyio.sleep(self._pause)
        return self._piece


async def _half(request: httpx.Request) -> AsyncIterator[bytes]:
    yield b"\x89PNG"
    raise httpx.RemoteProtocolError("peer closed connection without sending complete message body", request=request)
