"""The bytes of frames (docs/protocol/comfyui.md 2.5, 2.6)."""

from __future__ import annotations

import struct

import msgspec

from app.ports import Json

JPEG, PNG = 1, 2
"""Image formats within binary frames."""

MEDIA_TYPES = {JPEG: "image/jpeg", PNG: "image/png"}

MAX_BODY = 104857600
"""Bytes of a request that ComfyUI takes by default (--max-upload-size 100)."""

FEATURES: dict[str, Json] = {"supports_preview_metadata": True, "max_upload_size": MAX_BODY}
"""What the server answers to feature_flags, and at /features (T12)."""


def text(kind: str, data: Json) -> str:
    """Any text frame."""
    return msgspec.json.encode({"type": kind, "data": data}).decode()


def preview(image: bytes, form: int) -> bytes:
    """Event 1: a picture that says nothing about where it comes from."""
    return struct.pack(">II", 1, form) + image


def preview_with_metadata(image: bytes, metadata: dict[str, Json]) -> bytes:
    """Event 4: a picture and its node."""
    head = msgspec.json.encode(metadata)
    return struct.pack(">II", 4, len(head)) + head + image


def progress_text(node: str, words: str) -> bytes:
    """Event 3: a text from a node."""
    head = node.encode()
    return struct.pack(">II", 3, len(head)) + head + words.encode()


def custom(event: int, payload: bytes) -> bytes:
    """An event only some custom node knows."""
    return struct.pack(">I", event) + payload
