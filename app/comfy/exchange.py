"""One HTTP request and its answer: the only module that calls httpx and translates its exceptions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

import anyio
import httpx
from msgspec import Struct

from app.comfy.errors import translate_error
from app.comfy.response_limits import Pace, TooLarge, Unreadable, length, unpacker
from app.ports import ConnectionLost
from app.reasons.servers import HungUp, TooSlow


class Answer(Struct, frozen=True):
    """A complete answer. `kind` is its media type."""

    status: int
    kind: str
    content: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def is_json(self) -> bool:
        """Whether its media type is JSON."""
        return self.kind == "application/json"


def media_type(response: httpx.Response) -> str:
    """The media type of a response, without parameters, and at most 60 characters long."""
    return response.headers.get("content-type", "").partition(";")[0].strip()[:60]


@contextmanager
def translated(request: httpx.Request | None = None) -> Generator[None]:
    """Wraps a call of httpx and nothing else: every exception becomes `ConnectionLost` or `Refused`."""
    try:
        yield
    except Exception as error:
        raise translate_error(error, request) from error


class Requests:
    """Builds and sends the requests to one server; what they have in common is built once.

    It uses httpx's transport without its client, which takes a third of the time of a request for redirects, cookies
    and authentication in several steps. We use none of these.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, url: str, headers: Mapping[str, str]) -> None:
        """`url` is the server's, without user and password, and `headers` go with every request."""
        self._transport = transport
        self._url = url.rstrip("/") + "/"
        common = {"Accept": "*/*", "Connection": "keep-alive", "User-Agent": f"python-httpx/{httpx.__version__}"}
        self._headers = {
            encoding: httpx.Headers({**common, "Accept-Encoding": encoding}) for encoding in ("gzip", "identity")
        }
        for each in self._headers.values():
            each.update(headers)

    def request(
        self,
        method: str,
        path: str,
        *,
        timeout: httpx.Timeout,
        encoding: Literal["gzip", "identity"] = "gzip",
        json: bytes | None = None,
        files: Mapping[str, tuple[str, bytes]] | None = None,
    ) -> httpx.Request:
        """Build a request. `path` is quoted, and may have a query; `encoding` is how the answer may be compressed.

        Raises the same errors as `translated`.
        """
        with translated():
            request = httpx.Request(
                method,
                self._url + path,
                headers=self._headers[encoding],
                content=json,
                files=files,
                extensions={"timeout": timeout.as_dict()},
            )
        if json is not None:
            request.headers["Content-Type"] = "application/json"
        return request

    @asynccontextmanager
    async def exchange(self, request: httpx.Request) -> AsyncGenerator[httpx.Response]:
        """Send a request and yield its response, whose body is not read yet. Raises the same errors as `translated`."""
        with translated(request):
            response = await self._transport.handle_async_request(request)
        response.request = request
        try:
            yield response
        finally:
            with translated(request):
                await response.aclose()


async def body(response: httpx.Response, largest: int) -> AsyncGenerator[bytes]:
    """Yield the bytes of a body, uncompressed, piece by piece.

    Raises `TooLarge` if there are more than `largest`, compressed or uncompressed, `ConnectionLost` if the body breaks
    off or is too slow, and `Refused` if it is invalid.
    """
    if (length(response.headers) or 0) > largest:
        raise TooLarge(largest)
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous client has asynchronous streams")
    size = raw_size = 0
    pace = Pace(since=anyio.current_time())
    # Not `aiter_bytes`, which decompresses without a limit.
    raw = aiter(response.stream)
    try:
        packed = unpacker(response.headers)
        while True:
            with translated(response.request):
                data = await anext(raw, None)
            if data is None:
                break
            if pace.is_too_slow(anyio.current_time(), len(data)):
                raise ConnectionLost(TooSlow())
            raw_size += len(data)
            if raw_size > largest:
                raise TooLarge(largest)
            for piece in packed.unpack(data) if packed is not None else (data,):
                size += len(piece)
                if size > largest:
                    raise TooLarge(largest)
                yield piece
    except Unreadable as error:
        raise translate_error(error) from error
    finally:
        if isinstance(raw, AsyncGenerator):
            # One that is left in the middle would be closed by the garbage collector, at any time.
            await raw.aclose()
    if packed is not None and size and not packed.ended:
        raise ConnectionLost(HungUp())
