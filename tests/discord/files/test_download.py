"""What people attach is fetched from Discord alone, counted while it arrives, and refused with a sentence."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from app.discord.files import download
from app.discord.files.attachment_rules import allowed, check_size
from app.discord.files.download import InputMedia, check, open_client
from app.media_worker.client import MediaClient
from app.media_worker.limits import MOST_BYTES
from app.service.requests import AttachedFile
from app.workflows.model import WorkflowError
from tests.discord.fake import FakeDiscord, Upload
from tests.media_worker.fuzz import corpus, mutate
from tests.media_worker.processes import running
from tests.media_worker.samples import encoded, noise
from tests.refusals import refusal_of, refused

PERSON = "1400000000000000000"

PNG = encoded(noise((20, 10)), "PNG")


def test_too_many_bytes_are_refused_unseen() -> None:
    with refused("70 MB"):
        check_size(70 * 2**20, "image")
    check_size(MOST_BYTES, "image")
    with refused("Make the picture smaller"):
        check(AttachedFile("image", "", "a.png", MOST_BYTES + 1, "image/png"), "image")


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://cdn.discordapp.com/attachments/1/2/a.png?ex=1", True),
        ("https://media.discordapp.net/a.png", True),
        ("https://images-ext-1.discordapp.net/external/x/https/pictures.example/a.png", True),
        ("https://images-ext-12.discordapp.net/a.png", True),
        ("https://images-ext-.discordapp.net/a.png", False),
        ("https://images-ext-1.discordapp.net.evil.example/a.png", False),
        ("https://images-ext-1xdiscordapp.net/a.png", False),
        ("https://images-ext-1.discordapp.net./a.png", False),
        ("https://images-ext-1.discordapp.net\\@evil.example/a.png", False),
        ("https://evil.example\\@cdn.discordapp.com/a.png", False),
        ("https://162.159.130.233/a.png", False),
        ("http://cdn.discordapp.com/a.png", False),
        ("https://cdn.discordapp.com.evil.example/a.png", False),
        ("https://evil.example/cdn.discordapp.com", False),
        ("https://cdn.discordapp.com@evil.example/a.png", False),
        ("https://cdn.discordapp.com:8443/a.png", False),
        ("https://cdn.discordapp.com:nonsense/a.png", False),
        ("http://127.0.0.1:8000/cdn/a.png", True),
        ("http://127.0.0.1:8001/cdn/a.png", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_attachments_come_only_from_discord(url: str, may: bool) -> None:
    assert allowed(url, "http://127.0.0.1:8000/api/v10") is may
    if "127.0.0.1" in url:
        assert not allowed(url)


@asynccontextmanager
async def taking(folder: Path, base: str) -> AsyncGenerator[InputMedia]:
    async with running() as media, open_client() as client:
        yield InputMedia(client, media, folder / "passing", base)
        assert not list((folder / "passing").glob("*")), "nothing is left behind"


class Files:
    """A file server that says what it likes about what it sends."""

    def __init__(self, head: bytes, body: bytes, times: int = 1) -> None:
        self._head = head
        self._body = body
        self._times = times
        self.sent = 0
        self.asked = b""

    async def answer(self, stream: ByteStream) -> None:
        async with stream:
            self.asked = await stream.receive()
            try:
                await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n" + self._head + b"\r\n\r\n")
                for _ in range(self._times):
                    await stream.send(self._body)
                    self.sent += len(self._body)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[str]:
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, self.answer)
            yield f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
            tasks.cancel_scope.cancel()


MB = 2**20


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Transfer-Encoding: chunked", b"100000\r\n" + bytes(MB) + b"\r\n"),
        (b"Content-Length: 200000000", bytes(MB)),
        (b"Connection: close", bytes(MB)),
    ],
    ids=["chunks without an end", "more than Discord said", "no length at all"],
)
async def test_bytes_are_counted_as_they_arrive(
    head: bytes, body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Discord says ten bytes; the server sends without end."""
    monkeypatch.setattr("app.discord.files.attachment_rules.MOST_BYTES", 3 * MB)
    server = Files(head, body, times=190)
    async with server.serving() as base, taking(tmp_path, base) as intake:
        with refused("Make the picture smaller"):
            await intake.take(
                AttachedFile("image", f"{base}/a.png", "a.png", 10, "image/png"), "image", tmp_path / "a", PERSON
            )
    assert server.sent < 30 * MB
    assert b"identity" in server.asked


