"""Removes metadata from results: ComfyUI writes the whole workflow into what it saves, and not everybody shares it.

No picture is encoded again: only the parts of the file that hold metadata are removed. Unknown parts stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.media_worker.containers import (
    FLAC,
    PNG,
    RIFF,
    Part,
    as_free_box,
    boxes,
    container_of,
    is_xmp_box,
    jpeg_segments,
    png_chunks,
    webp_chunks,
)
from app.media_worker.pieces import Keep, Piece, View, Zeros, size_of

PNG_METADATA = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"})
WEBP_METADATA = frozenset({b"EXIF", b"XMP "})
WEBP_FLAGS = 0b0000_1100
"""The bits of VP8X that announce these chunks."""
JPEG_METADATA = frozenset({b"\xe1", b"\xed", b"\xfe"})
"""APP1 (Exif, XMP), APP13 (Photoshop), comments. Colours (APP2, APP14) stay."""
FLAC_METADATA = frozenset({2, 4, 6})
"""APPLICATION, VORBIS_COMMENT, PICTURE (https://www.rfc-editor.org/rfc/rfc9639#section-8.1)."""
MP4_METADATA = frozenset({b"udta", b"meta"})
SEGMENT, TAGS, VOID = b"\x18\x53\x80\x67", b"\x12\x54\xc3\x67", 0xEC
"""EBML ids: the segment (the whole film), its tags, and Void, an element without meaning
(https://www.rfc-editor.org/rfc/rfc8794#section-11.3.2)."""


def plan(view: View) -> list[Piece]:
    """The pieces that make up the same file without metadata: PNG, JPEG, WebP, MP4, WebM, FLAC, MP3.

    A file of another kind, or one that cannot be parsed to its end, stays as it is. Raises `OSError`.
    """
    try:
        return view.resolve(_pieces(view))
    except (IndexError, ValueError):
        return view.resolve([Keep(0, view.size)])


def _pieces(view: View) -> Iterator[Piece]:
    match container_of(view.read(0, 12)):
        case "png":
            return _png(view)
        case "jpeg":
            return _jpeg(view)
        case "webp":
            return _webp(view)
        case "mp4":
            return _blanked(view, _metadata_boxes(view, boxes(view, 0, view.size)))
        case "webm":
            return _blanked(view, _elements(view))
        case "flac":
            return _flac(view)
        case "mp3":
            return _mp3(view)
        case "gif" | "heif" | "other":
            return iter((Keep(0, view.size),))


def _png(view: View) -> Iterator[Piece]:
    yield Keep(0, len(PNG))
    for chunk in png_chunks(view):
        if chunk.kind not in PNG_METADATA:
            yield Keep(chunk.start, chunk.end)


def _jpeg(view: View) -> Iterator[Piece]:
    yield Keep(0, 2)
    for segment in jpeg_segments(view):
        if segment.kind not in JPEG_METADATA:
            yield Keep(segment.start, segment.end)


def _webp(view: View) -> Iterator[Piece]:
    kept: list[Piece] = []
    for chunk in webp_chunks(view, view.size):
        end = min(chunk.end, view.size)
        if chunk.kind == b"VP8X":
            flags = view.number(chunk.body, 1) & ~WEBP_FLAGS & 0xFF
            kept += [Keep(chunk.start, chunk.body), bytes([flags]), Keep(chunk.body + 1, end)]
        elif chunk.kind not in WEBP_METADATA:
            kept.append(Keep(chunk.start, end))
    yield RIFF + (4 + size_of(kept)).to_bytes(4, "little") + b"WEBP"
    yield from kept


def _flac(view: View) -> Iterator[Piece]:
    yield Keep(0, len(FLAC))
    blocks: list[tuple[int, int, int]] = []
    at, last = len(FLAC), False
    while not last:
        first, length = view.number(at, 1), view.number(at + 1, 3)
        last, kind = bool(first & 0x80), first & 0x7F
        end = at + 4 + length
        if end > view.size:
            raise ValueError(at)
        if kind not in FLAC_METADATA:
            blocks.append((kind, at, end))
        at = end
    for number, (kind, start, end) in enumerate(blocks, 1):
        yield bytes([kind | (0x80 if number == len(blocks) else 0)])
        yield Keep(start + 1, end)
    yield Keep(at, view.size)


def _mp3(view: View) -> Iterator[Piece]:
    """The file without ID3v2 at the beginning (https://id3.org/id3v2.4.0-structure) and ID3v1 at the end."""
    head = view.read(0, 10)
    length = 0
    for seven_bits in head[6:10]:
        length = length << 7 | seven_bits & 0x7F
    start = 10 + length + (10 if head[5] & 0x10 else 0)
    end = view.size
    if end >= start + 128 and view.read(end - 128, 3) == b"TAG":
        end -= 128
    if start > end:
        raise ValueError(start)
    yield Keep(start, end)


def _blanked(view: View, ranges: Iterator[tuple[int, int, bytes]]) -> Iterator[Piece]:
    """The file with ranges overwritten: each has its start, its end, and its new head, which zeros follow.

    Nothing moves, so every offset in the file stays right.
    """
    at = 0
    for start, end, head in ranges:
        yield Keep(at, start)
        yield head
        yield Zeros(end - start - len(head))
        at = end
    yield Keep(at, view.size)


def _metadata_boxes(view: View, parts: Iterator[Part]) -> Iterator[tuple[int, int, bytes]]:
    """The metadata boxes of an MP4, with the heads that turn them into `free` boxes."""
    for box in parts:
        if box.kind in MP4_METADATA or is_xmp_box(view, box):
            yield box.start, box.end, as_free_box(view, box)
        elif box.kind in {b"moov", b"trak"}:
            yield from _metadata_boxes(view, boxes(view, box.body, box.end))


def _elements(view: View) -> Iterator[tuple[int, int, bytes]]:
    """The tags of a WebM, with the head that turns them into a Void element."""
    at, end = 0, view.size
    while at < end:
        start = at
        id_length = 9 - view.number(at, 1).bit_length()
        kind = view.read(at, id_length)
        at += id_length
        size_length = 9 - view.number(at, 1).bit_length()
        size = view.number(at, size_length) & (1 << 7 * size_length) - 1
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
