"""Encodes text and binary frames (docs/protocol/comfyui.md, 2.5 and 2.6)."""

from __future__ import annotations

import struct

import msgspec

from app.ports import Json

JPEG, PNG = 1, 2
"""The numbers of the image formats in binary frames."""

MEDIA_TYPES = {JPEG: "image/jpeg", PNG: "image/png"}

MAX_BODY = 104857600
"""The largest request in bytes that ComfyUI accepts by default (--max-upload-size 100)."""


def text(kind: str, data: Json) -> str:
    """Encode a text frame."""
    return msgspec.json.encode({"type": kind, "data": data}).decode()


def preview(image: bytes, form: int) -> bytes:
    """Encode event 1: an image without metadata."""
    return struct.pack(">II", 1, form) + image


def preview_with_metadata(image: bytes, metadata: dict[str, Json]) -> bytes:
    """Encode event 4: an image with metadata about its node."""
    head = msgspec.json.encode(metadata)
    return struct.pack(">II", 4, len(head)) + head + image


def progress_text(node: str, words: str) -> bytes:
    """Encode event 3: a text from a node."""
    head = node.encode()
    return struct.pack(">II", 3, len(head)) + head + words.encode()


def custom(event: int, payload: bytes) -> bytes:
    """Encode an event of a custom node."""
    return struct.pack(">I", event) + payload
