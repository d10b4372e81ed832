"""Alerts are posted to a webhook, and nothing that it answers does any harm."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import msgspec
import pytest
from anyio.abc import ByteStream

from app import webhook
from app.ports import ConnectionLost
from app.reasons.servers import NoAnswer, OutOfReach
from app.webhook import Webhook
from tests.comfy.peers import Behaviour, answering, closed_port, peer, silent

PATH = "/api/webhooks/1/secret?thread_id=2"


class Receiver:
    """Answers with a status and remembers the last request."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.head = b""
        self.body = b""

    async def behave(self, stream: ByteStream) -> None:
        request = b""
        while b"\r\n\r\n" not in request or not request.endswith(b"}"):
            request += await stream.receive()
        self.head, _, self.body = request.partition(b"\r\n\r\n")
        await stream.send(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())
        await stream.receive()


@pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
async def test_an_alert_is_posted_as_discord_accepts_it(status: str) -> None:
    receiver = Receiver(status)
    async with peer(receiver.behave) as port:
        await Webhook(f"http://127.0.0.1:{port}{PATH}").send("studio is away — @everyone")
    assert receiver.head.startswith(f"POST {PATH} HTTP/1.1\r\n".encode())
    sent = msgspec.json.decode(receiver.body, type=dict[str, object])
    assert sent == {"content": "studio is away — @everyone", "allowed_mentions": {"parse": list[str]()}}


async def endless(stream: ByteStream) -> None:
    await stream.receive()
    await stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await stream.send(b"x" * 65_536)


async def test_the_body_of_an_answer_is_not_read() -> None:
    async with peer(endless) as port:
        with anyio.fail_after(60):
            await Webhook(f"http://127.0.0.1:{port}/").send("studio is away")


async def redirecting(stream: ByteStream) -> None:
    await stream.receive()
    await stream.send(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    await stream.receive()


async def nonsense(stream: ByteStream) -> None:
    await stream.receive()
    await stream.send(b"\x00\x01\x02 secret\r\n\r\n")


@pytest.mark.parametrize(
    ("behave", "message"),
    [
        (answering("404 Not Found"), "HTTP 404"),
        (answering("429 Too Many Requests"), "HTTP 429"),
        (answering("500 Internal Server Error"), "HTTP 500"),
        (redirecting, "HTTP 307"),
        (nonsense, "RemoteProtocolError"),
    ],
)
async def test_every_other_answer_is_a_failure(behave: Behaviour, message: str) -> None:
    async with peer(behave) as port:
        with pytest.raises(ConnectionLost) as lost:
            await Webhook(f"http://127.0.0.1:{port}{PATH}").send("studio is away")
    assert lost.value.reason == OutOfReach(message)
    assert "secret" not in str(lost.value)


async def test_nobody_there_is_a_failure() -> None:
    with pytest.raises(ConnectionLost) as lost:
        await Webhook(f"http://127.0.0.1:{closed_port()}{PATH}").send("studio is away")
    assert lost.value.reason == OutOfReach("ConnectError")


@pytest.fixture
async def silent_port() -> AsyncGenerator[int]:
    async with peer(silent) as port:
        yield port


async def test_silence_is_a_failure_after_a_while(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.2)
    with pytest.raises(ConnectionLost) as lost:
        await Webhook(f"http://127.0.0.1:{silent_port}{PATH}").send("studio is away")
    assert lost.value.reason in (NoAnswer(0.2), OutOfReach("ReadTimeout"))
