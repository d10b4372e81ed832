"""Without the workflow inside: ComfyUI writes the whole graph into what it saves, and not everybody wants to post it.

No picture is encoded anew: only the parts that hold metadata go. What is not understood is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

PNG, JPEG, RIFF, EBML = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"RIFF", b"\x1a\x45\xdf\xa3"
"""How the files begin."""

PNG_TALK = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"})
WEBP_TALK = frozenset({b"EXIF", b"XMP "})
WEBP_FLAGS = 0b0000_1100
"""The bits of VP8X that announce them."""
JPEG_TALK = frozenset({0xE1, 0xED, 0xFE})
"""APP1 (Exif, XMP), APP13 (Photoshop), comments. Colours (APP2, APP14) stay."""
BOXES_TALK = frozenset({b"udta", b"meta"})
SEGMENT, TAGS, VOID = b"\x18\x53\x80\x67", b"\x12\x54\xc3\x67", 0xEC
"""EBML ids: everything, its tags, and nothing at all."""


def strip(data: bytes) -> bytes:
    """The same file without metadata: PNG, JPEG, WebP, MP4, WebM; any other comes back unchanged."""
    try:
        if data.startswith(PNG):
            return PNG + b"".join(data[start:end] for kind, start, end in _chunks(data) if kind not in PNG_TALK)
        if data.startswith(JPEG):
            return JPEG + b"".join(_segments(data))
        if data.startswith(RIFF) and data[8:12] == b"WEBP":
            return _webp(data)
        if data[4:8] == b"ftyp":
            return _mp4(data)
        if data.startswith(EBML):
            return _webm(data)
    except (IndexError, ValueError):
        # Cut off in the middle, or of another make: nothing is gained by breaking it further.
        return data
    return data


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = len(PNG)
    while at < len(data):
        length = int.from_bytes(data[at : at + 4])
        end = at + 12 + length
        if end > len(data):
            raise ValueError(end)
        yield data[at + 4 : at + 8], at, end
        at = end


def _segments(data: bytes) -> Iterator[bytes]:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError(at)
        kind = data[at + 1]
        if kind == 0xDA:
            # The picture itself, to the end.
            yield data[at:]
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if kind not in JPEG_TALK:
            yield data[at:end]
        at = end


def _webp(data: bytes) -> bytes:
    kept: list[bytes] = []
    at = 12
    while at < len(data):
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + length + length % 2
        if kind == b"VP8X":
            kept.append(data[at : at + 8] + bytes([data[at + 8] & ~WEBP_FLAGS & 0xFF]) + data[at + 9 : end])
        elif kind not in WEBP_TALK:
            kept.append(data[at:end])
        at = end
    body = b"WEBP" + b"".join(kept)
    return RIFF + len(body).to_bytes(4, "little") + body


def _mp4(data: bytes) -> bytes:
    """Boxes of metadata become boxes of nothing, of the same size, so that no address in the file changes."""
    found = bytearray(data)
    for at in _boxes(data, 0, len(data)):
        found[at + 4 : at + 8] = b"free"
        length = int.from_bytes(data[at : at + 4])
        found[at + 8 : at + length] = bytes(length - 8)
    return bytes(found)


def _boxes(data: bytes, at: int, end: int) -> Iterator[int]:
    while at + 8 <= end:
        length, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16])
        elif length == 0:
            return
        if length < 8 or at + length > end:
            raise ValueError(at)
        if kind in BOXES_TALK:
            yield at
        elif kind in {b"moov", b"trak"}:
            yield from _boxes(data, at + 8, at + length)
        at += length


def _webm(data: bytes) -> bytes:
    found = bytearray(data)
    at, end = 0, len(data)
    while at < end:
        id_length = 9 - data[at].bit_length()
        kind = data[at : at + id_length]
        at += id_length
        size_length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + size_length]) & (1 << 7 * size_length) - 1
        body = at + size_length
        if kind == SEGMENT:
            at = body
            continue
        if size == (1 << 7 * size_length) - 1 or body + size > end:
            # Of unknown length, as live streams are.
            break
        if kind == TAGS:
            # One id of a byte, and seven more for the size: an element of nothing that takes the whole place.
            start, whole = at - id_length, body + size - (at - id_length)
            head = bytes([VOID, 0x01]) + (whole - 9).to_bytes(7) if whole >= 9 else b""
            found[start : start + whole] = head + bytes(whole - len(head)) if head else found[start : start + whole]
        at = body + size
    return bytes(found)
