"""The server on a real port: whatever a client sends, or does not read, concerns this client alone."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import httpx
import pytest
from anyio.abc import SocketStream
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from app.config.settings import Http
from app.http import server as http_server
from app.http.application import MAX_BODY, Application
from app.http.exposition import CONTENT_TYPE
from app.http.server import ENDING, MAX_HEAD, MOST_CONNECTIONS, SENDING, HttpServer, open_server
from app.http.sources import Sources
from tests.http.figures import CONFIGURED, Discord, Journal, value, work

LOOPBACK = "127.0.0.1"

HUGE = b"x" * 50_000_000
"""An answer that no socket takes at once."""


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


def sources() -> Sources:
    return Sources(Journal(), Discord(), work(), CONFIGURED, anyio.Event())


@asynccontextmanager
async def health_server(read: Sources | None = None) -> AsyncGenerator[HttpServer]:
    async with open_server(Http(host=LOOPBACK, port=0), read or sources(), started=0.0) as server:
        with anyio.fail_after(60):
            await server.listening.wait()
        yield server


async def fail(_: Request) -> Response:
    raise RuntimeError("a bug")


async def answer_hugely(_: Request) -> Response:
    return PlainTextResponse(HUGE)


async def never_answer(_: Request) -> Response:
    await anyio.sleep_forever()
    raise AssertionError


@asynccontextmanager
async def odd_server() -> AsyncGenerator[HttpServer]:
    """A server with routes that misbehave."""
    routes = [Route("/bug", fail), Route("/huge", answer_hugely), Route("/never", never_answer)]
    server = HttpServer(Application(routes), LOOPBACK, 0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.run)
        with anyio.fail_after(60):
            await server.listening.wait()
        yield server
        await server.end()
        tasks.cancel_scope.cancel()


async def connect(server: HttpServer) -> SocketStream:
    return await anyio.connect_tcp(LOOPBACK, int(server.address.rpartition(":")[2]))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that wakes nobody."""
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.005)


async def everything(stream: SocketStream) -> bytes:
    """What the server sends until it closes the connection."""
    data = b""
    with anyio.fail_after(20):
        try:
            while True:
                data += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return data


async def test_health_readiness_and_metrics_are_answered_over_one_connection() -> None:
    read = sources()
    async with health_server(read) as server, httpx.AsyncClient(base_url=server.address) as client:
        assert (await client.get("/healthz")).json() == {"alive": True}
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"ready": True, "missing": "", "discord": "connected"})
        read.journal = None
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        metrics = await client.get("/metrics")
        assert metrics.headers["content-type"] == CONTENT_TYPE
        assert value(metrics.text, "atelier_server_up", server="studio") == 1
        assert "server" not in metrics.headers
        assert (await client.head("/healthz")).status_code == 200
        assert (await client.get("/elsewhere")).status_code == 404
        assert (await client.post("/metrics", content=b"x")).status_code == 405


async def test_a_large_body_is_refused_and_a_large_head_is_cut_off() -> None:
    async with health_server() as server, httpx.AsyncClient(base_url=server.address) as client:
        refused = await client.post("/healthz", content=b"x" * (MAX_BODY + 1))
        assert refused.status_code == 413
        stream = await connect(server)
        async with stream:
            await stream.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            with pytest.raises((anyio.BrokenResourceError, anyio.ClosedResourceError)):  # noqa: PT012
                for _ in range(1_000):
                    await stream.send(b"X: " + b"y" * MAX_HEAD + b"\r\n")
                    await anyio.lowlevel.checkpoint()
        # A body of an unknown length is not read: the route does not wait for it.
        stream = await connect(server)
        async with stream:
            await stream.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            assert b"200" in await stream.receive()
        assert (await client.get("/healthz")).status_code == 200


async def test_what_is_no_http_gets_no_answer_and_stops_nobody() -> None:
    async with health_server() as server, httpx.AsyncClient(base_url=server.address) as client:
        for garbage in (b"\x16\x03\x01\x02\x00" * 100, b"\x00" * 1_000, b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 100):
            async with await connect(server) as stream:
                await stream.send(garbage)
                await stream.send_eof()
                assert b"200" not in await everything(stream)
        assert (await client.get("/healthz")).status_code == 200


