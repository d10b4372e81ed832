"""A file as pieces of another one, so that it is changed without being read whole, whatever its size."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO, TypeAlias

from msgspec import Struct

COPIED_AT_ONCE = 2**20
"""Bytes that are copied at once."""


class Keep(Struct, frozen=True):
    """The bytes of the source from `start` up to, but not including, `end`."""

    start: int
    end: int


class Zeros(Struct, frozen=True):
    """`count` zero bytes."""

    count: int


Piece: TypeAlias = Keep | Zeros | bytes


class View:
    """The file that `pieces` of an open `file` make up, for parsers: they read it as if it were written already."""

    def __init__(self, file: BinaryIO, pieces: Sequence[Piece]) -> None:
        self._file = file
        self._pieces = pieces
        self._starts = [0, *accumulate(map(_length, pieces))]
        self.size = self._starts[-1]
        """Its size in bytes."""

    def read(self, at: int, count: int) -> bytes:
        """Up to `count` bytes at this offset; fewer at the end of the file. Raises `OSError`."""
        made: list[bytes] = []
        for piece in self.part(at, min(at + count, self.size)):
            match piece:
                case Keep(start=start, end=end):
                    self._file.seek(start)
                    made.append(self._file.read(end - start))
                case Zeros(count=zeros):
                    made.append(bytes(zeros))
                case _:
                    made.append(piece)
        return b"".join(made)

    def number(self, at: int, count: int) -> int:
        """The big-endian number in `count` bytes at this offset. Raises `ValueError` beyond the end of the file."""
        data = self.read(at, count)
        if len(data) < count:
            raise ValueError(at)
        return int.from_bytes(data)

    def part(self, start: int, end: int) -> Iterator[Piece]:
        """The bytes from `start` up to, but not including, `end`, as far as there are any, as pieces of the file."""
        index = bisect_right(self._starts, start) - 1
        while start < end and index < len(self._pieces):
            offset = start - self._starts[index]
            count = min(end, self._starts[index + 1]) - start
            match self._pieces[index]:
                case Keep(start=kept):
                    yield Keep(kept + offset, kept + offset + count)
                case Zeros():
                    yield Zeros(count)
                case data:
                    yield data[offset : offset + count]
            start += count
            index += 1

    def resolve(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Pieces of this view as pieces of the file itself; neighbours that can be one are one."""
        made: list[Piece] = []
        for piece in pieces:
            for part in self.part(piece.start, piece.end) if isinstance(piece, Keep) else (piece,):
                last = made[-1] if made else None
                if isinstance(part, Keep) and isinstance(last, Keep) and last.end == part.start:
                    made[-1] = Keep(last.start, part.end)
                else:
                    made.append(part)
        return made


def size_of(pieces: Iterable[Piece]) -> int:
    """The size in bytes of the file that these pieces make up."""
    return sum(map(_length, pieces))


def write(source: Path, target: Path, pieces: Iterable[Piece]) -> None:
    """Write the pieces to `target` in small portions. Raises `OSError`."""
    with source.open("rb") as file, target.open("wb") as made:
        for piece in pieces:
            if isinstance(piece, bytes):
                made.write(piece)
                continue
            left = _length(piece)
            if isinstance(piece, Keep):
                file.seek(piece.start)
            while left:
                count = min(left, COPIED_AT_ONCE)
                data = file.read(count) if isinstance(piece, Keep) else bytes(count)
                if not data:
                    raise OSError("the file became shorter")
                made.write(data)
                left -= len(data)


def _length(piece: Piece) -> int:
    match piece:
        case Keep(start=start, end=end):
            return end - start
        case Zeros(count=count):
            return count
        case _:
            return len(piece)
