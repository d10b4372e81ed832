"""The fuzzers in the suite: always the same cases, and proof that each finds a bug that was put there."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from wsproto import WSConnection

from app.comfy import client, exchange, http_schemas, json
from app.comfy.websocket import decoder as wire
from app.comfy.websocket.trio_protocol import ClientProtocol
from tests.comfy import fuzz

EXAMPLES = {"socket-trio": 80, "socket-asyncio": 80, "reply-trio": 80, "reply-asyncio": 80, "json": 600, "frames": 300}

pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'http(x|core).*:ResourceWarning")
"""httpx leaves what is not read or sent to its end to the garbage collector, and trio says so."""


@pytest.mark.parametrize("name", fuzz.STRATEGIES)
def test_nothing_that_a_server_sends_raises_what_its_port_does_not_say(name: str) -> None:
    fuzz.search(name, EXAMPLES[name])


@pytest.mark.parametrize("name", fuzz.saved())
def test_a_case_that_was_once_found_is_found_no_more(name: str) -> None:
    fuzz.check(fuzz.saved()[name])


def untranslated_reader(patch: pytest.MonkeyPatch) -> None:
    async def read(socket: Any) -> None:
        await socket._connection.read()

    patch.setattr("app.comfy.websocket.trio._Socket.read", read)
    patch.setattr(ClientProtocol, "receive_data", WSConnection.receive_data)


def untranslated_frames(patch: pytest.MonkeyPatch) -> None:
    def lost(_self: object, why: object) -> Exception:
        return why if isinstance(why, Exception) else KeyError(why)

    patch.setattr("app.comfy.websocket.aiohttp._Socket._lost", lost)


def untranslated_httpx(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def translated(*_arguments: object) -> Generator[None]:
        yield

    patch.setattr(exchange, "translated", translated)


def undecodable_text(patch: pytest.MonkeyPatch) -> None:
    """msgspec raises `UnicodeDecodeError` for text that is not UTF-8, which is not its own `DecodeError`."""

    def decode(content: bytes, decoder: msgspec.json.Decoder[object]) -> object:
        return decoder.decode(content)

    for module in (client, json, http_schemas, wire):
        patch.setattr(module, "decode", decode)


PLANTED: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "socket-trio": untranslated_reader,
    "socket-asyncio": untranslated_frames,
    "reply-trio": untranslated_httpx,
    "reply-asyncio": untranslated_httpx,
    "json": undecodable_text,
    "frames": undecodable_text,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_bug_that_is_put_there_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    PLANTED[name](monkeypatch)
    with pytest.raises(fuzz.Found):
        # It ends with the first one; which one that is depends on what else is imported.
        fuzz.search(name, 10 * EXAMPLES[name])
