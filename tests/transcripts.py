"""Recorded exchanges with a real ComfyUI 0.3.64, as data for tests."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import msgspec
from msgspec import Struct

from app.ports import Json

FOLDER = Path(__file__).parent / "data" / "transcripts"


class Line(Struct):
    """One line: an HTTP request or answer, a frame, a remark."""

    kind: str
    sock: str = ""
    text: str = ""
    event: int | None = None
    metadata: dict[str, Json] | None = None
    len: int = 0
    method: str = ""
    path: str = ""
    status: int = 0
    body: Json = None


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def read(name: str) -> list[Line]:
    content = (FOLDER / f"{name}.jsonl").read_bytes()
    return [msgspec.json.decode(line, type=Line) for line in content.splitlines() if line]


def frames(name: str, sock: str = "A") -> list[str | bytes]:
    """What one socket received; binary frames are rebuilt from their recorded heads."""
    heard: list[str | bytes] = []
    for line in read(name):
        if line.kind == "ws<" and line.sock == sock:
            heard.append(line.text)
        elif line.kind == "ws< binary" and line.sock == sock:
            head = msgspec.json.encode(line.metadata) if line.metadata else None
            image = b"\xff\xd8\xff" + bytes(32)
            if head is None:
                heard.append(struct.pack(">II", line.event or 1, 1) + image)
            else:
                heard.append(struct.pack(">II", 4, len(head)) + head + image)
    return heard


def histories(name: str) -> list[bytes]:
    """The bodies of all answers to GET /history/{id} that were recorded whole."""
    bodies: list[bytes] = []
    lines = read(name)
    for request, answer in pairwise(lines):
        if request.path.startswith("/history/") and answer.kind == "http<" and isinstance(answer.body, str):
            bodies.append(answer.body.encode())
    return bodies
