"""Removes metadata from results: ComfyUI writes the whole workflow into what it saves, and not everybody shares it.

No picture is encoded again: only the parts of the file that hold metadata are removed. A file is read part by part, so
its size does not matter. Unknown parts stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from msgspec import Struct

PNG, JPEG, RIFF, EBML, FLAC, ID3 = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"RIFF", b"\x1a\x45\xdf\xa3", b"fLaC", b"ID3"
"""The first bytes of the file formats."""

PNG_METADATA = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"})
WEBP_METADATA = frozenset({b"EXIF", b"XMP "})
WEBP_FLAGS = 0b0000_1100
"""The bits of VP8X that announce these chunks."""
JPEG_METADATA = frozenset({0xE1, 0xED, 0xFE})
"""APP1 (Exif, XMP), APP13 (Photoshop), comments. Colours (APP2, APP14) stay."""
JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""
FLAC_METADATA = frozenset({2, 4, 6})
"""APPLICATION, VORBIS_COMMENT, PICTURE (https://www.rfc-editor.org/rfc/rfc9639#section-8.1)."""
MP4_METADATA = frozenset({b"udta", b"meta"})
SEGMENT, TAGS, VOID = b"\x18\x53\x80\x67", b"\x12\x54\xc3\x67", 0xEC
"""EBML ids: the segment (the whole film), its tags, and Void, an element without meaning
(https://www.rfc-editor.org/rfc/rfc8794#section-11.3.2)."""

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


def plan(source: Path) -> list[Piece]:
    """The pieces that make up the same file without metadata: PNG, JPEG, WebP, MP4, WebM, FLAC, MP3.

    A file of another kind, or one that cannot be parsed to its end, is one piece. Raises `OSError`.
    """
    with source.open("rb") as file:
        size = file.seek(0, 2)
        start = _read(file, 0, 12)
        try:
            return _merged(_pieces(file, start, size))
        except (IndexError, ValueError):
            return [Keep(0, size)]


def size_of(pieces: list[Piece]) -> int:
    """The size in bytes of the file that these pieces make up."""
    return sum(_length(piece) for piece in pieces)


def write(source: Path, target: Path, pieces: list[Piece]) -> None:
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


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _number(file: BinaryIO, at: int, count: int) -> int:
    data = _read(file, at, count)
    if len(data) < count:
        raise ValueError(at)
    return int.from_bytes(data)


def _merged(pieces: Iterator[Piece]) -> list[Piece]:
    made: list[Piece] = []
    for piece in pieces:
        last = made[-1] if made else None
        if isinstance(piece, Keep) and isinstance(last, Keep) and last.end == piece.start:
            made[-1] = Keep(last.start, piece.end)
        else:
            made.append(piece)
    return made


def _pieces(file: BinaryIO, start: bytes, size: int) -> Iterator[Piece]:
    if start.startswith(PNG):
        return _png(file, size)
    if start.startswith(JPEG):
        return _jpeg(file, size)
    if start.startswith(RIFF) and start[8:12] == b"WEBP":
        return _webp(file, size)
    if start[4:8] == b"ftyp":
        return _blanked(size, _boxes(file, 0, size))
    if start.startswith(EBML):
        return _blanked(size, _elements(file, size))
    if start.startswith(FLAC):
        return _flac(file, size)
    if start.startswith(ID3):
        return _mp3(file, size)
    return iter((Keep(0, size),))


def _png(file: BinaryIO, size: int) -> Iterator[Piece]:
    yield Keep(0, len(PNG))
    at = len(PNG)
    while at < size:
        head = _read(file, at, 8)
        # In a truncated file the last chunk is shorter than its length field says.
        end = min(at + 12 + int.from_bytes(head[:4]), size)
        if head[4:] not in PNG_METADATA:
            yield Keep(at, end)
        if head[4:] == b"IEND":
            # Readers ignore what follows IEND.
            return
        at = end


def _jpeg(file: BinaryIO, size: int) -> Iterator[Piece]:
    yield Keep(0, 2)
    at = 2
    while True:
        head = _read(file, at, 2)
        if len(head) < 2 or head[0] != 0xFF:
            raise ValueError(at)
        kind = head[1]
        if kind == 0xDA:
            # The picture data, up to the end of the file.
            yield Keep(at, size)
            return
        if kind == 0xFF:
            end = at + 1
        elif kind in JPEG_BARE:
            end = at + 2
        else:
            end = at + 2 + _number(file, at + 2, 2)
        if kind not in JPEG_METADATA:
            yield Keep(at, end)
        at = end


def _webp(file: BinaryIO, size: int) -> Iterator[Piece]:
    kept: list[Piece] = []
    at = 12
    while at < size:
        head = _read(file, at, 9)
        if len(head) < 8:
            raise ValueError(at)
        kind, length = head[:4], int.from_bytes(head[4:8], "little")
        end = min(at + 8 + length + length % 2, size)
        if kind == b"VP8X":
            kept += [Keep(at, at + 8), bytes([head[8] & ~WEBP_FLAGS & 0xFF]), Keep(at + 9, end)]
        elif kind not in WEBP_METADATA:
            kept.append(Keep(at, end))
        at = end
    yield RIFF + (4 + size_of(kept)).to_bytes(4, "little") + b"WEBP"
    yield from kept


def _flac(file: BinaryIO, size: int) -> Iterator[Piece]:
    yield Keep(0, len(FLAC))
    blocks: list[tuple[int, int, int]] = []
    at, last = len(FLAC), False
    while not last:
        first, length = _number(file, at, 1), _number(file, at + 1, 3)
        last, kind = bool(first & 0x80), first & 0x7F
        end = at + 4 + length
        if end > size:
            raise ValueError(at)
        if kind not in FLAC_METADATA:
            blocks.append((kind, at, end))
        at = end
    for number, (kind, start, end) in enumerate(blocks, 1):
        yield bytes([kind | (0x80 if number == len(blocks) else 0)])
        yield Keep(start + 1, end)
    yield Keep(at, size)


def _mp3(file: BinaryIO, size: int) -> Iterator[Piece]:
    """The file without ID3v2 at the beginning (https://id3.org/id3v2.4.0-structure) and ID3v1 at the end."""
    head = _read(file, 0, 10)
    length = 0
    for seven_bits in head[6:10]:
        length = length << 7 | seven_bits & 0x7F
    start = 10 + length + (10 if head[5] & 0x10 else 0)
    end = size - 128 if size >= start + 128 and _read(file, size - 128, 3) == b"TAG" else size
    if start > end:
        raise ValueError(start)
    yield Keep(start, end)


def _blanked(size: int, found: Iterator[tuple[int, int, bytes]]) -> Iterator[Piece]:
    """The file with ranges overwritten: each has its start, its end, and its new head, which zeros follow.

    Nothing moves, so every offset in the file stays right.
    """
    at = 0
    for start, end, head in found:
        yield Keep(at, start)
        yield head
        yield Zeros(end - start - len(head))
        at = end
    yield Keep(at, size)


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """The metadata boxes of an MP4, with the heads that turn them into `free` boxes."""
    while at + 8 <= end:
        head = _read(file, at, 16)
        length, kind, body = int.from_bytes(head[:4]), head[4:8], 8
        if length == 1:
            length, body = int.from_bytes(head[8:16]), 16
        elif length == 0:
            return
        if length < body or at + length > end:
            raise ValueError(at)
        if kind in MP4_METADATA:
            yield at, at + length, head[:4] + b"free" + head[8:body]
        elif kind in {b"moov", b"trak"}:
            yield from _boxes(file, at + body, at + length)
        at += length


def _elements(file: BinaryIO, end: int) -> Iterator[tuple[int, int, bytes]]:
    """The tags of a WebM, with the head that turns them into a Void element."""
    at = 0
    while at < end:
        start = at
        id_length = 9 - _number(file, at, 1).bit_length()
        kind = _read(file, at, id_length)
        at += id_length
        size_length = 9 - _number(file, at, 1).bit_length()
        size = _number(file, at, size_length) & (1 << 7 * size_length) - 1
        body = at + size_length
        if kind == SEGMENT:
            at = body
            continue
        if size == (1 << 7 * size_length) - 1 or body + size > end:
            # An element of unknown length, as in live streams, or one that is cut off.
            return
        whole = body + size - start
        if kind == TAGS and whole >= 9:
            # One byte of id, and eight for the size.
            yield start, start + whole, bytes([VOID, 0x01]) + (whole - 9).to_bytes(7)
        at = body + size
