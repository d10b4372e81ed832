"""Wrong HTTP answers, over real sockets and on both backends: a verb answers, or raises what its port says."""

from __future__ import annotations

import copy
import gc
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.abc import ByteStream

from app.comfy import client, download, response_limits
from app.comfy.client import ComfyClient, open_comfy_client
from app.config.settings import Server
from app.events import FileRef, PromptId
from app.ports import ConnectionLost, Json, Refused
from app.texts.reasons.text import reason_text
from tests.comfy.peers import Behaviour, peer
from tests.comfy.verbs import GRAPH, PROMPT, VERBS
from tests.comfy.websocket.hostile import DEEP, REPLIES, read_request, replying
from tests.comfy.websocket.hostile import http as http_answer
from tests.comfy.websocket.hostile import json as json_answer
from tests.conftest import inline

pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'http(x|core).*:ResourceWarning")
"""httpx leaves what is not read or sent to its end to the garbage collector, and trio says so."""


@pytest.fixture(autouse=True)
def nothing_is_left_open(earlier_objects_frozen: None) -> Iterator[None]:
    """A socket or a generator that nobody closed warns when it is collected, and warnings are errors."""
    yield
    gc.collect()


@asynccontextmanager
async def comfy_at(behave: Behaviour, largest_result: int = 2**30) -> AsyncGenerator[ComfyClient]:
    async with peer(behave) as port:
        server = Server(url=f"http://127.0.0.1:{port}")
        async with open_comfy_client(server, "me", run_sync=inline, largest_result=largest_result) as comfy:
            yield comfy


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def check_sentence(error: ConnectionLost | Refused) -> None:
    for operator in (False, True):
        sentence = reason_text(error.reason, operator=operator)
        assert len(sentence) < 400
        assert "\n" not in sentence
        assert "Traceback" not in sentence


@pytest.mark.parametrize("name", REPLIES)
async def test_a_wrong_answer_is_a_loss_or_a_refusal_for_every_verb(name: str, tmp_path: Path) -> None:
    async with comfy_at(REPLIES[name]) as comfy:
        for verb in VERBS.values():
            with anyio.fail_after(20):
                try:
                    # What a verb returns can be shown, copied and written down.
                    answer = await verb(comfy, tmp_path)
                    copy.deepcopy(answer)
                    msgspec.json.encode(answer)
                except (ConnectionLost, Refused) as error:
                    check_sentence(error)
    assert files_in(tmp_path) in ([], ["a.png"])


