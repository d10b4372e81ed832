"""Limits on what is read of a server's answer: bytes, values, depth and time.

The server, or something between it and us, may be faulty: an answer without end, one that unpacks to a thousand times
its size, or one byte every four seconds must not exhaust our memory or block a slot for ever.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

ANSWER_BYTES = 64 * 2**20
"""Bytes of one JSON answer, both compressed and uncompressed.

The list of all nodes is a few MB, and up to 60 MB on servers with very many models. The queue holds the graphs of all
prompts; a large one has 500 kB.
"""

ANSWER_VALUES = 4_000_000
"""Values in one JSON answer. A value takes about 80 bytes in memory, which is up to 40 times its size in JSON."""

ANSWER_DEPTH = 64
"""Levels of JSON that is passed on as it is. Node definitions have about ten levels; code that walks them recurses."""

ANSWER_SECONDS = 60.0
"""Seconds for one whole answer, from the request to its last byte. A pause within it has its own, shorter limit."""

LARGE = 4 * 2**20
"""Bytes above which an answer takes one of few slots, so that 32 concurrent answers cannot use 32 times the limit."""

LARGE_AT_ONCE = 4
"""Number of slots for large answers, for each server."""

RESULT_BYTES = 2**30
"""Bytes of one downloaded file, unless the caller sets another limit: minutes of video in high quality."""

RESULT_SECONDS = 3600.0
"""Seconds for one whole file."""

SLOWEST = 8 * 2**10
"""Bytes per second below which a transfer is given up. Sixteen downloads that share 1 Mbit/s have 8 kB/s each."""

SLOWEST_OVER = 30.0
"""Seconds over which the rate is measured: as long as a server may pause."""

PIECE = 2**20
"""Bytes that are decompressed at once."""


class TooLarge(Exception):
    """An answer has more bytes than allowed; `limit` is in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


class Unreadable(Exception):
    """An answer is compressed in a way that was not requested, or its compression is invalid."""


def length(headers: Mapping[str, str]) -> int | None:
    """The length of the body in bytes; None if the header does not give it (because it is compressed, for example)."""
    header = headers.get("content-length", "")
    # More than 18 digits cannot be a length, and Python refuses to convert more than 4,300.
    plain = header.isascii() and header.isdigit() and len(header) <= 18
    return int(header) if plain and "content-encoding" not in headers else None


def unpacker(headers: Mapping[str, str]) -> Unpacker | None:
    """The decompressor for a body; None if it is not compressed. Raises `Unreadable`.

    Several layers of compression are refused, because each may grow a thousandfold.
    """
    match headers.get("content-encoding", "").strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return Unpacker()
        case coding:
            raise Unreadable(f"compressed as {coding[:40]}")


class Unpacker:
    """Decompresses gzip in pieces of at most `PIECE` bytes. Raises `Unreadable` for what is not gzip."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def unpack(self, data: bytes) -> Iterator[bytes]:
        """Yield the pieces that these bytes add."""
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
        """Whether the end of the compressed data was reached."""
        return self._inflate.eof


class Pace(Struct):
    """Measures whether a transfer is fast enough. Times are in seconds of the caller's clock."""

    since: float
    size: int = 0

    def is_too_slow(self, now: float, added: int) -> bool:
        """Count bytes that just arrived; return True if the last `SLOWEST_OVER` seconds brought too few."""
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
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


def check_depth(content: bytes) -> None:
    """Raise `msgspec.DecodeError` for JSON of more than `ANSWER_DEPTH` levels.

    Strings and everything else except brackets are removed; then each round removes the innermost level.
    """
    if content.count(b"[") + content.count(b"{") <= ANSWER_DEPTH:
        return
    marks = content.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_ONE_KIND, _NO_STRUCTURE)
    brackets = b"".join(marks.split(b'"')[::2])
    for _ in range(ANSWER_DEPTH):
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise msgspec.DecodeError(f"JSON has more than {ANSWER_DEPTH} levels")
