"""Writes FLAC files: a real tone, stored verbatim, as the format allows."""

from __future__ import annotations

import hashlib
import math
import struct
from functools import cache

RATE = 8000
"""Samples per second: low, to keep the files small; the tone's frequency is lower still."""

_BLOCK = 4096
_LONGEST = 10.0
"""Seconds after which a longer sound is cut off."""


def encode(seconds: float, pitch: float = 440.0) -> bytes:
    """Encode a mono tone of 16 bits that fades out."""
    count = max(_BLOCK, round(min(seconds, _LONGEST) * RATE))
    samples = [round(9000 * (1 - n / count) * math.sin(math.tau * pitch * n / RATE)) for n in range(count)]
    digest = hashlib.md5(struct.pack(f"<{count}h", *samples), usedforsecurity=False).digest()
    shape = RATE << 44 | 0 << 41 | 15 << 36 | count
    info = struct.pack(">HH6s", _BLOCK, _BLOCK, b"") + shape.to_bytes(8, "big") + digest
    out = bytearray(b"fLaC" + struct.pack(">I", 0x80 << 24 | len(info)) + info)
    for number, start in enumerate(range(0, count, _BLOCK)):
        out += _frame(number, samples[start : start + _BLOCK])
    return bytes(out)


def _frame(number: int, samples: list[int]) -> bytes:
    # Fixed blocks, 16 bits of block size at the end of the header, 8 kHz, mono, 16 bits.
    head = b"\xff\xf8\x74\x08" + _utf8(number) + struct.pack(">H", len(samples) - 1)
    head += bytes((_crc(head, 0x07, 8),))
    # One subframe: verbatim, no wasted bits.
    frame = head + b"\x02" + struct.pack(f">{len(samples)}h", *samples)
    return frame + struct.pack(">H", _crc(frame, 0x8005, 16))


def _utf8(number: int) -> bytes:
    return chr(number).encode()


def _crc(data: bytes, polynomial: int, width: int) -> int:
    table, value, mask = _table(polynomial, width), 0, (1 << width) - 1
    for byte in data:
        value = (value << 8 & mask) ^ table[value >> (width - 8) ^ byte]
    return value


@cache
def _table(polynomial: int, width: int) -> list[int]:
    table: list[int] = []
    for byte in range(256):
        value = byte << (width - 8)
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> (width - 1) else 0)
            value &= (1 << width) - 1
        table.append(value)
    return table