ENDLESS: dict[str, Behaviour] = {
    "informational answers": replying(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "a body of spaces": replying(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[", b" " * 65536),
    "chunks": replying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 1000),
    "empty gzip blocks": replying(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10],
        b"\0\0\0\xff\xff" * 10_000,
    ),
    "a refusal": replying(b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x" * 65536),
    "a slow body": replying(b""),
}

NEVER_TOO_LARGE = {"informational answers", "chunks", "a slow body"}
"""Those that only the time limit ends: until then, they keep both sides busy."""


@pytest.mark.parametrize("name", ENDLESS)
async def test_an_answer_without_end_ends(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = 0.2 if name in NEVER_TOO_LARGE else 1.0
    monkeypatch.setattr(client, "ANSWER_SECONDS", seconds)
    monkeypatch.setattr(client, "RESULT_SECONDS", seconds)
    monkeypatch.setattr(client, "ANSWER_BYTES", 2**20)

    async def drip(stream: ByteStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await stream.send(b" ")
            await anyio.sleep(0.05)

    async with comfy_at(drip if name == "a slow body" else ENDLESS[name], largest_result=2**20) as comfy:
        for verb in (VERBS["history"], VERBS["fetch"], VERBS["submit"]):
            with anyio.fail_after(20), pytest.raises((ConnectionLost, Refused)):
                await verb(comfy, tmp_path)
    assert files_in(tmp_path) == []


@cache
def bomb(size: int) -> bytes:
    """Spaces, and nothing else, a thousand times smaller than they are."""
    squeeze = zlib.compressobj(9, wbits=31)
    return b"".join([*(squeeze.compress(b" " * 2**20) for _ in range(size // 2**20)), squeeze.flush()])


@pytest.mark.parametrize("verb", ["history", "nodes", "submit", "fetch"])
async def test_a_bomb_takes_no_more_memory_than_an_answer_may(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER_BYTES", 8 * 2**20)
    answer = http_answer(bomb(200 * 2**20), b"Content-Encoding: gzip")
    async with comfy_at(replying(answer), largest_result=8 * 2**20) as comfy:
        tracemalloc.start()
        try:
            with pytest.raises(Refused, match=f"TooLarge.*{8 * 2**20}"):
                await VERBS[verb](comfy, tmp_path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 24 * 2**20


async def test_json_of_very_many_values_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_limits, "ANSWER_VALUES", 10_000)
    body = f'{{"{PROMPT}": {{"outputs": {{"1": {{"images": [{"[]," * 20_000}1]}}}}}}}}'
    async with comfy_at(json_answer(body)) as comfy:
        with pytest.raises(Refused):
            await comfy.history(PROMPT)


async def test_an_answer_within_the_limits_is_read_packed_and_unpacked() -> None:
    body = b'{"queue_running": [[1, "a"]], "queue_pending": [' + b" " * 6 * 2**20 + b"]}"
    for answer in (http_answer(body), http_answer(gzip.compress(body), b"Content-Encoding: gzip")):
        async with comfy_at(replying(answer)) as comfy:
            assert (await comfy.queue()).running == (PromptId("a"),)


async def test_an_answer_that_cannot_be_read_leaves_open_whether_the_prompt_was_taken() -> None:
    for name in ("fields of wrong types", "no gzip", "no utf-8"):
        async with comfy_at(REPLIES[name]) as comfy:
            with pytest.raises(Refused) as refused:
                await comfy.submit(PROMPT, GRAPH)
            assert not refused.value.certain
    async with comfy_at(REPLIES["refused for nodes that are not there"]) as comfy:
        with pytest.raises(Refused) as refused:
            await comfy.submit(PROMPT, GRAPH)
        assert refused.value.certain
        assert refused.value.missing == ()


OTHER = '"other": {"outputs": {"9": {"images": [{"filename": "b.png"}]}}, "status": {"status_str": "success"}}'
GOOD = '{"images": [{"filename": "a.png", "type": "output"}]}'

ENTRIES: dict[str, tuple[str, str, int]] = {
    "a node id that is a number": (
        f'{{"outputs": {{"1": {GOOD}}}, "status": {{"status_str": "error", "messages": [["x", {{"node_id": 7}}]]}}}}',
        "failed",
        1,
    ),
    "messages that are a number": (f'{{"outputs": {{"1": {GOOD}}}, "status": {{"messages": 5}}}}', "success", 1),
    "a status that is a list": (f'{{"outputs": {{"1": {GOOD}}}, "status": [1]}}', "success", 1),
    "outputs that are a list": ('{"outputs": [1], "status": {"status_str": "success"}}', "unreadable", 0),
    "outputs of odd nodes": (f'{{"outputs": {{"1": {GOOD}, "2": 7, "3": [[]], "4": "x"}}}}', "success", 1),
    "deep outputs": (f'{{"outputs": {{"1": {GOOD}, "2": {"[" * 300}{"]" * 300}}}}}', "success", 1),
    "an entry that is a list": ("[1, 2]", "unreadable", 0),
    "an entry that is null": ("null", "unreadable", 0),
    "an entry that is a number": ("7", "unreadable", 0),
}


@pytest.mark.parametrize("name", ENTRIES)
async def test_a_history_of_wrong_types_belongs_to_its_own_prompt(name: str) -> None:
    entry, outcome, files = ENTRIES[name]
    async with comfy_at(json_answer(f'{{"{PROMPT}": {entry}, {OTHER}}}')) as comfy:
        history = await comfy.history(PROMPT)
        newest = await comfy.newest(10)
    assert history is not None
    assert history.outcome == outcome
    assert sum(len(output.files) for output in history.outputs) == files
    assert not history.error, "no server said anything"
    assert newest[PROMPT] == history
    assert newest[PromptId("other")].outcome == "success"


async def test_a_history_that_is_too_deep_to_read_is_refused() -> None:
    async with comfy_at(json_answer(f'{{"{PROMPT}": {{"outputs": {DEEP}}}}}')) as comfy:
        with pytest.raises(Refused):
            await comfy.history(PROMPT)


async def test_a_prompt_in_the_queue_with_an_odd_id_hides_no_other() -> None:
    items: list[Json] = [[3, "c"], [None, "z"], [1, 7], [2, "b"], [1, None], ["x", "y"], [10**30, "far"]]
    async with comfy_at(json_answer(msgspec.json.encode({"queue_running": items, "queue_pending": items}))) as comfy:
        queue = await comfy.queue()
    assert queue.pending == ("b", "c", "far", "z", "y")
    assert set(queue.running) == set(queue.pending)


async def test_cookies_of_a_server_are_not_sent_back() -> None:
    requests: list[bytes] = []

    async def behave(stream: ByteStream) -> None:
        requests.append(await read_request(stream))
        await stream.send(http_answer(b'{"queue_running": [], "queue_pending": []}', b"Set-Cookie: a=" + b"b" * 4000))

    async with comfy_at(behave) as comfy:
        await comfy.queue()
        await comfy.queue()
    assert len(requests) == 2
    assert b"cookie" not in requests[1].lower()


# Downloads


async def test_a_file_that_is_too_large_is_refused_before_it_is_read_if_it_says_so(tmp_path: Path) -> None:
    async with comfy_at(replying(http_answer(b"", length=b"99999999999")), largest_result=2**20) as comfy:
        with pytest.raises(Refused, match=f"ResultTooLarge.*'a.png'.*{2**20}"):
            await comfy.fetch(FileRef("a.png"), tmp_path / "a.png")
    assert files_in(tmp_path) == []


async def test_a_file_without_end_is_refused_at_the_limit(tmp_path: Path) -> None:
    async with comfy_at(replying(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536), largest_result=9 * 2**20) as comfy:
        with pytest.raises(Refused, match=f"ResultTooLarge.*{9 * 2**20}"):
            await comfy.fetch(FileRef("a.png"), tmp_path / "a.png")
    assert files_in(tmp_path) == []


async def test_a_file_that_trickles_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_limits, "SLOWEST_OVER", 0.3)

    async def trickle(stream: ByteStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await stream.send(b"x")
            await anyio.sleep(0.02)

    async with comfy_at(trickle) as comfy:
        with anyio.fail_after(20), pytest.raises(ConnectionLost, match="TooSlow"):
            await comfy.fetch(FileRef("a.png"), tmp_path / "a.png")
    assert files_in(tmp_path) == []


async def test_a_file_for_which_the_disk_has_no_room_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ROOM", 2**60)
    for answer in (http_answer(b"picture"), b"HTTP/1.1 200 OK\r\n\r\npicture"):
        async with comfy_at(replying(answer, leave=True)) as comfy:
            with pytest.raises(OSError, match="No space left"):
                await comfy.fetch(FileRef("a.png"), tmp_path / "new" / "a.png")
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 100_000, "a\0b", "\ud800", "..", "", "a\nb", "💥" * 1000])
async def test_a_file_of_an_absurd_name_is_a_loss_or_a_refusal(name: str, tmp_path: Path) -> None:
    async with comfy_at(REPLIES["a page that says 500"]) as comfy:
        with pytest.raises((ConnectionLost, Refused)) as raised:
            await comfy.fetch(FileRef(name, name, name), tmp_path / "a.png")
    check_sentence(raised.value)


@pytest.mark.parametrize("name", ["x" * 100_000, "a\0b", "\ud800", "..", ""])
async def test_a_prompt_of_an_absurd_id_is_a_loss_or_a_refusal(name: str) -> None:
    async with comfy_at(REPLIES["a list"]) as comfy:
        for verb in (comfy.history, comfy.cancel):
            with suppress(ConnectionLost, Refused):
                await verb(PromptId(name))
