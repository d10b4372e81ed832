"""Real sockets: everything that can happen to one, on both backends."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, RejectConnection, Request, TextMessage

from app.comfy.dial import dial
from app.comfy.socket import Timing, open_websocket
from app.config import Server
from app.events import QueueChanged
from app.ports import ConnectionLost

STATUS = '{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"me"}}'
QUICK = Timing(connect=1.0, close=0.3, ping=0.2, pong=0.2)


class Peer:
    """The server's end of one websocket, frame by frame."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.protocol = WSConnection(ConnectionType.SERVER)
        self.request: Request | None = None

    async def greet(self) -> None:
        while self.request is None:
            self.protocol.receive_data(await self.stream.receive())
            self.request = next((e for e in self.protocol.events() if isinstance(e, Request)), None)
        await self.send(AcceptConnection())

    async def send(self, event: AcceptConnection | TextMessage | BytesMessage | CloseConnection) -> None:
        await self.stream.send(self.protocol.send(event))

    async def listen(self) -> None:
        """Answer pings and closes, until the client leaves."""
        while True:
            try:
                self.protocol.receive_data(await self.stream.receive())
            except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
                return
            for event in self.protocol.events():
                if isinstance(event, (Ping, CloseConnection)):
                    await self.stream.send(self.protocol.send(event.response()))


Behaviour = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def serving(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncGenerator[str]:
    """A server of ours on a free port; its address."""
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(await anyio.create_tcp_listener(local_host="127.0.0.1"))
        port = plain.extra(SocketAttribute.local_port)
        listener = TLSListener(plain, tls, standard_compatible=False) if tls else plain

        async def handle(stream: ByteStream) -> None:
            async with stream:
                try:
                    await behave(Peer(stream))
                except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
                    return

        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(listener.serve, handle)
        with anyio.fail_after(30):
            yield f"{'https' if tls else 'http'}://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
        tasks.cancel_scope.cancel()


async def test_frames_of_every_size_arrive() -> None:
    async def behave(peer: Peer) -> None:
        await peer.greet()
        await peer.send(TextMessage(STATUS))
        for size in (3 * 10**6, 64 * 2**20):
            await peer.send(BytesMessage(bytes(size)))
        await peer.listen()

    async with serving(behave) as url, open_websocket(Server(url=url), "me") as socket:
        assert await socket.receive() == STATUS
        for size in (3 * 10**6, 64 * 2**20):
            assert len(await socket.receive()) == size


async def test_headers_the_client_id_and_the_base_path_reach_the_server_and_no_origin_does() -> None:
    asked: list[Request] = []

    async def behave(peer: Peer) -> None:
        await peer.greet()
        assert peer.request is not None
        asked.append(peer.request)
        await peer.listen()

    async with serving(behave) as url:
        server = Server(url=f"{url}/comfy", headers={"Authorization": "Bearer x"})
        async with open_websocket(server, "a b"):
            pass
    assert asked[0].target == "/comfy/ws?clientId=a%20b"
    headers = {name.lower(): value for name, value in asked[0].extra_headers}
    assert headers[b"authorization"] == b"Bearer x"
    assert b"origin" not in headers


async def refuse(peer: Peer, code: int) -> None:
    while peer.request is None:
        peer.protocol.receive_data(await peer.stream.receive())
        peer.request = next((e for e in peer.protocol.events() if isinstance(e, Request)), None)
    await peer.stream.send(peer.protocol.send(RejectConnection(status_code=code)))


@pytest.mark.parametrize("code", [403, 502])
async def test_a_refused_handshake_says_its_code(code: int) -> None:
    async with serving(partial(refuse, code=code)) as url:
        with pytest.raises(ConnectionLost, match=f"answered {code}"):
            await opened(Server(url=url))


async def opened(server: Server, timing: Timing | None = None) -> None:
    async with open_websocket(server, "me", timing=timing):
        pass


async def test_nobody_there_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLost, match="cannot be reached"):
        await opened(Server(url="http://127.0.0.1:9"))


