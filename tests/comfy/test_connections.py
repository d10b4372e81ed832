"""The connections to one server: which are used again, and what becomes of those that break."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
import trustme
from anyio.abc import ByteStream

from app.comfy import connections
from app.comfy.connections import HEAD_BYTES, Connections
from app.comfy.tls import tls_context
from app.config.settings import Server
from tests.comfy.peers import peer
from tests.comfy.websocket.hostile import read_request

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

PATIENCE = httpx.Timeout(30.0)

LOST = (httpx.ReadError, httpx.RemoteProtocolError)


class Recorder:
    """Answers the requests of each connection in turn, and remembers on which connection each came.

    After the last answer it waits for one more request, and closes the connection without an answer; or closes it at
    once, if it `leaves`.
    """

    def __init__(self, *answers: bytes, leaves: bool = False) -> None:
        self._answers = answers
        self._leaves = leaves
        self.requests: list[tuple[int, str]] = []
        """Numbers of connections, and methods with paths."""
        self.closed = 0
        self._connections = 0

    async def __call__(self, stream: ByteStream) -> None:
        self._connections += 1
        number = self._connections
        try:
            for answer in self._answers:
                await self._read(stream, number)
                await stream.send(answer)
            if not self._leaves:
                await self._read(stream, number)
        finally:
            self.closed += 1

    async def _read(self, stream: ByteStream, number: int) -> None:
        request = await read_request(stream)
        self.requests.append((number, request.partition(b" HTTP/1.1")[0].decode()))


@asynccontextmanager
async def connections_to(server: Recorder, at_once: int = 4) -> AsyncGenerator[tuple[Connections, str]]:
    async with peer(server) as port, Connections(tls_context(Server(url="http:")), at_once) as transport:
        yield transport, f"http://127.0.0.1:{port}"


async def response_of(
    transport: Connections,
    url: str,
    method: str = "GET",
    content: bytes | None = None,
    timeouts: httpx.Timeout = PATIENCE,
) -> httpx.Response:
    request = httpx.Request(method, url, content=content, extensions={"timeout": timeouts.as_dict()})
    response = await transport.handle_async_request(request)
    response.request = request
    return response


async def ask(transport: Connections, url: str, method: str = "GET", content: bytes | None = None) -> bytes:
    response = await response_of(transport, url, method, content)
    try:
        return await response.aread()
    finally:
        await response.aclose()


async def test_a_connection_carries_one_request_after_the_other() -> None:
    server = Recorder(*3 * [ANSWER])
    async with connections_to(server) as (transport, url):
        assert await ask(transport, f"{url}/a") == b"ok"
        assert await ask(transport, f"{url}/b", "DELETE") == b"ok"
        assert await ask(transport, f"{url}/c?d=e") == b"ok"
    assert server.requests == [(1, "GET /a"), (1, "DELETE /b"), (1, "GET /c?d=e")]


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    server = Recorder(ANSWER, ANSWER)
    async with connections_to(server) as (transport, url):
        first = await response_of(transport, f"{url}/a")
        assert await ask(transport, f"{url}/b") == b"ok"
        assert await first.aread() == b"ok"
        await first.aclose()
        assert await ask(transport, f"{url}/c") == b"ok"
    assert server.requests == [(1, "GET /a"), (2, "GET /b"), (1, "GET /c")]


async def test_a_request_that_reads_is_sent_again_if_its_connection_is_closed_without_an_answer() -> None:
    server = Recorder(ANSWER)
    async with connections_to(server) as (transport, url):
        assert await ask(transport, f"{url}/a") == b"ok"
        assert await ask(transport, f"{url}/b") == b"ok"
    assert server.requests == [(1, "GET /a"), (1, "GET /b"), (2, "GET /b")]


async def test_a_request_that_changes_something_is_sent_once() -> None:
    server = Recorder(ANSWER)
    async with connections_to(server) as (transport, url):
        await ask(transport, f"{url}/a")
        with pytest.raises(LOST):
            await ask(transport, f"{url}/prompt", "POST", b"")
    assert server.requests == [(1, "GET /a"), (1, "POST /prompt")]


async def test_a_request_that_was_answered_in_part_is_sent_once() -> None:
    server = Recorder(ANSWER, b"HTTP/1.1 200 OK\r\nContent-", leaves=True)
    async with connections_to(server) as (transport, url):
        await ask(transport, f"{url}/a")
        with pytest.raises(LOST):
            await ask(transport, f"{url}/b")
    assert server.requests == [(1, "GET /a"), (1, "GET /b")]


async def test_a_new_connection_that_is_closed_without_an_answer_is_not_tried_again() -> None:
    server = Recorder()
    async with connections_to(server) as (transport, url):
        with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
            await ask(transport, f"{url}/a")
    assert server.requests == [(1, "GET /a")]


@pytest.mark.parametrize("answer", [ANSWER + b"HTTP/1.1 200 OK", ANSWER.replace(b"OK\r", b"OK\r\nConnection: close\r")])
async def test_a_connection_is_not_used_again_after_too_many_bytes_or_when_the_server_says_so(answer: bytes) -> None:
    server = Recorder(answer, answer)
    async with connections_to(server) as (transport, url):
        await ask(transport, f"{url}/a")
        await ask(transport, f"{url}/b")
    assert server.requests == [(1, "GET /a"), (2, "GET /b")]


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used() -> None:
    server = Recorder(ANSWER, leaves=True)
    async with connections_to(server) as (transport, url):
        await ask(transport, f"{url}/a")
        await anyio.wait_all_tasks_blocked()
        assert server.closed == 1
        await ask(transport, f"{url}/prompt", "POST", b"")
    assert server.requests == [(1, "GET /a"), (2, "POST /prompt")]


async def test_a_connection_that_was_idle_for_too_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Recorder(ANSWER, ANSWER)
    monkeypatch.setattr(connections, "KEPT", -1.0)
    async with connections_to(server) as (transport, url):
        await ask(transport, f"{url}/a")
        await ask(transport, f"{url}/b")
    assert server.requests == [(1, "GET /a"), (2, "GET /b")]


async def test_all_connections_are_closed_at_the_end() -> None:
    server = Recorder(ANSWER, ANSWER)
    async with peer(server) as port, Connections(tls_context(Server(url="http:")), 2) as transport:
        url = f"http://127.0.0.1:{port}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, transport, url)
            tasks.start_soon(ask, transport, url)
        await transport.aclose()
        with anyio.fail_after(30):
            while server.closed < 2:
                await anyio.lowlevel.checkpoint()


async def test_a_request_waits_for_a_place_only_as_long_as_it_is_told_to() -> None:
    async with connections_to(Recorder(ANSWER, ANSWER), at_once=1) as (transport, url):
        first = await response_of(transport, url)
        with pytest.raises(httpx.PoolTimeout):
            await response_of(transport, url, timeouts=httpx.Timeout(30.0, pool=0.01))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, transport, url)
            await anyio.wait_all_tasks_blocked()
            await first.aread()
            await first.aclose()


async def test_a_failed_request_leaves_its_place_to_the_next() -> None:
    async with connections_to(Recorder(b"not HTTP\r\n\r\n"), at_once=1) as (transport, url):
        for _ in range(3):
            with pytest.raises(httpx.RemoteProtocolError):
                await ask(transport, url)


async def test_a_cancelled_request_leaves_its_place_to_the_next() -> None:
    requests: list[bytes] = []

    async def answer_second(stream: ByteStream) -> None:
        requests.append(await read_request(stream))
        await stream.send(ANSWER if len(requests) == 2 else b"")
        await stream.receive()

    async with peer(answer_second) as port, Connections(tls_context(Server(url="http:")), 1) as transport:
        url = f"http://127.0.0.1:{port}"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, transport, url)
            while not requests:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(30):
            assert await ask(transport, url) == b"ok"


async def test_a_response_that_is_closed_early_closes_its_connection() -> None:
    server = Recorder(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", ANSWER)
    async with connections_to(server, at_once=1) as (transport, url):
        for path in "ab":
            response = await response_of(transport, f"{url}/{path}")
            await response.aclose()
    assert server.requests == [(1, "GET /a"), (2, "GET /b")]


async def test_information_before_the_answer_is_skipped() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with connections_to(Recorder(early + early + ANSWER)) as (transport, url):
        assert await ask(transport, url) == b"ok"


async def test_a_head_without_end_is_not_read_to_its_end() -> None:
    endless = b"HTTP/1.1 200 OK\r\nA: " + bytes(HEAD_BYTES).replace(b"\0", b"a")
    async with connections_to(Recorder(endless)) as (transport, url):
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(transport, url)


async def test_an_answer_counts_that_comes_before_the_whole_request_was_read() -> None:
    async def refuse(stream: ByteStream) -> None:
        await stream.receive(1000)
        await stream.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        while await stream.receive():
            pass

    async with peer(refuse) as port, Connections(tls_context(Server(url="http:")), 1) as transport:
        response = await response_of(transport, f"http://127.0.0.1:{port}", "POST", bytes(2**20))
        assert response.status_code == 413
        await response.aclose()


async def test_tls_carries_several_requests_and_strangers_are_refused(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server = Recorder(ANSWER, ANSWER)
    async with peer(server, context) as port:
        url = f"https://127.0.0.1:{port}"
        async with Connections(tls_context(Server(url=url, ca_file=str(tmp_path / "ca.pem"))), 1) as transport:
            assert await ask(transport, f"{url}/a") == b"ok"
            assert await ask(transport, f"{url}/b") == b"ok"
        async with Connections(tls_context(Server(url=url)), 1) as transport:
            for _ in range(2):
                with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                    await ask(transport, url)
    assert server.requests == [(1, "GET /a"), (1, "GET /b")]


async def test_a_handshake_without_end_ends() -> None:
    async def mute(stream: ByteStream) -> None:
        while await stream.receive():
            pass

    url = "https://127.0.0.1"
    async with peer(mute) as port, Connections(tls_context(Server(url=url)), 1) as transport:
        with pytest.raises(httpx.ConnectTimeout):
            await response_of(transport, f"{url}:{port}", timeouts=httpx.Timeout(30.0, connect=0.05))