async def test_a_head_that_arrives_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "IDLE", 0.3)
    async with health_server() as server, await connect(server) as stream:
        with anyio.fail_after(20), pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):  # noqa: PT012
            await stream.send(b"GET /healthz HTTP/1.1\r\n")
            while True:
                await stream.send(b"X")
                with anyio.move_on_after(0.02):
                    await stream.receive()


async def test_a_client_that_reads_nothing_is_cut_off_and_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "SENDING", 0.3)
    async with odd_server() as server, await connect(server) as deaf:
        await deaf.send(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
        async with httpx.AsyncClient(base_url=server.address) as client:
            assert (await client.get("/elsewhere")).status_code == 404
        await anyio.sleep(0.6)
        assert len(await everything(deaf)) < len(HUGE)


async def test_more_connections_than_the_limit_are_closed_and_a_later_one_is_served() -> None:
    async with health_server() as server:
        idle = [await connect(server) for _ in range(MOST_CONNECTIONS)]
        await until(lambda: server.open_connections == MOST_CONNECTIONS)
        async with await connect(server) as refused:
            assert await everything(refused) == b""
        for stream in idle:
            await stream.aclose()
        await until(lambda: server.open_connections == 0)
        async with httpx.AsyncClient(base_url=server.address) as client:
            assert (await client.get("/healthz")).status_code == 200


async def test_a_bug_in_a_route_is_one_line_in_the_log_and_its_id_in_the_answer() -> None:
    with capture_logs() as lines:
        async with odd_server() as server, httpx.AsyncClient(base_url=server.address) as client:
            broken = await client.get("/bug")
            assert (await client.get("/elsewhere")).status_code == 404
    assert broken.status_code == 500
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert (line["event"], line["path"]) == ("an HTTP request failed", "/bug")
    assert line["id"] in broken.text
    assert "a bug" not in broken.text


async def test_it_ends_in_time_although_a_request_has_no_answer_and_a_client_reads_nothing() -> None:
    async with anyio.create_task_group() as tasks:
        async with odd_server() as server:
            waiting, deaf, idle = await connect(server), await connect(server), await connect(server)
            await waiting.send(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
            await deaf.send(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: server.open_connections == 3)
            await deaf.receive(1)
            began = anyio.current_time()
        assert ENDING / 2 <= anyio.current_time() - began < SENDING
        for stream in (waiting, deaf, idle):
            await stream.aclose()
        tasks.cancel_scope.cancel()


async def test_a_cancelled_server_does_not_wait_for_a_client_that_reads_nothing() -> None:
    began = anyio.current_time()
    with anyio.move_on_after(0.3):
        async with odd_server() as server, await connect(server) as deaf:
            await deaf.send(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
            await anyio.sleep_forever()
    assert anyio.current_time() - began < SENDING


async def test_a_port_that_is_taken_is_one_sentence_and_is_tried_again() -> None:
    with socket.socket() as taken, capture_logs() as lines:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = HttpServer(Application([]), LOOPBACK, port, pauses=lambda: iter([0.02] * 1_000))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.run)
            await until(lambda: bool(lines))
            # Some more tries, of which nothing is said.
            await anyio.sleep(0.1)
            (line,) = lines
            assert f"{LOOPBACK}:{port} is used by another program: end that one" in line["reason"]
            taken.close()
            with anyio.fail_after(60):
                await server.listening.wait()
            await server.end()
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.7"])
async def test_an_address_of_another_machine_is_one_sentence(host: str) -> None:
    with capture_logs() as lines:
        async with open_server(Http(host=host, port=0), sources(), started=0.0):
            await until(lambda: bool(lines))
    assert f"cannot listen at {host}:0: set an address of this machine" in lines[0]["reason"]


async def test_readiness_is_json() -> None:
    async with health_server(Sources()) as server, httpx.AsyncClient(base_url=server.address) as client:
        content = json.loads((await client.get("/readyz")).content)
        assert content == {"ready": False, "missing": content["missing"], "discord": "starting"}
        assert content["missing"].endswith("its journal is not open yet.")
