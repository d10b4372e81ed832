"""How much of a server's answer is read: bytes, values, depth and time, in one place.

A server may be wrong, and so may what stands between it and us: an answer without end, one that unpacks to a
thousand times its size, or one byte in four seconds must not take our memory or a place in the queue for ever.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

ANSWER_BYTES = 64 * 2**20
"""For one JSON answer, packed and unpacked. The list of all nodes is a few MB, and up to 60 MB on servers with very
many models. The queue holds the graphs of all prompts, of which a large one has 500 kB."""

ANSWER_VALUES = 4_000_000
"""Values in one JSON answer. In memory a value takes about 80 bytes, which is up to 40 times as much as in JSON."""

ANSWER_DEPTH = 64
"""Levels of JSON in what is passed on. Node definitions have about ten; whoever walks through them recurses."""

ANSWER_SECONDS = 60.0
"""For one answer as a whole, from the question to its last byte. A pause within it has a shorter limit of its own."""

LARGE = 4 * 2**20
"""Bytes above which an answer takes one of few places, so that 32 answers at once cannot take 32 times the limit."""

LARGE_AT_ONCE = 4
"""Such places for each server."""

RESULT_BYTES = 2**30
"""For one file that is downloaded, unless the configuration says otherwise: minutes of video in high quality."""

RESULT_SECONDS = 3600.0
"""For one file as a whole."""

SLOWEST = 8 * 2**10
"""Bytes a second, below which a transfer is given up. Sixteen downloads that share 1 Mbit/s have 8 kB/s each."""

SLOWEST_OVER = 30.0
"""Seconds over which that is measured: as long as a server may pause."""

PIECE = 2**20
"""Bytes that are unpacked at once."""


class TooLarge(Exception):
    """An answer has more bytes than it may have; the limit is the argument, in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


class Unreadable(Exception):
    """An answer is packed in a way that was not asked for, or wrongly."""


def length(headers: Mapping[str, str]) -> int | None:
    """How many bytes the body has, where the header means just that."""
    told = headers.get("content-length", "")
    # More than 18 digits are no length of anything, and from 4,300 on Python refuses to read them.
    plain = told.isascii() and told.isdigit() and len(told) <= 18
    return int(told) if plain and "content-encoding" not in headers else None


def unpacker(headers: Mapping[str, str]) -> Unpacker | None:
    """What undoes the compression of a body; None where there is none. Raises `Unreadable`.

    Several layers are refused: each may grow a thousandfold.
    """
    match headers.get("content-encoding", "").strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return Unpacker()
        case coding:
            raise Unreadable(f"compressed as {coding[:40]}")


class Unpacker:
    """Unpacks gzip in pieces of at most `PIECE` bytes. Raises `Unreadable` for what is not gzip."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """The pieces that these bytes add."""
        while data and not self._inflate.eof:
            try:
                piece = self._inflate.decompress(data, PIECE)
            except zlib.error as error:
                raise Unreadable(str(error)) from error
            data = self._inflate.unconsumed_tail
            if piece:
                yield piece

    @property
    def ended(self) -> bool:
        """Whether the end of the compressed data was there."""
        return self._inflate.eof


class Pace(Struct):
    """Whether a transfer goes on fast enough. Times in seconds of the caller's clock."""

    since: float
    size: int = 0

    def is_too_slow(self, now: float, added: int) -> bool:
        """Count bytes that came just now; true where `SLOWEST_OVER` brought too few."""
        self.size += added
        if now - self.since < SLOWEST_OVER:
            return False
        too_slow = self.size < SLOWEST * (now - self.since)
        self.since, self.size = now, 0
        return too_slow


def check_values(content: bytes) -> None:
    """Raise `msgspec.DecodeError` for JSON of more than `ANSWER_VALUES` values."""
    if len(content) > ANSWER_VALUES and sum(map(content.count, (b",", b"[", b"{"))) > ANSWER_VALUES:
        raise msgspec.DecodeError(f"JSON has more than {ANSWER_VALUES} values")


_NO_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))


def check_depth(content: bytes) -> None:
    """Raise `msgspec.DecodeError` for JSON of more than `ANSWER_DEPTH` levels.

    Without strings and everything else that is no bracket, each round takes away the innermost level.
    """
    if content.count(b"[") + content.count(b"{") <= ANSWER_DEPTH:
        return
    marks = content.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NO_STRUCTURE)
    brackets = b"".join(marks.split(b'"')[::2])
    for _ in range(ANSWER_DEPTH):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise msgspec.DecodeError(f"JSON has more than {ANSWER_DEPTH} levels")
