"""One HTTP request and its answer: the only module that calls httpx and translates its exceptions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, asynccontextmanager, contextmanager

import anyio
import httpx
from msgspec import Struct

from app.comfy.errors import translate_error
from app.comfy.response_limits import Pace, TooLarge, Unpacker, Unreadable, length, unpacker
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


@asynccontextmanager
async def exchange(client: httpx.AsyncClient, request: httpx.Request) -> AsyncGenerator[httpx.Response]:
    """Send a request and yield its response, whose body is not read yet. Raises the same errors as `translated`."""
    with translated(request):
        response = await client.send(request, stream=True)
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
    size = raw_size = 0
    pace = Pace(since=anyio.current_time())
    try:
        packed = unpacker(response.headers)
        async with aclosing(_raw(response)) as raw:
            async for data in raw:
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
    _check_end(packed, size)


def _check_end(packed: Unpacker | None, size: int) -> None:
    if packed is not None and size and not packed.ended:
        raise ConnectionLost(HungUp())


async def _raw(response: httpx.Response) -> AsyncGenerator[bytes]:
    """Yield the bytes as they arrive. Does not use `aiter_bytes`, which decompresses without a limit."""
    if not isinstance(response.stream, httpx.AsyncByteStream):
        raise TypeError("an asynchronous client has asynchronous streams")
    chunks = aiter(response.stream)
    while True:
        with translated(response.request):
            data = await anext(chunks, None)
        if data is None:
            return
        yield data