async def test_a_server_that_takes_the_call_and_says_nothing_is_given_up() -> None:
    async def behave(peer: Peer) -> None:
        await anyio.sleep_forever()

    async with serving(behave) as url:
        with pytest.raises(ConnectionLost, match="did not answer"):
            await opened(Server(url=url), QUICK)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def identity(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


async def hello(peer: Peer) -> None:
    await peer.greet()
    await peer.send(TextMessage(STATUS))
    await peer.listen()


async def test_a_wrong_certificate_says_so(authority: trustme.CA) -> None:
    async with serving(hello, identity(authority)) as url:
        with pytest.raises(ConnectionLost, match="certificate"):
            await opened(Server(url=url))


async def test_a_certificate_of_ones_own_authority_is_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    async with serving(hello, identity(authority)) as url:
        for server in (Server(url=url, ca_file=str(file)), Server(url=url, verify=False)):
            async with open_websocket(server, "me") as socket:
                assert await socket.receive() == STATUS


@pytest.mark.parametrize("goodbye", [True, False], ids=["closed", "cut"])
async def test_a_peer_that_hangs_up_is_a_lost_connection(goodbye: bool) -> None:
    async def behave(peer: Peer) -> None:
        await peer.greet()
        if goodbye:
            await peer.send(CloseConnection(4001))
        else:
            await anyio.aclose_forcefully(peer.stream)

    async with serving(behave) as url:

        async def listen() -> None:
            async with open_websocket(Server(url=url), "me") as socket:
                await socket.receive()

        with pytest.raises(ConnectionLost, match="4001" if goodbye else "hung up"):
            await listen()


async def test_a_peer_that_answers_no_ping_is_taken_for_dead() -> None:
    async def behave(peer: Peer) -> None:
        await peer.greet()
        await anyio.sleep_forever()

    async with serving(behave) as url:

        async def listen() -> None:
            async with open_websocket(Server(url=url), "me", timing=QUICK) as socket:
                await socket.receive()

        with anyio.fail_after(5), pytest.raises(ConnectionLost, match="does not answer pings"):
            await listen()


async def test_a_peer_that_answers_pings_is_kept() -> None:
    async with serving(hello) as url, open_websocket(Server(url=url), "me", timing=QUICK) as socket:
        assert await socket.receive() == STATUS
        with anyio.move_on_after(1.5) as waited:
            await socket.receive()
        assert waited.cancelled_caught


async def test_a_consumer_that_does_not_read_makes_the_server_wait() -> None:
    sent: list[int] = []

    async def behave(peer: Peer) -> None:
        await peer.greet()
        for number in range(400):
            await peer.send(BytesMessage(bytes(2**20)))
            sent.append(number)

    async with serving(behave) as url, open_websocket(Server(url=url), "me") as socket:
        await socket.receive()
        with anyio.move_on_after(1):
            await anyio.sleep_forever()
        assert len(sent) < 100


async def test_being_cancelled_while_connecting_leaves_nothing_behind() -> None:
    async def behave(peer: Peer) -> None:
        await anyio.sleep_forever()

    async with serving(behave) as url:
        with anyio.move_on_after(0.2) as waited:
            await opened(Server(url=url))
        assert waited.cancelled_caught


async def test_dialling_says_hello_and_yields_what_is_said() -> None:
    async def talk(peer: Peer) -> None:
        await peer.greet()
        await peer.send(TextMessage(STATUS))
        await peer.send(TextMessage('{"type":"unknown","data":1}'))
        await peer.send(TextMessage(STATUS))
        await peer.listen()

    async with serving(talk) as url, dial(partial(open_websocket, Server(url=url), "me")) as spoken:
        assert await anext(spoken) == QueueChanged(remaining=0)
        assert await anext(spoken) == QueueChanged(remaining=0)


async def test_a_websocket_of_something_else_is_not_taken_for_comfyui() -> None:
    async def talk(peer: Peer) -> None:
        await peer.greet()
        await peer.send(TextMessage("welcome to the chat"))
        await peer.listen()

    async def listen(url: str) -> None:
        async with dial(partial(open_websocket, Server(url=url), "me")):
            pass

    async with serving(talk) as url:
        with pytest.raises(ConnectionLost, match="does not speak ComfyUI's language"):
            await listen(url)
