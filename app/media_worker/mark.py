"""Marks posted pictures and videos as made by a machine, for programs to read: the IPTC digital source type as XMP.

The mark is inserted between the parts of a file, so no picture is encoded again. It replaces XMP that is there already,
because readers expect one packet. AVIF, WebM, sounds and other files are not marked: they have no place for XMP that
readers look at, or none that can be added without moving what is encoded.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice

from app.media_worker.containers import (
    GIF,
    JPEG,
    JPEG_FILL,
    RIFF,
    XMP_BOX,
    Part,
    as_free_box,
    boxes,
    container_of,
    gif_blocks,
    is_xmp_box,
    jpeg_segments,
    png_chunks,
    webp_chunks,
    webp_picture,
)
from app.media_worker.pieces import Keep, Piece, View, Zeros, size_of

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for media that a trained model made (https://cv.iptc.org/newscodes/digitalsourcetype/)."""

PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    f' Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
).encode()
"""The mark (https://www.iptc.org/std/photometadata/specification/IPTC-PhotoMetadata#digital-source-type)."""

PNG_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
PNG_KEYWORD = b"XML:com.adobe.xmp\0"
PNG_KEYWORDS = (PNG_KEYWORD, b"Raw profile type xmp\0")
"""Keywords of texts that are XMP; ImageMagick writes the second."""

JPEG_HEADS = frozenset({b"\xe0", JPEG_FILL})
"""Segments that have to stay at the beginning: APP0, and the fill bytes before a marker. Exif as well."""
JPEG_EXIF = b"Exif\0\0"
JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
JPEG_XMPS = (JPEG_XMP, b"http://ns.adobe.com/xmp/extension/\0")

WEBP_ALPHA, WEBP_XMP = 0x10, 0x04
"""Bits of VP8X (https://www.rfc-editor.org/rfc/rfc9649#section-2.7)."""

GIF_APPLICATION = b"!\xff"
GIF_XMP = b"!\xff\x0bXMP DataXMP"
GIF_TRAILER = bytes([1, *range(255, -1, -1), 0])
"""Leads readers that take the packet for sub-blocks to its end, wherever they are in it (XMP Specification Part 3,
https://github.com/adobe/XMP-Toolkit-SDK/tree/main/docs)."""

MOST_PARTS = 20_000
"""Parts of a file; a file with more is not marked, because walking through it takes too long."""


def plan(view: View) -> list[Piece] | None:
    """The pieces that make up the same file with the mark: PNG, JPEG, WebP, GIF, MP4, MOV.

    None if it is of another kind, or damaged. Raises `OSError`.
    """
    try:
        pieces = _pieces(view)
        return None if pieces is None else view.resolve(pieces)
    except (IndexError, ValueError, OverflowError):
        return None


def marked(data: bytes) -> bytes:
    """A small file with the mark, or as it is if it cannot be marked."""
    view = View(io.BytesIO(data), [Keep(0, len(data))])
    pieces = plan(view)
    return data if pieces is None else View(io.BytesIO(data), pieces).read(0, size_of(pieces))


def _pieces(view: View) -> Iterator[Piece] | None:
    match container_of(view.read(0, 12)):
        case "png":
            return _png(view)
        case "jpeg":
            return _jpeg(view)
        case "webp":
            return _webp(view)
        case "gif":
            return _gif(view)
        case "mp4":
            return _mp4(view)
        case "heif" | "webm" | "flac" | "mp3" | "other":
            return None


def _checked(parts: Iterable[Part], end: int) -> list[Part]:
    """The parts of a file. Raises `ValueError` if they are too many, or do not end where they must."""
    made = list(islice(parts, MOST_PARTS + 1))
    if len(made) > MOST_PARTS or not made or made[-1].end > end:
        raise ValueError(len(made))
    return made


def _png(view: View) -> Iterator[Piece]:
    chunks = _checked(png_chunks(view), view.size)
    if chunks[0].kind != b"IHDR" or chunks[-1].kind != b"IEND":
        raise ValueError(chunks[0].kind)
    body = PNG_KEYWORD + bytes(4) + PACKET
    crc = zlib.crc32(b"iTXt" + body).to_bytes(4)
    yield Keep(0, chunks[0].end)
    yield len(body).to_bytes(4) + b"iTXt" + body + crc
    for chunk in chunks[1:]:
        if chunk.kind not in PNG_TEXTS or not view.read(chunk.body, 24).startswith(PNG_KEYWORDS):
            yield Keep(chunk.start, chunk.end)
    # Readers ignore what follows the last chunk, but it is not ours to remove.
    yield Keep(chunks[-1].end, view.size)


