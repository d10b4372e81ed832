"""Many people at once, and some who do not read or send too much: nobody keeps others from the page."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream

from app.config.settings import Http
from app.http import server as http_server
from app.http.server import HttpServer, open_server
from tests.http.page.site import Site

STREAMS, PAGES, OF_ONE = 1000, 200, 4

ENOUGH = 120.0
"""Seconds for anything that a test waits for."""


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@asynccontextmanager
async def served(site: Site) -> AsyncGenerator[HttpServer]:
    async with open_server(Http(host="127.0.0.1"), site.sources, started=0.0, page=site.page) as server:
        with anyio.fail_after(ENOUGH):
            await server.listening.wait()
            yield server


def request(site: Site, person: int, path: str, method: str = "GET", more: str = "") -> bytes:
    """A request of somebody who is logged in."""
    session = site.sessions.begin(str(1_400_000_000_000_000_000 + person))
    cookie = site.sessions.header(session).partition(";")[0]
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n{more}\r\n".encode()


async def connect(server: HttpServer) -> SocketStream:
    return await anyio.connect_tcp("127.0.0.1", int(server.address.rpartition(":")[2]))


async def until_says(stream: SocketStream, text: bytes) -> bytes:
    """What was received until this text was."""
    received = b""
    while text not in received:
        received += await stream.receive()
    return received


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that wakes nobody."""
    while not condition():  # noqa: ASYNC110
        await anyio.sleep(0.01)


async def test_a_thousand_pages_are_followed_and_two_hundred_more_are_shown() -> None:
    site = Site("")
    async with served(site) as server, AsyncExitStack() as stack:
        streams: list[SocketStream] = []
        for number in range(STREAMS):
            stream = await stack.enter_async_context(await connect(server))
            await stream.send(request(site, number // OF_ONE, "/events"))
            assert b" 200 " in await until_says(stream, b"data: first")
            streams.append(stream)
        pages: list[SocketStream] = []
        for number in range(PAGES):
            page = await stack.enter_async_context(await connect(server))
            await page.send(request(site, number, "/"))
            pages.append(page)
        for page in pages:
            assert b" 200 " in await until_says(page, b"</html>")
        assert server.open_connections >= STREAMS
        site.sample.next_event.set()
        for stream in streams:
            await until_says(stream, b"data: next")
        await stack.aclose()
        await until(lambda: server.open_connections == 0)


async def test_who_reads_nothing_is_cut_off_and_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "SENDING", 0.5)
    site = Site("")
    async with served(site) as server, AsyncExitStack() as stack:
        for number in range(30):
            deaf = await stack.enter_async_context(await connect(server))
            await deaf.send(request(site, number, "/flood"))
            if not number:
                await until(lambda: server.open_connections == 1)
        # Those are accepted before it. The first may be cut off before the last one comes.
        async with await connect(server) as other:
            await other.send(request(site, 99, "/"))
            assert b" 200 " in await until_says(other, b"</html>")
        await until(lambda: server.open_connections == 0)


async def test_the_end_of_the_bot_waits_for_nobody() -> None:
    site = Site("")
    async with AsyncExitStack() as stack, served(site) as server:
        for number, path in enumerate(("/events", "/flood") * 5):
            stream = await stack.enter_async_context(await connect(server))
            await stream.send(request(site, number, path))
        await until(lambda: server.open_connections == 10)
        await server.end()
        assert server.open_connections == 0


async def test_a_stream_stays_open_although_its_client_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "READING", 0.2)
    monkeypatch.setattr(http_server, "IDLE", 0.2)
    site = Site("")
    async with served(site) as server, await connect(server) as stream:
        await stream.send(request(site, 1, "/events"))
        await until_says(stream, b"data: first")
        await anyio.sleep(0.8)
        site.sample.next_event.set()
        await until_says(stream, b"data: next")


async def test_a_body_that_stops_arriving_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "READING", 0.2)
    site = Site("")
    async with served(site) as server, await connect(server) as stream:
        form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n"
        await stream.send(request(site, 1, "/change", "POST", form) + b"what=")
        await until(lambda: server.open_connections == 1)
        await until(lambda: server.open_connections == 0)
    assert site.sample.changes == []


async def test_fifty_megabytes_in_pieces_are_not_taken_in() -> None:
    site = Site("")
    async with served(site) as server, await connect(server) as stream:
        form = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n"
        await stream.send(request(site, 1, "/change", "POST", form))
        piece, sent = b"10000\r\n" + b"x" * 65_536 + b"\r\n", 0
        with pytest.raises((anyio.BrokenResourceError, anyio.ClosedResourceError)):  # noqa: PT012
            while sent < 50_000_000:
                await stream.send(piece)
                sent += len(piece)
            await stream.receive()
            raise anyio.BrokenResourceError
        assert sent < 50_000_000
    assert site.sample.changes == []
