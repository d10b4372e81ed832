"""The websocket against real sockets, on both backends: every way in which a peer can fail."""

from __future__ import annotations

import base64
import gc
import ssl
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import ByteStream

from app.comfy.websocket import aiohttp, trio
from app.comfy.websocket.address import Timing, address
from app.comfy.websocket.connect import open_websocket
from app.config.settings import Server
from app.ports import ConnectionLost
from app.reasons.servers import (
    CaFileUnreadable,
    FrameTooLarge,
    HandshakeRefused,
    HungUp,
    NetworkReason,
    NoAnswer,
    NoPong,
    RefusedConnection,
    UnknownHost,
    UntrustedCertificate,
)
from app.texts.reasons.text import reason_text
from tests.comfy.peers import Conversation, answering, closed_port, peer, silent, talking

SHORT = Timing(connect=0.3, close=0.2)
"""For who never answers; who does may take longer on a busy machine, and has UNHURRIED."""
UNHURRIED = Timing(connect=60, close=0.2)
NERVOUS = Timing(connect=60, close=0.2, ping=0.1, pong=0.1)
"""So quick that a silence shows at once."""
STEADY = Timing(connect=60, close=0.2, ping=1.0, pong=1.0)
"""So slow that who is only busy answers in time."""


@pytest.fixture(autouse=True)
def nothing_is_left_open(earlier_objects_frozen: None) -> Iterator[None]:
    """A socket that nobody closed warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


def at(port: int, **more: object) -> Server:
    return Server(url=f"http://127.0.0.1:{port}", **more)  # pyright: ignore[reportArgumentType]


async def echo(conversation: Conversation) -> None:
    while True:
        await conversation.say(await conversation.hear())


async def loss_of(server: Server, timing: Timing = UNHURRIED) -> NetworkReason:
    """Open a socket and wait for a frame; why it was lost."""
    with pytest.raises(ConnectionLost) as lost:
        async with open_websocket(server, "me", timing=timing) as socket:
            await socket.receive()
    return lost.value.reason


async def test_frames_go_both_ways() -> None:
    async with peer(talking(echo)) as port, open_websocket(at(port), "me") as socket:
        await socket.send("hello")
        assert await socket.receive() == "hello"


async def test_a_closed_port_refuses() -> None:
    assert await loss_of(at(closed_port())) == RefusedConnection()


async def test_an_unknown_name_is_said_to_be_unknown() -> None:
    assert await loss_of(Server(url="http://nobody.invalid:1"), Timing(connect=60)) == UnknownHost()


@pytest.mark.parametrize("status", ["403 Forbidden", "502 Bad Gateway", "200 OK", "404 Not Found"])
async def test_another_answer_than_a_handshake_is_named(status: str) -> None:
    async with peer(answering(status)) as port:
        assert await loss_of(at(port)) == HandshakeRefused(int(status[:3]))


async def test_what_speaks_no_http_is_lost_at_once() -> None:
    async def speak(stream: ByteStream) -> None:
        await stream.send(b"SSH-2.0-OpenSSH_9.6\r\n")
        await stream.receive()

    async with peer(speak) as port:
        with anyio.fail_after(60):
            await loss_of(at(port))


async def test_who_hangs_up_within_the_handshake_is_lost() -> None:
    async def leave(stream: ByteStream) -> None:
        await stream.receive()

    async with peer(leave) as port:
        assert await loss_of(at(port)) == HungUp()


async def test_who_never_answers_is_given_up() -> None:
    async with peer(silent) as port:
        assert await loss_of(at(port), SHORT) == NoAnswer(0.3)
        assert await loss_of(Server(url=f"https://127.0.0.1:{port}"), SHORT) == NoAnswer(0.3)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_connecting_can_be_cancelled(scheme: str) -> None:
    reached = anyio.Event()

    async def behave(stream: ByteStream) -> None:
        await stream.receive()
        reached.set()
        await anyio.sleep_forever()

    async def connect(port: int) -> None:
        async with open_websocket(Server(url=f"{scheme}://127.0.0.1:{port}"), "me"):
            raise AssertionError("nobody answered")

    async with peer(behave) as port, anyio.create_task_group() as tasks:
        tasks.start_soon(connect, port)
        await reached.wait()
        tasks.cancel_scope.cancel()


async def test_waiting_for_a_frame_can_be_cancelled() -> None:
    heard = anyio.Event()

    async def talk(conversation: Conversation) -> None:
        await conversation.hear()
        heard.set()
        await conversation.hear()

    async def listen(port: int) -> None:
        async with open_websocket(at(port), "me") as socket:
            await socket.send("I am here")
            await socket.receive()

    async with peer(talking(talk)) as port, anyio.create_task_group() as tasks:
        tasks.start_soon(listen, port)
        await heard.wait()
        tasks.cancel_scope.cancel()


async def test_a_certificate_of_strangers_is_refused_and_that_of_the_ca_file_is_trusted(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    tls = trustme_context(authority)
    known, unknown = tmp_path / "ca.pem", tmp_path / "other.pem"
    authority.cert_pem.write_to_path(str(known))
    stranger.cert_pem.write_to_path(str(unknown))
    async with peer(talking(echo), tls) as port:
        url = f"https://127.0.0.1:{port}"
        for server in (Server(url=url), Server(url=url, ca_file=str(unknown))):
            assert isinstance(await loss_of(server), UntrustedCertificate)
        for server in (Server(url=url, ca_file=str(known)), Server(url=url, verify=False)):
            async with open_websocket(server, "me") as socket:
                await socket.send("safely")
                assert await socket.receive() == "safely"


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with peer(talking(echo), trustme_context(authority, "example.org")) as port:
        reason = await loss_of(Server(url=f"https://127.0.0.1:{port}", ca_file=str(tmp_path / "ca.pem")))
    assert isinstance(reason, UntrustedCertificate)


async def test_a_ca_file_that_vanished_is_a_loss_that_says_so(tmp_path: Path) -> None:
    reason = await loss_of(Server(url="https://127.0.0.1:1", ca_file=str(tmp_path / "gone.pem")))
    assert reason == CaFileUnreadable("No such file or directory")


async def test_plain_http_where_tls_is_wanted_is_a_loss_that_says_so() -> None:
    async with peer(answering("400 Bad Request")) as port:
        reason = await loss_of(Server(url=f"https://127.0.0.1:{port}"))
    assert reason_text(reason, operator=True).endswith("Try http:// instead of https://.")


def trustme_context(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


@pytest.mark.slow
@pytest.mark.parametrize("mebibytes", [3, 64])
async def test_large_frames_come_whole(mebibytes: int) -> None:
    frame = bytes(range(256)) * (mebibytes * 4096)

    async def talk(conversation: Conversation) -> None:
        await conversation.say(frame)
        await conversation.hear()

    async with peer(talking(talk)) as port, open_websocket(at(port), "me") as socket:
        assert await socket.receive() == frame


async def test_a_frame_beyond_all_measure_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (aiohttp, trio):
        monkeypatch.setattr(module, "LARGEST_FRAME", 2**20)

    async def talk(conversation: Conversation) -> None:
        await conversation.say(bytes(2 * 2**20))
        await conversation.hear()

    async with peer(talking(talk)) as port:
        assert await loss_of(at(port)) == FrameTooLarge(2**20)


async def test_a_peer_that_says_goodbye_is_lost_with_its_code() -> None:
    async with peer(talking(lambda conversation: conversation.close(4001))) as port:
        assert await loss_of(at(port)) == HungUp(4001)


async def test_a_peer_that_aborts_is_lost() -> None:
    async with peer(talking(lambda conversation: conversation.abort())) as port:
        assert isinstance(await loss_of(at(port)), HungUp)


async def test_sending_to_a_peer_that_left_is_a_loss() -> None:
    leaving = talking(lambda conversation: conversation.abort())
    async with peer(leaving) as port, open_websocket(at(port), "me", timing=UNHURRIED) as socket:
        with pytest.raises(ConnectionLost):
            await socket.receive()
        with pytest.raises(ConnectionLost):
            await socket.send("are you there?")


async def test_a_peer_that_answers_no_pings_is_lost() -> None:
    async with peer(talking(lambda _conversation: anyio.sleep_forever())) as port:
        with anyio.fail_after(60):
            assert await loss_of(at(port), NERVOUS) == NoPong()


async def test_a_large_frame_on_a_slow_line_is_no_silence() -> None:
    async def talk(conversation: Conversation) -> None:
        # Three times as long as a pong may take, and no pong fits in between.
        await conversation.begin(100_000)
        for _ in range(100):
            await conversation.send_raw(b"x" * 1000)
            await anyio.sleep(0.03)
        await conversation.hear()

    async with peer(talking(talk)) as port, open_websocket(at(port), "me", timing=STEADY) as socket:
        assert await socket.receive() == b"x" * 100_000


async def test_pings_keep_a_quiet_connection() -> None:
    async def talk(conversation: Conversation) -> None:
        with anyio.move_on_after(3.5):
            await conversation.hear()
        await conversation.say("still here")
        await conversation.hear()

    async with peer(talking(talk)) as port, open_websocket(at(port), "me", timing=STEADY) as socket:
        assert await socket.receive() == "still here"


async def test_a_reader_that_pauses_stops_the_writer_and_then_gets_everything() -> None:
    frame, sent, stalled = bytes(256 * 1024), 0, anyio.Event()

    async def talk(conversation: Conversation) -> None:
        nonlocal sent
        while not stalled.is_set():
            async with anyio.create_task_group() as watch:
                watch.start_soon(notice)
                await conversation.say(frame)
                sent += 1
                watch.cancel_scope.cancel()
        await anyio.sleep_forever()

    async def notice() -> None:
        await anyio.sleep(0.5)
        stalled.set()

    async with peer(talking(talk)) as port, open_websocket(at(port), "me") as socket:
        assert await socket.receive() == frame
        await stalled.wait()
        assert sent * len(frame) < 64 * 2**20
        for _ in range(sent - 1):
            assert await socket.receive() == frame


async def test_a_peer_that_never_says_goodbye_is_left_in_time() -> None:
    async with peer(talking(lambda _conversation: anyio.sleep_forever())) as port:
        with anyio.fail_after(60):
            async with open_websocket(at(port), "me", timing=UNHURRIED):
                pass


async def test_an_error_of_the_block_comes_out_bare() -> None:
    async with peer(talking(echo)) as port:
        with pytest.raises(ValueError, match="mine"):
            async with open_websocket(at(port), "me", timing=UNHURRIED):
                raise ValueError("mine")


async def test_a_group_that_the_block_raises_stays_a_group() -> None:
    async with peer(talking(echo)) as port:
        with pytest.raises(ExceptionGroup, match="ours"):
            async with open_websocket(at(port), "me", timing=UNHURRIED):
                raise ExceptionGroup("ours", [ValueError("one")])


async def test_the_handshake_carries_path_name_and_credentials_but_no_origin() -> None:
    requests: list[bytes] = []

    async def talk(conversation: Conversation) -> None:
        requests.append(conversation.request)
        await conversation.hear()

    async with peer(talking(talk)) as port:
        server = Server(url=f"http://anna:p%40ss@127.0.0.1:{port}/comfy/", headers={"X-API-Key": "k"})
        async with open_websocket(server, "a b&c", timing=UNHURRIED):
            pass
    first, *header_lines = requests[0].decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in header_lines)}
    assert first == "GET /comfy/ws?clientId=a%20b%26c HTTP/1.1"
    assert headers["host"] == f"127.0.0.1:{port}"
    assert headers["x-api-key"] == "k"
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"anna:p@ss"
    assert "origin" not in headers
    assert "sec-websocket-extensions" not in headers


@pytest.mark.parametrize(
    ("url", "authority", "port", "ws"),
    [
        ("http://host", "host", 80, "ws://host/ws?clientId=me"),
        ("http://host:443", "host:443", 443, "ws://host:443/ws?clientId=me"),
        ("https://host:443/x", "host", 443, "wss://host/x/ws?clientId=me"),
        ("https://host:8443", "host:8443", 8443, "wss://host:8443/ws?clientId=me"),
        ("http://[::1]:8188", "[::1]:8188", 8188, "ws://[::1]:8188/ws?clientId=me"),
    ],
)
def test_the_address_follows_from_the_servers(url: str, authority: str, port: int, ws: str) -> None:
    where = address(Server(url=url), "me")
    assert (where.authority, where.port, where.url) == (authority, port, ws)
