"""Writes WebM files with real VP8, which browsers play.

Pillow can encode VP8, because a lossy WebP is one VP8 key frame.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

from PIL import Image


def encode(frames: Sequence[Image.Image], rate: float) -> bytes:
    """Encode frames as a WebM in which each is a key frame; `rate` is in frames per second."""
    width, height = frames[0].size
    ticks = 1000 / rate
    head = _element(
        0x1A45DFA3,
        _number(0x4286, 1),
        _number(0x42F7, 1),
        _number(0x42F2, 4),
        _number(0x42F3, 8),
        _element(0x4282, b"webm"),
        _number(0x4287, 2),
        _number(0x4285, 2),
    )
    info = _element(
        0x1549A966,
        _number(0x2AD7B1, 1_000_000),
        _element(0x4489, struct.pack(">d", ticks * len(frames))),
        _element(0x4D80, b"atelier"),
        _element(0x5741, b"atelier"),
    )
    track = _element(
        0xAE,
        _number(0xD7, 1),
        _number(0x73C5, 1),
        _number(0x83, 1),
        _element(0x86, b"V_VP8"),
        _element(0xE0, _number(0xB0, width), _number(0xBA, height)),
    )
    clusters: list[bytes] = []
    for number, frame in enumerate(frames):
        # Track 1, no time offset within its cluster, a key frame.
        block = _element(0xA3, b"\x81\x00\x00\x80" + _vp8(frame))
        clusters.append(_element(0x1F43B675, _number(0xE7, round(number * ticks)), block))
    return head + _element(0x18538067, info, _element(0x1654AE6B, track), *clusters)


def _vp8(frame: Image.Image) -> bytes:
    out = io.BytesIO()
    frame.convert("RGB").save(out, "WEBP", quality=80, method=0)
    riff = out.getvalue()
    at = 12
    while at < len(riff):
        kind, size = riff[at : at + 4], int.from_bytes(riff[at + 4 : at + 8], "little")
        if kind == b"VP8 ":
            return riff[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise ValueError("a lossy WebP without VP8")


def _element(kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = (len(body) | 1 << 56).to_bytes(8, "big")
    return kind.to_bytes((kind.bit_length() + 7) // 8, "big") + size + body


def _number(kind: int, value: int) -> bytes:
    return _element(kind, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))
