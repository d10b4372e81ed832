"""The probe of a server's port, and what an outage costs in handshakes: over real sockets, on both backends."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.streams.memory import MemoryObjectReceiveStream

from app.actors.connection import ConnectionActor, ConnectionEvent
from app.comfy.websocket.connect import connect, open_websocket
from app.comfy.websocket.probe import probe
from app.config.settings import Server
from app.events import Connected, Disconnected, ServerEvent, ServerName
from app.ports import ConnectionLost
from app.reasons.servers import RefusedConnection, UnknownHost
from tests.comfy.peers import Conversation, answering, closed_port, peer, talking
from tests.comfy.websocket.test_connect import STATUS

OUTAGE = 5.0
"""Seconds for which the server is away."""

PATIENCE = 60.0
"""Seconds for what a busy machine may take long for."""


@pytest.fixture(autouse=True)
def nothing_is_left_open(earlier_objects_frozen: None) -> Iterator[None]:
    """A socket that nobody closed warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}", "https://127.0.0.1:{}/comfy", "http://me:secret@localhost:{}"])
async def test_a_port_that_answers_is_connected_to_and_gets_no_bytes(url: str) -> None:
    ended = anyio.Event()
    received = b""

    async def behave(stream: ByteStream) -> None:
        nonlocal received
        try:
            received += await stream.receive()
        finally:
            ended.set()

    with anyio.fail_after(PATIENCE):
        async with peer(behave) as port:
            await probe(Server(url=url.format(port)))
            await ended.wait()
    assert received == b""


async def test_a_closed_port_is_lost_for_the_reason_of_a_handshake() -> None:
    with pytest.raises(ConnectionLost) as lost:
        await probe(Server(url=f"http://127.0.0.1:{closed_port()}"))
    assert lost.value.reason == RefusedConnection()


async def test_a_name_that_nobody_knows_is_lost() -> None:
    with pytest.raises(ConnectionLost) as lost:
        await probe(Server(url="http://nobody.invalid:1"))
    assert lost.value.reason == UnknownHost()


async def test_a_network_that_is_slow_does_not_count_as_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(host: str, port: int) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr("app.comfy.websocket.probe.PROBE_TIMEOUT", 0.05)
    monkeypatch.setattr("anyio.connect_tcp", never)
    with anyio.fail_after(PATIENCE):
        await probe(Server(url="http://slow:1"))


class Client:
    """A ConnectionActor on real sockets; counts its handshakes."""

    def __init__(self, port: int, events: MemoryObjectReceiveStream[ConnectionEvent]) -> None:
        self.server = Server(url=f"http://127.0.0.1:{port}")
        self.handshakes = 0
        self._news = events

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        self.handshakes += 1
        async with connect(partial(open_websocket, self.server, "me")) as spoken:
            yield spoken

    async def until(self, kind: type[ConnectionEvent]) -> None:
        """Wait for the next news of this kind."""
        with anyio.fail_after(PATIENCE):
            while not isinstance(await self._news.receive(), kind):
                pass


@asynccontextmanager
async def client_of(port: int) -> AsyncGenerator[Client]:
    send, events = anyio.create_memory_object_stream[ConnectionEvent](10_000)
    client = Client(port, events)
    actor = ConnectionActor(ServerName("here"), lambda: client.connect(), partial(probe, client.server))
    async with events, anyio.create_task_group() as tasks:
        tasks.start_soon(actor.run, send)
        yield client
        tasks.cancel_scope.cancel()


async def greet(conversation: Conversation) -> None:
    await conversation.say(STATUS)
    while True:
        await conversation.hear()


@pytest.mark.slow
async def test_five_seconds_without_a_server_cost_one_handshake() -> None:
    async with client_of(port := closed_port()) as client:
        async with peer(talking(greet), port=port):
            await client.until(Connected)
        await client.until(Disconnected)
        known = client.handshakes
        await anyio.sleep(OUTAGE)
        async with peer(talking(greet), port=port):
            await client.until(Connected)
    # A probe may see the port in the moment before it closes.
    assert client.handshakes - known <= 2


@pytest.mark.slow
async def test_five_seconds_without_a_server_behind_a_proxy_cost_few_handshakes() -> None:
    down = anyio.Event()
    away = False

    async def talk(conversation: Conversation) -> None:
        await conversation.say(STATUS)
        await down.wait()

    async def behave(stream: ByteStream) -> None:
        await (answering("503 Service Unavailable") if away else talking(talk))(stream)

    async with peer(behave) as port, client_of(port) as client:
        await client.until(Connected)
        known = client.handshakes
        away = True
        down.set()
        await anyio.sleep(OUTAGE)
        away, down = False, anyio.Event()
        await client.until(Connected)
    assert 5 <= client.handshakes - known <= 16
