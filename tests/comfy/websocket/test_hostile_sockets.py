"""Wrong websocket servers, on both backends: every one of them is a `ConnectionLost`, and nothing else happens."""

from __future__ import annotations

import gc
import socket as socket_module
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute
from wsproto.events import AcceptConnection, BytesMessage, Request

from app.comfy.websocket import aiohttp, trio
from app.comfy.websocket.address import Timing
from app.comfy.websocket.connect import open_websocket
from app.comfy.websocket.trio_protocol import ClientProtocol
from app.config.settings import Server
from app.ports import ConnectionLost
from app.reasons.servers import FrameInvalid, HandshakeInvalid, HandshakeRefused, HungUp, NetworkReason
from app.texts.reasons.text import reason_text
from tests.comfy.peers import Behaviour, peer
from tests.comfy.websocket.hostile import (
    FRAMES,
    HANDSHAKES,
    LENIENT,
    LENIENT_FRAMES,
    after_handshake,
    close,
    frame,
    handshake,
    read_request,
    replying,
    swallow,
)

SHORT = Timing(connect=0.5, close=0.2, ping=2.0, pong=1.0)


@pytest.fixture(autouse=True)
def nothing_is_left_open(earlier_objects_frozen: None) -> Iterator[None]:
    """A socket that nobody closed warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


def at(port: int) -> Server:
    return Server(url=f"http://127.0.0.1:{port}", headers={"X-API-Key": "secret"})


async def first_frame(port: int, timing: Timing = SHORT) -> str | bytes:
    """Open a socket and wait for a frame; a loss is a short sentence for the operator."""
    try:
        with anyio.fail_after(20):
            async with open_websocket(at(port), "me", timing=timing) as socket:
                return await socket.receive()
    except ConnectionLost as lost:
        assert len(reason_text(lost.reason, operator=True)) < 200  # noqa: PT017  the same for all
        raise


async def loss_from(behave: Behaviour, timing: Timing = SHORT) -> NetworkReason:
    async with peer(behave) as port:
        with pytest.raises(ConnectionLost) as lost:
            await first_frame(port, timing)
    return lost.value.reason


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_a_wrong_handshake_is_a_loss(name: str) -> None:
    await loss_from(HANDSHAKES[name])


@pytest.mark.parametrize("name", LENIENT)
async def test_an_unusual_handshake_is_accepted_or_a_loss(name: str) -> None:
    async with peer(LENIENT[name]) as port:
        with suppress(ConnectionLost):
            assert await first_frame(port) == "hello"


@pytest.mark.parametrize("name", FRAMES)
async def test_a_wrong_frame_is_a_loss(name: str) -> None:
    await loss_from(after_handshake(FRAMES[name], leave=False))


@pytest.mark.parametrize("name", LENIENT_FRAMES)
async def test_an_unusual_frame_is_accepted_or_a_loss(name: str) -> None:
    async with peer(after_handshake(LENIENT_FRAMES[name])) as port:
        with suppress(ConnectionLost):
            assert await first_frame(port) == "hello"


async def test_a_loss_says_what_was_wrong() -> None:
    assert await loss_from(HANDSHAKES["wrong accept"]) == HandshakeInvalid()
    for status in (301, 403):
        reason = await loss_from(HANDSHAKES[f"{status} with a body that never ends"])
        assert reason == HandshakeRefused(status)
    assert isinstance(await loss_from(after_handshake(FRAMES["reserved bits"])), FrameInvalid)
    assert await loss_from(after_handshake(FRAMES["close 4999"])) == HungUp(4999)


async def test_a_redirect_takes_the_headers_of_the_handshake_nowhere() -> None:
    requests: list[bytes] = []

    async def elsewhere(stream: ByteStream) -> None:
        requests.append(await read_request(stream))

    async with peer(elsewhere) as other:
        redirect = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other}/ws\r\nContent-Length: 0\r\n\r\n"
        assert await loss_from(replying(redirect.encode())) == HandshakeRefused(302)
    assert requests == []


async def test_a_server_that_pings_while_its_socket_is_closed_harms_nothing() -> None:
    close_received = anyio.Event()

    async def talk(stream: ByteStream) -> None:
        await stream.send(handshake(await read_request(stream)) + frame(1, b"hello"))
        received = b""
        # Its close frame: final, opcode 8, masked.
        while b"\x88" not in received:
            received += await stream.receive()
        await stream.send(frame(9, b"are you there?") * 3)
        await stream.send(close(1000))
        close_received.set()
        await swallow(stream)

    async with peer(talk) as port:
        async with open_websocket(at(port), "me", timing=Timing(close=30)) as socket:
            assert await socket.receive() == "hello"
            leaving = anyio.current_time()
        # The close frame behind the pings was read, and nothing was waited out.
        assert anyio.current_time() - leaving < 25
        assert close_received.is_set()


async def test_a_server_that_pings_and_never_reads_is_lost() -> None:
    async def ping(stream: ByteStream) -> None:
        # Little room, so that the pongs that nobody reads are in the way soon.
        stream.extra(SocketAttribute.raw_socket).setsockopt(socket_module.SOL_SOCKET, socket_module.SO_RCVBUF, 4096)
        await stream.send(handshake(await read_request(stream)))
        while True:
            await stream.send(frame(9, bytes(125)) * 500)

    await loss_from(ping, Timing(close=0.2, ping=0.1, pong=0.3))


@pytest.mark.parametrize("begun", [frame(2, bytes(100_000))[:50_000], b"\x82", frame(2, b"part", final=False)])
async def test_a_reset_in_the_middle_of_a_frame_is_a_loss(begun: bytes) -> None:
    async def reset(stream: ByteStream) -> None:
        await stream.send(handshake(await read_request(stream)))
        await stream.send(begun)
        raw = stream.extra(SocketAttribute.raw_socket)
        raw.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_LINGER, struct.pack("ii", 1, 0))

    await loss_from(reset)


@pytest.mark.parametrize("size", [2, 100])
async def test_a_message_in_countless_parts_takes_no_more_memory_than_its_bytes(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest = 20_000 * size
    for module in (aiohttp, trio):
        monkeypatch.setattr(module, "LARGEST_FRAME", largest)

    async def talk(stream: ByteStream) -> None:
        await stream.send(handshake(await read_request(stream)) + frame(2, b"", final=False))
        for _ in range(21):
            await stream.send(frame(0, bytes(size), final=False) * 1000)
        await swallow(stream)

    async with peer(talk) as port:
        tracemalloc.start()
        try:
            with pytest.raises(ConnectionLost, match="FrameTooLarge"):
                await first_frame(port)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # Besides the message itself, some buffers of 64 kB; 20,000 parts of their own would take 900 kB more.
    assert peak < 3 * largest + 700_000


def test_parts_that_hold_nothing_are_not_kept() -> None:
    protocol = ClientProtocol(largest=100)
    request = protocol.send(Request(host="here", target="/ws"))
    protocol.receive_data(handshake(request) + frame(2, b"", final=False) + frame(0, b"", final=False) * 1000)
    assert [type(event) for event in protocol.events()] == [AcceptConnection]
    protocol.receive_data(frame(0, b"whole"))
    assert list(protocol.events()) == [BytesMessage(b"whole")]


async def test_parts_are_joined_to_the_message_that_they_are() -> None:
    text = "ünïcödé"
    raw = text.encode()
    parts = [frame(1, raw[:2], final=False), frame(0, b"", final=False), frame(9, b"between")]
    parts += [frame(0, raw[2:3], final=False), frame(0, raw[3:]), frame(2, b"a", final=False), frame(0, b"b")]
    async with (
        peer(after_handshake(b"".join(parts))) as port,
        open_websocket(at(port), "me", timing=SHORT) as socket,
    ):
        assert await socket.receive() == text
        assert await socket.receive() == b"ab"


@pytest.mark.parametrize("name", ["reserved bits", "close 4999", "http in the place of frames"])
async def test_what_the_block_raises_is_not_taken_for_the_servers_fault(name: str) -> None:
    async with peer(after_handshake(FRAMES[name])) as port:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012  it is the block that raises
            async with open_websocket(at(port), "me", timing=SHORT) as socket:
                with suppress(ConnectionLost):
                    await socket.receive()
                raise ZeroDivisionError


@pytest.mark.parametrize("name", ["reserved bits", "gone after the handshake", "100 before 101"])
async def test_a_broken_socket_swallows_no_cancellation(name: str) -> None:
    behave = {**HANDSHAKES, **LENIENT}.get(name) or after_handshake(FRAMES[name])
    async with peer(behave) as port:
        with anyio.CancelScope() as scope, suppress(ConnectionLost):
            async with open_websocket(at(port), "me", timing=SHORT):
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught or name == "100 before 101"


async def test_a_lost_socket_stays_lost() -> None:
    async with (
        peer(after_handshake(FRAMES["reserved bits"])) as port,
        open_websocket(at(port), "me", timing=SHORT) as socket,
    ):
        for _ in range(3):
            with pytest.raises(ConnectionLost, match="FrameInvalid"):
                await socket.receive()
