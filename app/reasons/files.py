"""Why a media file cannot be used or made small enough, and what was given up to do so, as data.

The media worker sends the reasons of `FileReason` to the bot. Sizes are in bytes.
"""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason


class FileUnrecognised(Reason, frozen=True):
    """The file has none of the accepted formats."""


class FileDamaged(Reason, frozen=True):
    """The file has an accepted format, and cannot be decoded."""


class FileAnimated(Reason, frozen=True):
    """The picture moves, and a still one is needed."""


class TooManyBytes(Reason, frozen=True):
    """The file has more than `limit` bytes; `size` is how many, 0 if they were not counted to the end."""

    limit: int
    size: int = 0


class TooManyPixels(Reason, frozen=True):
    """The picture has more than `limit` pixels. `format` is its format if the limit holds only for that one."""

    limit: int
    format: str = ""


class TooManyFrames(Reason, frozen=True):
    """The file has more than `limit` frames."""

    limit: int


class TooMuchMemory(Reason, frozen=True):
    """Decoding the file needs more memory than the worker may use."""


class TooMuchTime(Reason, frozen=True):
    """Decoding the file takes longer than the worker may."""


class DoesNotFit(Reason, frozen=True):
    """No version of the file is small enough."""


class DiskFailed(Reason, frozen=True):
    """The bot's disk is full or cannot be written; `message` is the system's, "" if unknown."""

    message: str = ""


class WorkerDied(Reason, frozen=True):
    """The worker ended while it decoded the file, or sent something that is not a reply."""


class WorkerUnavailable(Reason, frozen=True):
    """The worker cannot be started, or the bot is stopping."""


FileReason: TypeAlias = (
    FileUnrecognised
    | FileDamaged
    | FileAnimated
    | TooManyBytes
    | TooManyPixels
    | TooManyFrames
    | TooMuchMemory
    | TooMuchTime
    | DoesNotFit
    | DiskFailed
    | WorkerDied
    | WorkerUnavailable
)


class FileUnusable(Reason, frozen=True):
    """A file that somebody attached cannot be used. `kind` is what is needed: "image", "video" or "audio"."""

    kind: str
    reason: FileReason


class ResultReduced(Reason, frozen=True):
    """A result is shown in a smaller version: at `quality` percent (0 if unknown) and `scale` of its width."""

    quality: int
    scale: float


class ResultTooLargeToPost(Reason, frozen=True):
    """No version of a result of `size` bytes is small enough to be posted."""

    size: int


class ResultNotPrepared(Reason, frozen=True):
    """A result cannot be prepared to be posted; the log says why."""


class ResultDeleted(Reason, frozen=True):
    """A result is no longer on the bot's disk."""


PostingNote: TypeAlias = ResultReduced | ResultTooLargeToPost | ResultNotPrepared | ResultDeleted
"""What is unusual about a result's files when they are posted."""

MediaReason: TypeAlias = FileUnusable | PostingNote
