"""The messages between the bot and its media worker: msgspec messages in length-prefixed frames.

Files are passed by path, never through the pipes: so the bot's memory does not grow with them, frames are short, and
the worker needs no more than two open files. A frame is four bytes of length (big-endian) and MessagePack.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, BinaryIO, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from app.reasons.files import FileReason

LONGEST_FRAME = 64 * 2**10
"""Bytes, in both directions: two paths and a few numbers need less than 10 kB."""

HEADER = 4
"""Bytes of length in front of each frame."""

Kind: TypeAlias = Literal["image", "video", "audio"]

LARGEST_SIDE = 2**16 - 1
"""Pixels of a width or height that is passed on: JPEG and GIF cannot state more."""

Side: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_SIDE)]

Dimensions: TypeAlias = tuple[Side, Side]
"""Width and height in pixels, as a file states them."""

Lane: TypeAlias = Literal["light", "heavy", "video", "thumbnail"]
"""Where a request runs: quick ones, ones that take seconds, ones that need the budget of videos, and thumbnails, for
which nobody waits."""


class Normalise(Struct, frozen=True, tag=True, kw_only=True):
    """Asks for a plain version of a file attached for a slot of this kind. Paths are encoded for the file system."""

    source: bytes
    target: bytes
    kind: Kind
    lane: Lane = "light"


class Compress(Struct, frozen=True, tag=True, kw_only=True):
    """Asks for a version of a result with at most `limit` bytes.

    It has no metadata unless `keep_metadata`, and the mark of `app.media_worker.mark` if `mark_results`.
    """

    source: bytes
    target: bytes
    limit: int
    keep_metadata: bool = False
    mark_results: bool = False
    lane: Lane = "light"


class MakeThumbnail(Struct, frozen=True, tag=True, kw_only=True):
    """Asks for a small WebP of a result, with the mark of `app.media_worker.mark` if `mark_results`."""

    source: bytes
    target: bytes
    mark_results: bool = False
    lane: Lane = "thumbnail"


class Normalised(Struct, frozen=True, tag=True):
    """The plain file is at `target`; `suffix` fits its format, such as ".png"."""

    suffix: str


class Compressed(Struct, frozen=True, tag=True, kw_only=True):
    """The version that fits is at `target`, or is the source as it is, if `unchanged`.

    `suffix` is its suffix ("" for that of the source), `quality` in percent (100 if nothing was given up), `scale` the
    fraction of the original width, `marked` whether it has the mark. `dimensions` are those of the source; None if they
    are unknown.
    """

    suffix: str = ""
    unchanged: bool = False
    quality: int = 100
    scale: float = 1.0
    marked: bool = False
    dimensions: Dimensions | None = None


class ThumbnailMade(Struct, frozen=True, tag=True):
    """The thumbnail is at `target`, with these dimensions."""

    dimensions: Dimensions


class Refused(Struct, frozen=True, tag=True):
    """The file cannot be used, and why."""

    reason: FileReason


class Redirected(Struct, frozen=True, tag=True):
    """Nothing was done: the request belongs in another lane."""

    lane: Lane


Request: TypeAlias = Normalise | Compress | MakeThumbnail
Reply: TypeAlias = Normalised | Compressed | ThumbnailMade | Refused | Redirected

_REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


class ProtocolError(Exception):
    """The other side sent something that is not a message."""


class Refusal(Exception):
    """A file cannot be used; raised inside the worker and by the client. Its text is for the log only."""

    def __init__(self, reason: FileReason) -> None:
        super().__init__(reason)
        self.reason = reason


class Redirection(Exception):
    """A request belongs in another lane; raised inside the worker before anything is decoded."""

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self.lane: Lane = lane


def frame(message: Request | Reply) -> bytes:
    """One message as bytes for the pipe. Raises `ProtocolError` if it is too long."""
    body = msgspec.msgpack.encode(message)
    if len(body) > LONGEST_FRAME:
        raise ProtocolError(f"a frame of {len(body)} bytes")
    return len(body).to_bytes(HEADER) + body


def path_to_bytes(path: Path) -> bytes:
    """An absolute path for a message, as bytes, because not every file name is valid text."""
    return os.fsencode(path.absolute())


def path_from_bytes(path: bytes) -> Path:
    """The path in a message."""
    return Path(os.fsdecode(path))


def length_of(header: bytes) -> int:
    """The number of bytes that follow this header. Raises `ProtocolError` if that is more than a frame may have."""
    length = int.from_bytes(header)
    if len(header) != HEADER or length > LONGEST_FRAME:
        raise ProtocolError(f"a frame of {length} bytes")
    return length


def decode_request(body: bytes) -> Request:
    """The request in a frame. Raises `ProtocolError`."""
    try:
        return _REQUESTS.decode(body)
    except msgspec.MsgspecError as error:
        raise ProtocolError(str(error)) from error


def decode_reply(body: bytes) -> Reply:
    """The reply in a frame. Raises `ProtocolError`."""
    try:
        return _REPLIES.decode(body)
    except msgspec.MsgspecError as error:
        raise ProtocolError(str(error)) from error


def read_frame(pipe: BinaryIO) -> bytes | None:
    """The body of the next frame; None if the pipe ends between two frames. Raises `ProtocolError`."""
    header = pipe.read(HEADER)
    if not header:
        return None
    body = pipe.read(length := length_of(header))
    if len(body) < length:
        raise ProtocolError("the pipe ends within a frame")
    return body
