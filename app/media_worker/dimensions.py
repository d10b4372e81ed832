"""Reads the width and height that a picture or video states, by its headers alone: nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from app.media_worker.containers import (
    Part,
    boxes,
    container_of,
    jpeg_segments,
    png_chunks,
    webp_chunks,
    webp_picture,
)
from app.media_worker.pieces import Keep, View
from app.media_worker.protocol import LARGEST_SIDE, Dimensions

MOST_PARTS = 2_000
"""Parts that are looked at on each level of a file: a header comes before everything large."""

JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers of the segments that state the size (https://www.w3.org/Graphics/JPEG/itu-t81.pdf, table B.1)."""

TRACK_WIDTH = {0: 76, 1: 88}
"""Where a `tkhd` box states its width, by its version, and the height behind it: 16.16 fixed point
(ISO/IEC 14496-12, 8.3.2)."""


def read_dimensions(source: Path) -> Dimensions | None:
    """The pixels that a file states: PNG, JPEG, WebP, GIF, MP4, MOV.

    None if it is of another kind, damaged, or cannot be read, and if it states 0 or more than `LARGEST_SIDE`.
    """
    try:
        with source.open("rb") as file:
            width, height = _dimensions(View(file, [Keep(0, source.stat().st_size)])) or (0, 0)
    except (OSError, IndexError, ValueError, OverflowError):
        return None
    return (width, height) if 0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE else None


def _dimensions(view: View) -> tuple[int, int] | None:
    match container_of(view.read(0, 12)):
        case "png":
            return _png(view)
        case "jpeg":
            return _jpeg(view)
        case "webp":
            return _webp(view)
        case "gif":
            return _little(view, 6, 2), _little(view, 8, 2)
        case "mp4":
            return _mp4(view)
        case "heif" | "webm" | "flac" | "mp3" | "other":
            return None


def _little(view: View, at: int, count: int) -> int:
    """The little-endian number in `count` bytes at this offset. Raises `ValueError` beyond the end of the file."""
    if len(data := view.read(at, count)) < count:
        raise ValueError(at)
    return int.from_bytes(data, "little")


def _png(view: View) -> tuple[int, int] | None:
    for head in islice(png_chunks(view), 1):
        if head.kind == b"IHDR":
            return view.number(head.body, 4), view.number(head.body + 4, 4)
    return None


def _jpeg(view: View) -> tuple[int, int] | None:
    for segment in islice(jpeg_segments(view), MOST_PARTS):
        if segment.kind[0] in JPEG_FRAMES:
            return view.number(segment.body + 3, 2), view.number(segment.body + 1, 2)
    return None


def _webp(view: View) -> tuple[int, int] | None:
    for head in islice(webp_chunks(view, view.size), 1):
        if head.kind == b"VP8X":
            return 1 + _little(view, head.body + 4, 3), 1 + _little(view, head.body + 7, 3)
        width, height, _ = webp_picture(view, head)
        return width, height
    return None


def _mp4(view: View) -> tuple[int, int] | None:
    """The size of the first track that has one: sounds have none."""
    for movie in _inside(view, b"moov", 0, view.size):
        for track in _inside(view, b"trak", movie.body, movie.end):
            for head in _inside(view, b"tkhd", track.body, track.end):
                at = head.body + TRACK_WIDTH.get(view.number(head.body, 1), view.size)
                width, height = view.number(at, 4) >> 16, view.number(at + 4, 4) >> 16
                if width and height:
                    return width, height
    return None


def _inside(view: View, kind: bytes, at: int, end: int) -> Iterator[Part]:
    return (box for box in islice(boxes(view, at, end), MOST_PARTS) if box.kind == kind)