def _jpeg(view: View) -> Iterator[Piece]:
    segments = _checked(jpeg_segments(view), view.size)
    body = JPEG_XMP + PACKET
    at = 0
    while segments[at].kind in JPEG_HEADS or _is_app1(view, segments[at], JPEG_EXIF):
        at += 1
    if at and segments[at - 1].kind == JPEG_FILL:
        # Fill bytes belong to the marker behind them.
        at -= 1
    yield Keep(0, segments[at].start if at else len(JPEG))
    yield b"\xff\xe1" + (2 + len(body)).to_bytes(2) + body
    for segment in segments[at:]:
        if not _is_app1(view, segment, *JPEG_XMPS):
            yield Keep(segment.start, segment.end)


def _is_app1(view: View, segment: Part, *names: bytes) -> bool:
    return segment.kind == b"\xe1" and view.read(segment.body, 40).startswith(names)


def _webp(view: View) -> Iterator[Piece]:
    end = 8 + int.from_bytes(view.read(4, 4), "little")
    if end > view.size:
        raise ValueError(end)
    first, *rest = _checked(webp_chunks(view, end), end)
    if first.kind == b"VP8X":
        flags = view.number(first.body, 1) | WEBP_XMP
        kept: list[Piece] = [Keep(first.start, first.body), bytes([flags]), Keep(first.body + 1, first.end)]
    elif rest:
        raise ValueError(first.kind)
    else:
        kept = [_vp8x(view, first), Keep(first.start, first.end)]
    kept += [Keep(chunk.start, chunk.end) for chunk in rest if chunk.kind != b"XMP "]
    kept.append(_webp_chunk(b"XMP ", PACKET))
    yield RIFF + (4 + size_of(kept)).to_bytes(4, "little") + b"WEBP"
    yield from kept
    yield Keep(end, view.size)


def _vp8x(view: View, picture: Part) -> bytes:
    """The chunk that a WebP without one needs before it may have XMP. Raises `ValueError` for no picture."""
    width, height, has_alpha = webp_picture(view, picture)
    alpha = WEBP_ALPHA if has_alpha else 0
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _webp_chunk(b"VP8X", bytes([WEBP_XMP | alpha, 0, 0, 0]) + size)


def _webp_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)


def _gif(view: View) -> Iterator[Piece]:
    blocks = _checked(gif_blocks(view), view.size)
    at = 1
    # NETSCAPE2.0, which repeats an animation, has to come first for some readers.
    while blocks[at].kind == GIF_APPLICATION:
        at += 1
    head, *before = [block for block in blocks[:at] if not _is_gif_xmp(view, block)]
    # Only the newer version may have extensions; Pillow writes the older one for still pictures.
    yield GIF[1]
    yield Keep(head.body, head.end)
    yield from (Keep(block.start, block.end) for block in before)
    yield GIF_XMP + PACKET + GIF_TRAILER
    yield from (Keep(block.start, block.end) for block in blocks[at:] if not _is_gif_xmp(view, block))


def _is_gif_xmp(view: View, block: Part) -> bool:
    return block.kind == GIF_APPLICATION and view.read(block.start, len(GIF_XMP)) == GIF_XMP


def _mp4(view: View) -> Iterator[Piece]:
    parts = _checked(boxes(view, 0, view.size), view.size)
    last = parts[-1]
    if last.end != view.size or view.read(last.start, 4) == bytes(4):
        # Whatever follows a box without a length belongs to it.
        raise ValueError(last.start)
    for box in parts:
        if is_xmp_box(view, box):
            # Nothing moves, so every offset in the file stays right.
            head = as_free_box(view, box)
            yield head
            yield Zeros(box.end - box.start - len(head))
        else:
            yield Keep(box.start, box.end)
    yield XMP_IN_MP4


XMP_IN_MP4 = (24 + len(PACKET)).to_bytes(4) + b"uuid" + XMP_BOX + PACKET
"""The mark as the last box of an MP4."""
