"""Writes small MP4 files: real video in which every frame is a JPEG.

Pillow has no video encoder, but ISO base media may carry JPEG frames ("mp4v" with object type 0x6C). FFmpeg,
VLC and mpv play it; browsers and Discord's inline player want H.264, and offer it as a download.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

from PIL import Image

_SCALE = 1000
"""Units of time per second."""

_UNITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
"""The identity matrix, in the fixed-point format of ISO 14496-12."""


def encode(frames: Sequence[Image.Image], rate: float) -> bytes:
    """Encode frames as an MP4; `rate` is in frames per second."""
    samples = [_jpeg(frame) for frame in frames]
    width, height = frames[0].size
    ticks = max(1, round(_SCALE / rate))
    length = ticks * len(samples)
    ftyp = _box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso2mp41")
    mvhd = _full(
        b"mvhd",
        struct.pack(">4I", 0, 0, _SCALE, length),
        struct.pack(">IH10x", 0x10000, 0x0100),
        _UNITY,
        bytes(24),
        struct.pack(">I", 2),
    )
    tkhd = _full(
        b"tkhd",
        struct.pack(">5I8x4H", 0, 0, 1, 0, length, 0, 0, 0, 0),
        _UNITY,
        struct.pack(">2I", width << 16, height << 16),
        flags=3,
    )
    mdhd = _full(b"mdhd", struct.pack(">4I2H", 0, 0, _SCALE, length, 0x55C4, 0))
    hdlr = _full(b"hdlr", struct.pack(">I4s12x", 0, b"vide"), b"VideoHandler\0")
    vmhd = _full(b"vmhd", bytes(8), flags=1)
    dinf = _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1)))
    moov_size = 0
    while True:
        # The offset of the frames depends on the size of the table that contains it.
        offset = len(ftyp) + moov_size + 8
        stbl = _box(
            b"stbl",
            _full(b"stsd", struct.pack(">I", 1), _entry(width, height)),
            _full(b"stts", struct.pack(">3I", 1, len(samples), ticks)),
            _full(b"stsc", struct.pack(">4I", 1, 1, len(samples), 1)),
            _full(b"stsz", struct.pack(">2I", 0, len(samples)), *(_word(len(sample)) for sample in samples)),
            _full(b"stco", struct.pack(">2I", 1, offset)),
        )
        media = _box(b"mdia", mdhd, hdlr, _box(b"minf", vmhd, dinf, stbl))
        moov = _box(b"moov", mvhd, _box(b"trak", tkhd, media))
        if len(moov) == moov_size:
            return ftyp + moov + _box(b"mdat", *samples)
        moov_size = len(moov)


def _jpeg(frame: Image.Image) -> bytes:
    out = io.BytesIO()
    frame.convert("RGB").save(out, "JPEG", quality=88)
    return out.getvalue()


def _entry(width: int, height: int) -> bytes:
    decoder = struct.pack(">BBBHII", 0x6C, 0x11, 0, 0, 0, 0)
    stream = _tag(3, struct.pack(">HB", 1, 0), _tag(4, decoder), _tag(6, b"\x02"))
    head = struct.pack(">6xH16xHHIIIH32sHh", 1, width, height, 72 << 16, 72 << 16, 0, 1, b"", 24, -1)
    return _box(b"mp4v", head, _full(b"esds", stream))


def _tag(kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((kind, len(body))) + body


def _word(value: int) -> bytes:
    return struct.pack(">I", value)


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + kind + body


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(kind, _word(flags), *parts)
