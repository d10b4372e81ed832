"""Hostile input for everything that reads what a ComfyUI sends: websockets, HTTP answers, frames.

A case is data: it can be written to `tests/comfy/corpus`, and is then tried in every run of the suite.
`python -m tests.comfy.fuzz --minutes N` tries new cases for so long, and writes one there for each kind that fails.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Literal, TypeAlias, cast

import anyio
import httpx
import msgspec
from anyio.abc import ByteStream
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from app.comfy.client import open_comfy_client
from app.comfy.websocket.address import Timing
from app.comfy.websocket.connect import connect, open_websocket
from app.comfy.websocket.decoder import Decoder
from app.config.settings import Server
from app.ports import ConnectionLost, OpenWebSocket, Refused
from app.texts.reasons.text import reason_text
from tests.comfy import recorded
from tests.comfy.peers import peer
from tests.comfy.verbs import PROMPT, VERBS
from tests.comfy.websocket.hostile import accept_of, close, frame, handshake, read_request
from tests.conftest import inline

CORPUS = Path(__file__).parent / "corpus"

Backend: TypeAlias = Literal["trio", "asyncio"]

ACCEPT = b"<ACCEPT>"
"""Stands for the right value of Sec-WebSocket-Accept, which only the request tells."""


class SocketCase(Struct, frozen=True, tag="socket"):
    """A server that answers the handshake with these packets, and hangs up."""

    backend: Backend
    packets: tuple[bytes, ...]


class ReplyCase(Struct, frozen=True, tag="reply"):
    """A server that answers each request of a verb with these bytes, and hangs up."""

    backend: Backend
    verb: str
    reply: bytes


class JsonCase(Struct, frozen=True, tag="json"):
    """A server that answers each request of a verb with this status and body."""

    verb: str
    status: int
    content: bytes


class FramesCase(Struct, frozen=True, tag="frames"):
    """Frames of one connection, each with whether it is text."""

    frames: tuple[tuple[bool, bytes], ...]


Case: TypeAlias = SocketCase | ReplyCase | JsonCase | FramesCase


def check(case: Case) -> None:
    """Try a case. Raises whatever should not have been raised."""
    match case:
        case SocketCase():
            anyio.run(_check_socket, case, backend=case.backend)
        case ReplyCase():
            anyio.run(_check_reply, case, backend=case.backend)
        case JsonCase():
            anyio.run(_check_json, case, backend="asyncio")
        case FramesCase():
            _check_frames(case)


async def _check_socket(case: SocketCase) -> None:
    async def behave(stream: ByteStream) -> None:
        request = await read_request(stream)
        for packet in case.packets:
            await stream.send(packet.replace(ACCEPT, accept_of(request)))

    async with peer(behave) as port:
        server = Server(url=f"http://127.0.0.1:{port}")
        timing = Timing(connect=1.0, close=0.1, ping=0.5, pong=0.5)
        opened: OpenWebSocket = lambda: open_websocket(server, "me", timing=timing)  # noqa: E731
        with anyio.fail_after(20):
            with suppress(ConnectionLost):
                async with opened() as socket:
                    for _ in range(100):
                        assert isinstance(await socket.receive(), (str, bytes))
            with suppress(ConnectionLost):
                async with connect(opened) as spoken:
                    async for what in spoken:
                        _check_plain(what)


async def _check_reply(case: ReplyCase) -> None:
    async def behave(stream: ByteStream) -> None:
        await read_request(stream)
        await stream.send(case.reply)

    with tempfile.TemporaryDirectory() as folder:
        async with (
            peer(behave) as port,
            open_comfy_client(Server(url=f"http://127.0.0.1:{port}"), "me", run_sync=inline) as comfy,
        ):
            with anyio.fail_after(20), suppress(ConnectionLost, Refused):
                _check_plain(await VERBS[case.verb](comfy, Path(folder)))


async def _check_json(case: JsonCase) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(case.status, content=case.content, headers={"Content-Type": "application/json"})

    with tempfile.TemporaryDirectory() as folder:
        transport = httpx.MockTransport(answer)
        async with open_comfy_client(Server(url="http://here"), "me", run_sync=inline, transport=transport) as comfy:
            try:
                _check_plain(await VERBS[case.verb](comfy, Path(folder)))
            except (ConnectionLost, Refused) as error:
                assert len(reason_text(error.reason, operator=True)) < 3000  # noqa: PT017  people read it


def _check_frames(case: FramesCase) -> None:
    decoder = Decoder()
    for is_text, data in case.frames:
        _check_plain(decoder.decode(data.decode(errors="replace") if is_text else data))


def _check_plain(value: object) -> None:
    """What comes out can be copied, written down and shown."""
    msgspec.json.encode(copy.deepcopy(value))
    str(value)


# Where cases come from

NASTY = (
    b"\0",
    b"\xff",
    b"\r\n",
    b"\n",
    b" ",
    b"\t",
    b":",
    b"-1",
    b"9" * 30,
    b"9" * 5000,
    b"%",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"{",
    b"[" * 200,
    b'"',
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"null",
    b"chunked",
    b"gzip",
    b"close",
    b"\x88\x02\x03\xe8",
    b"a" * 70_000,
)

HEADERS = (
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Accept: " + ACCEPT,
    b"Connection: close",
    b"Connection: keep-alive, Upgrade",
    b"Sec-WebSocket-Extensions: permessage-deflate",
    b"Sec-WebSocket-Protocol: chat",
    b"Sec-WebSocket-Accept: x",
    b"Content-Length: 2",
    b"Content-Length: 7",
    b"Content-Length: -1",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br",
    b"Content-Encoding: deflate, gzip",
    b"Content-Type: application/json",
    b"Content-Type: \xff",
    b"Location: /ws",
    b"Location: http://[::/",
    b"Location: file:///",
    b"Set-Cookie: a=b; Max-Age=x",
    b"Set-Cookie: \xff=\0",
    b"X: \xff",
    b"no colon",
    b": empty name",
    b" folded",
    b"X Y: z",
    b"Date: never",
    b"Keep-Alive: timeout=x",
)

STATUS = (
    b"HTTP/1.1 101 Switching Protocols",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 302 Found",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 400 Bad Request",
    b"HTTP/1.1 403 Forbidden",
    b"HTTP/1.1 404 Not Found",
    b"HTTP/1.1 413 Large",
    b"HTTP/1.1 500 Broken",
    b"HTTP/1.1 503 Away",
    b"HTTP/1.1 999 Odd",
    b"HTTP/1.1 99 Odd",
    b"HTTP/1.1 1000 Odd",
    b"HTTP/2 200",
    b"HTTP/1.1 200",
    b"HTTP/1.1",
    b"ICY 200 OK",
    b"",
    b"\x15\x03\x01\x00\x02\x02\x46",
)

BODIES = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"<html>",
    b"2\r\n{}\r\n0\r\n\r\n",
    b"zz\r\n",
    b"ffffffffffffffffff\r\n",
    b"0\r\n\xff\r\n\r\n",
    b"\x1f\x8b\x08\0\0\0\0\0\0\xff",
    b"\xff\xfe",
    b"{" * 2000,
    b"[" * 2000 + b"]" * 2000,
)

VALUES: Sequence[object] = (  # pyright: ignore[reportUnknownVariableType]  empty lists and dictionaries
    None,
    True,
    False,
    0,
    -1,
    7,
    10**19,
    -(10**30),
    10**400,
    0.5,
    1e308,
    "",
    "x",
    "a/b",
    "..",
    "\ud800",
    "x" * 70_000,
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"a": {"b": {}}},
    float("nan"),
    float("inf"),
    [1, 2, 3],
    ["p", {}],
    "error",
    "💥",
    json.loads("[" * 300 + "]" * 300),
)


def edited(original: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes with a few edits: parts cut out, doubled, replaced or put in."""

    def apply(data: bytes, edits: Sequence[tuple[int, int, str, bytes]]) -> bytes:
        for begin, share, kind, extra in edits:
            at = begin * len(data) // 1000
            part = data[at : at + share * share * len(data) // 10**6]
            to = at + len(part)
            middle = {"cut": b"", "double": part + part, "replace": extra, "insert": extra + part, "end": part}[kind]
            data = data[:at] + middle + (b"" if kind == "end" else data[to:])
        return data

    share = st.integers(0, 1000)
    kinds = st.sampled_from(["cut", "double", "replace", "insert", "end"])
    edit = st.tuples(share, share, kinds, st.sampled_from(NASTY) | st.binary(max_size=4))
    return st.builds(apply, original, st.lists(edit, max_size=3))


def heads() -> st.SearchStrategy[bytes]:
    """The head of an HTTP answer, of parts that are right and parts that are wrong."""

    def join(status: bytes, headers: list[bytes], end: bytes) -> bytes:
        return b"\r\n".join([status, *headers]) + end

    ends = st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\n", b""])
    return st.builds(join, st.sampled_from(STATUS), st.lists(st.sampled_from(HEADERS), max_size=5), ends)


def frames() -> st.SearchStrategy[bytes]:
    """One websocket frame, right or wrong."""
    payload = st.binary(max_size=130) | st.sampled_from([b'{"type":"status"}', b"\xed\xa0\x80", bytes(70_000)])
    opcode = st.sampled_from([0, 1, 2, 8, 9, 10]) | st.integers(0, 15)
    usual = st.builds(frame, opcode, payload, final=st.booleans() | st.just(value=True))
    wrong = st.builds(frame, opcode, payload, final=st.booleans(), reserved=st.integers(0, 7), mask=st.booleans())
    status = frame(1, b'{"type":"status","data":{"status":{"exec_info":{"queue_remaining":2}}}}')
    return usual | wrong | st.builds(close, st.integers(0, 65535), st.binary(max_size=10)) | st.just(status)


SHAKEN = handshake(b"").replace(accept_of(b""), ACCEPT)


def socket_cases(backend: Backend) -> st.SearchStrategy[SocketCase]:
    """Wrong handshakes, and wrong frames after a right one, in packets of any size."""
    shaken = st.just(SHAKEN)
    sent = st.lists(frames(), max_size=6).map(tuple)
    wrong = st.tuples(heads() | edited(shaken) | st.binary(max_size=50), st.sampled_from(BODIES))

    def separate(head: bytes, frames: tuple[bytes, ...]) -> tuple[bytes, ...]:
        return head, *frames

    def together(head: bytes, frames: tuple[bytes, ...]) -> tuple[bytes, ...]:
        return (head + b"".join(frames),)

    torn = st.tuples(shaken, edited(frames()))
    right = st.builds(separate, shaken, sent) | st.builds(together, shaken, sent)
    return st.builds(SocketCase, st.just(backend), wrong | right | torn)


def reply_cases(backend: Backend) -> st.SearchStrategy[ReplyCase]:
    """Wrong HTTP for every verb."""
    true = st.sampled_from(_true_replies())
    made = st.builds(_joined, heads(), st.sampled_from(BODIES) | st.binary(max_size=20))
    return st.builds(ReplyCase, st.just(backend), st.sampled_from(sorted(VERBS)), made | edited(true) | edited(made))


def _joined(head: bytes, body: bytes) -> bytes:
    return head + body


def json_cases() -> st.SearchStrategy[JsonCase]:
    """True answers in which some values are others, or some bytes."""
    return SEEDS.map(_json_case)


def frames_cases() -> st.SearchStrategy[FramesCase]:
    """True frames in which some values are others, or some bytes."""
    return SEEDS.map(_frames_case)


SEEDS = st.integers(0, 2**63)
"""What Hypothesis draws for changes in JSON: drawn one by one, too many of them would fall on the outermost value."""


def _json_case(seed: int) -> JsonCase:
    random = Random(seed)
    verb = random.choice(sorted(_true_answers()))
    content = _changed(random.choice(_true_answers()[verb]), random)
    return JsonCase(verb, random.choice([200, 400] if verb == "submit" else [200] * 8 + [404, 500]), content)


def _frames_case(seed: int) -> FramesCase:
    random = Random(seed)
    texts, pictures = _true_frames()
    frames: list[tuple[bool, bytes]] = []
    for _ in range(random.randint(1, 6)):
        if random.random() < 0.7:
            # Each kind as often as any other: most of the recorded ones are about progress.
            frames.append((True, _changed(random.choice(texts[random.choice(sorted(texts))]), random)))
        else:
            frames.append((False, _spoilt(random.choice(pictures), random)))
    return FramesCase(tuple(frames))


def _changed(content: bytes, random: Random) -> bytes:
    """JSON with up to three other values, written as Python writes it, and now and then with other bytes."""
    root: list[Any] = [json.loads(content)]
    for _ in range(random.randint(0, 3)):
        holder, key = random.choice(list(_places(root)))
        holder[key] = copy.deepcopy(random.choice(VALUES))
    written = json.dumps(root[0]).encode()
    return _spoilt(written, random) if random.random() < 0.3 else written


def _spoilt(data: bytes, random: Random) -> bytes:
    """Bytes of which a few are others, or cut off."""
    at = random.randrange(len(data) + 1)
    return random.choice([data[:at], data[:at] + random.choice(NASTY) + data[at + random.choice([0, 0, 1, 4]) :]])


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    ahead: list[Any] = [value]
    while ahead:
        holder = ahead.pop(0)
        inner: list[tuple[Any, Any]]
        if isinstance(holder, dict):
            inner = list(cast("dict[Any, Any]", holder).items())
        else:
            inner = list(enumerate(cast("list[Any]", holder)))
        for key, child in inner:
            yield holder, key
            if isinstance(child, (dict, list)):
                ahead.append(child)


def _is_short_json(body: str) -> bool:
    if len(body) > 8000:
        return False
    try:
        json.loads(body)
    except ValueError:
        # The transcripts hold only the beginning of some.
        return False
    return True


@cache
def _true_answers() -> dict[str, list[bytes]]:
    """What a real ComfyUI answered, by verb; the longest are left out, for the sake of speed."""
    paths = {
        "submit": "/prompt",
        "queue": "/queue",
        "upload": "/upload/image",
        "stats": "/system_stats",
        "node": "/object_info/",
        "nodes": "/object_info/",
    }
    exchanges = [each for name in recorded.names() for each in recorded.exchanges(name) if _is_short_json(each.body)]
    answers = {
        verb: [each.body.encode() for each in exchanges if each.path.startswith(path)] for verb, path in paths.items()
    }
    # Under the id that the verbs ask for.
    histories = [
        body.replace(prompt, PROMPT).encode()
        for name in recorded.names()
        for prompt, body in recorded.histories(name)
        if _is_short_json(body)
    ]
    queue = b'{"queue_running": [[1, "p", {}, {}, []]], "queue_pending": [[3, "q", {}, {}, []], [2, "r", {}, {}, []]]}'
    classes = [b'{"KSampler": {"input": {"required": {"sampler_name": [["euler", "ddim"], {"default": "ddim"}]}}}}']
    return {
        **answers,
        "queue": [*answers["queue"], queue],
        "node": answers["node"] + classes,
        "history": histories,
        "newest": histories,
        "cancel": [b'{"cancelled": true}', b'{"error": "Job not found"}'],
    }


@cache
def _true_replies() -> list[bytes]:
    heads = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
    return [heads % len(body) + body for bodies in _true_answers().values() for body in bodies[:3]]


class _Typed(Struct):
    type: str


@cache
def _true_frames() -> tuple[dict[str, list[bytes]], list[bytes]]:
    """What a real ComfyUI sent: texts by their type, and the beginnings of pictures."""
    names = ("02b_txt2img_full_preview_metadata", "06_raise", "08_chatter", "04_odd_output", "07_interrupt")
    texts: dict[str, list[bytes]] = {}
    pictures: list[bytes] = []
    for recorded_frame in (recorded_frame for name in names for recorded_frame in recorded.frames(name)):
        if isinstance(recorded_frame, bytes):
            pictures.append(recorded_frame[:300])
        else:
            texts.setdefault(msgspec.json.decode(recorded_frame, type=_Typed).type, []).append(recorded_frame.encode())
    return texts, pictures


STRATEGIES: dict[str, Callable[[], st.SearchStrategy[Case]]] = {
    "socket-trio": lambda: socket_cases("trio"),
    "socket-asyncio": lambda: socket_cases("asyncio"),
    "reply-trio": lambda: reply_cases("trio"),
    "reply-asyncio": lambda: reply_cases("asyncio"),
    "json": json_cases,
    "frames": frames_cases,
}


SLOW_IS_FINE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
"""The machine may be busy."""


class Found(Exception):
    """A case that raises what it must not."""

    def __init__(self, case: Case) -> None:
        super().__init__(f"{case!r:.2000}")
        self.case = case


def search(name: str, examples: int, *, fixed: bool = True) -> None:
    """Try so many cases of one kind, always the same ones if `fixed`. Raises `Found`, from what the case raised."""

    @settings(
        max_examples=examples,
        derandomize=fixed,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=SLOW_IS_FINE,
    )
    @given(STRATEGIES[name]())
    def run(case: Case) -> None:
        try:
            check(case)
        except Exception as error:
            raise Found(case) from error

    run()


def saved() -> dict[str, Case]:
    """The cases that once failed, by file name."""
    return {path.name: msgspec.msgpack.decode(path.read_bytes(), type=Case) for path in sorted(CORPUS.glob("*.case"))}


def save(case: Case) -> Path:
    """Write a case into the corpus."""
    content = msgspec.msgpack.encode(case)
    path = CORPUS / f"{case.__struct_config__.tag}-{hashlib.sha256(content).hexdigest()[:12]}.case"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def main() -> int:
    """Search until the time is over; 1 where a case was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.comfy.fuzz")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("names", nargs="*", choices=[[], *STRATEGIES], default=[])
    arguments = parser.parse_args()
    unbroken = list(arguments.names or STRATEGIES)
    until = time.monotonic() + arguments.minutes * 60
    rounds = 0
    failed = False
    while unbroken and time.monotonic() < until:
        for name in list(unbroken):
            try:
                search(name, 100, fixed=False)
            except Found as failure:
                failed = True
                unbroken.remove(name)
                traceback.print_exception(failure.__cause__)
                print(f"{name}: {save(failure.case)}")
        rounds += 1
    print(f"{rounds} rounds of 100 cases for each of {', '.join(arguments.names or STRATEGIES)}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
