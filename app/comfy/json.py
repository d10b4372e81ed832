"""Decodes JSON as Python servers write it, which is not always valid."""

from __future__ import annotations

import json
from typing import TypeVar

import msgspec

from app.comfy.response_limits import check_depth, check_values

T = TypeVar("T")

ODDITIES = (b"NaN", b"Infinity", b"\\ud", b"\\uD")
"""What Python's json module writes and the standard forbids: NaN, infinities, and unpaired surrogates (a file name
that is not UTF-8). Only content that has one of these is parsed a second time."""


def decode(content: str | bytes | memoryview, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode; NaN and infinities become null, unpaired surrogates become “?”. Raises `msgspec.DecodeError`.

    One custom node that shows a NaN must not make a whole history unreadable. JSON with too many values, or with values
    nested too deep for the decoder, raises the same error.
    """
    if isinstance(content, bytes):
        check_values(content)
    try:
        return decoder.decode(content)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        repaired = _repaired(content)
        if repaired is None:
            raise msgspec.DecodeError(str(error)) from error
    try:
        return decoder.decode(repaired)
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error


def decode_shallow(content: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode JSON that is passed on with all its levels: see `decode`, and `ANSWER_DEPTH` for the limit."""
    check_depth(content)
    return decode(content, decoder)


def _repaired(content: str | bytes | memoryview) -> bytes | None:
    raw = content.encode(errors="replace") if isinstance(content, str) else bytes(content)
    if not any(oddity in raw for oddity in ODDITIES):
        return None
    try:
        read: object = json.loads(raw, parse_constant=lambda _name: None)
        return json.dumps(read, ensure_ascii=False).encode(errors="replace")
    except (ValueError, RecursionError):
        return None
