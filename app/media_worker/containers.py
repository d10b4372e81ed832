"""The parts of picture and video files, by their heads alone: nothing is decoded.

A truncated file has a last part that ends beyond the file; a caller that minds compares it with the size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from msgspec import Struct

from app.media_worker.pieces import View

PNG, JPEG, RIFF, EBML, FLAC, ID3 = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"RIFF", b"\x1a\x45\xdf\xa3", b"fLaC", b"ID3"
GIF = (b"GIF87a", b"GIF89a")
"""The first bytes of the file formats."""

Container: TypeAlias = Literal["png", "jpeg", "webp", "gif", "mp4", "heif", "webm", "flac", "mp3", "other"]
"""A file format: "mp4" includes MOV, "heif" AVIF, "webm" Matroska."""

HEIF_BRANDS = frozenset({b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix"})
"""Brands of picture files that begin as MP4 does."""

JPEG_FILL, JPEG_SCAN = b"\xff", b"\xda"
JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""

XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
"""The type of the `uuid` box of MP4 that holds XMP (XMP Specification Part 3,
https://github.com/adobe/XMP-Toolkit-SDK/tree/main/docs)."""

WINDOW = 2**16
"""Bytes of a GIF that are read at once."""

LONGEST_SUB_BLOCK = 255
"""Bytes of a GIF's sub-block, at most."""


class Part(Struct, frozen=True):
    """One part of a container, from `start` up to, but not including, `end`; its content begins at `body`."""

    kind: bytes
    start: int
    body: int
    end: int


def container_of(start: bytes) -> Container:
    """The format of a file by its first twelve bytes."""
    if start.startswith(PNG):
        return "png"
    if start.startswith(JPEG):
        return "jpeg"
    if start.startswith(RIFF) and start[8:12] == b"WEBP":
        return "webp"
    if start.startswith(GIF):
        return "gif"
    if start[4:8] == b"ftyp":
        return "heif" if start[8:12] in HEIF_BRANDS else "mp4"
    if start.startswith(EBML):
        return "webm"
    if start.startswith(FLAC):
        return "flac"
    return "mp3" if start.startswith(ID3) else "other"


def png_chunks(view: View) -> Iterator[Part]:
    """The chunks of a PNG up to IEND: readers ignore what follows it."""
    at = len(PNG)
    while at < view.size:
        head = view.read(at, 8)
        chunk = Part(head[4:], at, at + 8, at + 12 + int.from_bytes(head[:4]))
        yield chunk
        if chunk.kind == b"IEND":
            return
        at = chunk.end


def jpeg_segments(view: View) -> Iterator[Part]:
    """The segments of a JPEG by their markers. The last one has the picture data, up to the end of the file.

    Raises `ValueError` where there is none.
    """
    at = len(JPEG)
    while True:
        head = view.read(at, 2)
        if len(head) < 2 or head[0] != 0xFF:
            raise ValueError(at)
        kind = head[1:]
        if kind == JPEG_SCAN:
            yield Part(kind, at, at + 2, view.size)
            return
        if kind == JPEG_FILL:
            segment = Part(kind, at, at + 1, at + 1)
        elif kind[0] in JPEG_BARE:
            segment = Part(kind, at, at + 2, at + 2)
        else:
            segment = Part(kind, at, at + 4, at + 2 + view.number(at + 2, 2))
        yield segment
        at = segment.end


def webp_chunks(view: View, end: int) -> Iterator[Part]:
    """The chunks of a WebP up to `end`, each with its padding. Raises `ValueError` for half a head."""
    at = 12
    while at < end:
        head = view.read(at, 8)
        if len(head) < 8:
            raise ValueError(at)
        length = int.from_bytes(head[4:], "little")
        chunk = Part(head[:4], at, at + 8, at + 8 + length + length % 2)
        yield chunk
        at = chunk.end


def webp_picture(view: View, chunk: Part) -> tuple[int, int, bool]:
    """The width and height of a WebP without VP8X, and whether it has alpha. Raises `ValueError` for no picture."""
    head = view.read(chunk.body, 10)
    if chunk.kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
        # https://www.rfc-editor.org/rfc/rfc6386#section-9.1: 14 bits each, and two bits for scaling.
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return width, height, False
    if chunk.kind == b"VP8L" and head[:1] == b"\x2f":
        # https://www.rfc-editor.org/rfc/rfc9649#section-3.4: 14 bits each, both less one, and whether alpha is used.
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    raise ValueError(chunk.kind)


def gif_blocks(view: View) -> Iterator[Part]:
    """The blocks of a GIF: its head, each extension with its label ("!…"), each picture (","), and the end (";").

    Raises `ValueError` for anything else.
    """
    at = 13 + _colours(view.number(10, 1))
    yield Part(b"GIF", 0, 6, at)
    while True:
        start, kind = at, view.read(at, 1)
        if kind == b";":
            yield Part(kind, at, at + 1, view.size)
            return
        if kind == b"!":
            kind += view.read(at + 1, 1)
            body = at + 2
        elif kind == b",":
            # The descriptor, the picture's own colours, and the size of its codes.
            body = at + 10 + _colours(view.number(at + 9, 1)) + 1
        else:
            raise ValueError(at)
        at = _after_sub_blocks(view, body)
        yield Part(kind, start, body, at)


def _colours(flags: int) -> int:
    """The bytes of a colour table that these flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_sub_blocks(view: View, at: int) -> int:
    """The offset behind a chain of sub-blocks. Raises `ValueError` if it does not end within the file."""
    while window := view.read(at, WINDOW):
        index = 0
        try:
            while length := window[index]:
                if length == LONGEST_SUB_BLOCK:
                    # Encoders write almost only these: skip all that follow each other at once.
                    lengths = window[index :: 1 + length]
                    index += (1 + length) * (len(lengths) - len(lengths.lstrip(b"\xff")))
                else:
                    index += 1 + length
            return at + index + 1
        except IndexError:
            # The chain goes on behind the window.
            at += index
    raise ValueError(at)


def boxes(view: View, at: int, end: int) -> Iterator[Part]:
    """The boxes of an MP4 between two offsets. One without a length extends to `end`. Raises `ValueError`."""
    while at + 8 <= end:
        head = view.read(at, 16)
        length, kind, body = int.from_bytes(head[:4]), head[4:8], 8
        if length == 1:
            length, body = int.from_bytes(head[8:16]), 16
        elif length == 0:
            length = end - at
        if length < body or at + length > end:
            raise ValueError(at)
        yield Part(kind, at, at + body, at + length)
        at += length


def is_xmp_box(view: View, box: Part) -> bool:
    """Whether a box of an MP4 holds XMP."""
    return box.kind == b"uuid" and view.read(box.body, 16) == XMP_BOX


def as_free_box(view: View, box: Part) -> bytes:
    """The head that turns a box of an MP4 into free space of the same size."""
    head = view.read(box.start, box.body - box.start)
    return head[:4] + b"free" + head[8:]