@pytest.mark.anyio
async def test_what_was_compressed_on_the_way_is_not_unpacked(tmp_path: Path) -> None:
    """A few kilobytes could become gigabytes."""
    server = Files(b"Content-Encoding: gzip\r\nContent-Length: 100", bytes(100))
    async with server.serving() as base, taking(tmp_path, base) as intake:
        with refused("not a picture"):
            await intake.take(
                AttachedFile("image", f"{base}/a.png", "a.png", 10, "image/png"), "image", tmp_path / "a", PERSON
            )


@pytest.mark.anyio
@pytest.mark.parametrize("head", [b"Content-Length: 500", b"Content-Length: x", b"Transfer-Encoding: chunked"])
async def test_a_server_that_breaks_off_is_a_sentence(head: bytes, tmp_path: Path) -> None:
    server = Files(head, b"zz")
    async with server.serving() as base, taking(tmp_path, base) as intake:
        with refused("Attach it again"):
            await intake.take(
                AttachedFile("image", f"{base}/a.png", "a.png", 10, "image/png"), "image", tmp_path / "a", PERSON
            )


@pytest.mark.anyio
async def test_a_server_that_stays_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "DEADLINE", 0.05)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        base = f"http://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        async with taking(tmp_path, base) as intake:
            with refused("Attach it again"):
                await intake.take(AttachedFile("image", f"{base}/a.png", "a.png", 10), "image", tmp_path / "a", PERSON)


def put(fake: FakeDiscord, name: str, data: bytes) -> AttachedFile:
    found = fake.state.do(fake.state.cdn.put, fake.state.channel.id, name, Upload(name, data))
    return AttachedFile("image", str(found["url"]), name, len(data))


@pytest.mark.anyio
async def test_a_picture_is_kept_where_it_belongs_with_an_ending_of_its_own(fake: FakeDiscord, tmp_path: Path) -> None:
    async with taking(tmp_path, fake.rest_url) as intake:
        kept = await intake.take(put(fake, "a.webp", PNG), "image", tmp_path / "inputs" / "job-image", PERSON)
    assert kept == tmp_path / "inputs" / "job-image.png"
    assert kept.read_bytes().startswith(b"\x89PNG")


@pytest.mark.anyio
async def test_damaged_files_of_all_kinds_are_sentences(fake: FakeDiscord, tmp_path: Path) -> None:
    rng = random.Random(11)
    async with taking(tmp_path, fake.rest_url) as intake:
        for number, (name, data) in enumerate(corpus().items()):
            kind = "audio" if name.startswith("tone") else "video" if name.startswith("film") else "image"
            try:
                await intake.take(put(fake, name, mutate(data, rng)), kind, tmp_path / f"kept{number}", PERSON)
            except WorkflowError as error:
                assert refusal_of(error).endswith("."), name  # noqa: PT017  many are accepted
        assert await intake.take(put(fake, "a.png", PNG), "image", tmp_path / "good", PERSON)


@pytest.mark.anyio
async def test_one_person_has_ten_files_on_their_way_and_no_more(fake: FakeDiscord, tmp_path: Path) -> None:
    """The media worker is not there yet, so all of them wait."""
    media = MediaClient()
    file = put(fake, "a.png", PNG)
    refusals: list[str] = []
    async with open_client() as client, anyio.create_task_group() as tasks:
        intake = InputMedia(client, media, tmp_path / "passing", fake.rest_url)

        async def take(number: int, person: str) -> None:
            try:
                await intake.take(file, "image", tmp_path / f"{person}{number}", person)
            except WorkflowError as error:
                refusals.append(f"{person}: {refusal_of(error)}")

        async with anyio.create_task_group() as taking:
            for number in range(12):
                taking.start_soon(take, number, "ada")
            taking.start_soon(take, 0, "grace")
            while len(refusals) < 2:
                await anyio.wait_all_tasks_blocked()
            assert [text.partition(" ")[0] for text in refusals] == ["ada:", "ada:"]
            await tasks.start(media.run)
        assert len(refusals) == 2
        await take(99, "ada")
        assert len(refusals) == 2
        tasks.cancel_scope.cancel()
    assert sum(path.suffix == ".png" for path in paths(tmp_path)) == 12


def paths(folder: Path) -> list[Path]:
    return list(folder.iterdir())
