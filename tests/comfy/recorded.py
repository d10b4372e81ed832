"""Exchanges with a real ComfyUI 0.3.64, as they were recorded, for the back door's tests."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from app.ports import Json

FOLDER = Path(__file__).parent.parent / "data" / "transcripts"

KINDS = {"image/jpeg": 1, "image/png": 2}


class Line(Struct):
    """One line of a transcript: a request, an answer, a frame, a remark."""

    kind: str
    sock: str = ""
    text: str = ""
    len: int = 0
    head_hex: str = ""
    metadata: dict[str, Json] | None = None
    node_id: str = ""
    method: str = ""
    path: str = ""
    status: int = 0
    headers: dict[str, str] = {}
    body: Json = None
    bytes: int = 0


class Exchange(Struct):
    """A request and its answer. `whole` says whether the answer's body was recorded as it was."""

    method: str
    path: str
    asked: Json
    status: int
    body: str
    whole: bool


def names() -> list[str]:
    stems = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
    assert stems, f"the transcripts are missing from {FOLDER}"
    return stems


def lines(name: str) -> list[Line]:
    content = (FOLDER / f"{name}.jsonl").read_bytes()
    return [msgspec.json.decode(line, type=Line) for line in content.splitlines() if line]


def frames(name: str, sock: str = "A") -> Iterator[str | bytes]:
    """What one socket received, in order."""
    for line in lines(name):
        if line.sock == sock and line.kind == "ws<":
            yield line.text
        elif line.sock == sock and line.kind == "ws< binary":
            yield _binary(line)


def _binary(line: Line) -> bytes:
    """A frame of the recorded length that begins as the recorded one did; the pixels are left out."""
    if line.metadata is not None:
        # The server's own spacing, so that the lengths are those on the wire.
        head = b"{" + b", ".join(_pair(*pair) for pair in line.metadata.items()) + b"}"
        begin = struct.pack(">II", 4, len(head)) + head + b"\xff\xd8\xff\xe0"
    elif line.node_id:
        begin = struct.pack(">II", 3, len(line.node_id)) + line.node_id.encode() + line.text.encode()
    else:
        begin = bytes.fromhex(line.head_hex)
    return begin.ljust(line.len, b"\0")


def _pair(key: str, value: Json) -> bytes:
    return msgspec.json.encode(key) + b": " + msgspec.json.encode(value)


def exchanges(name: str) -> list[Exchange]:
    pairs: list[Exchange] = []
    http_lines = [line for line in lines(name) if line.kind in {"http>", "http<"}]
    for question, answer in pairwise(http_lines):
        if question.kind == "http>" and answer.kind == "http<" and isinstance(answer.body, str):
            body = "" if answer.body.startswith("<0 bytes") else answer.body
            whole = len(body.encode()) == answer.bytes
            pairs.append(Exchange(question.method, question.path, question.body, answer.status, body, whole))
    return pairs


def histories(name: str) -> list[tuple[str, str]]:
    """Prompt ids and the histories that were answered for them, where there were any."""
    return [
        (unquote(exchange.path.removeprefix("/history/")), exchange.body)
        for exchange in exchanges(name)
        if exchange.path.startswith("/history/") and exchange.body.startswith('{"') and exchange.status == 200
    ]
