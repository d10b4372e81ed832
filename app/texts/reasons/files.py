"""The sentences about media files: why one cannot be used, and what was given up to post one."""

from __future__ import annotations

from typing import assert_never

from app.reasons.files import (
    DiskFailed,
    DoesNotFit,
    FileAnimated,
    FileDamaged,
    FileReason,
    FileUnrecognised,
    FileUnusable,
    MediaReason,
    ResultDeleted,
    ResultNotPrepared,
    ResultReduced,
    ResultTooLargeToPost,
    TooManyBytes,
    TooManyFrames,
    TooManyPixels,
    TooMuchMemory,
    TooMuchTime,
    WorkerDied,
    WorkerUnavailable,
)
from app.texts.wording import brief

NAMES = {"image": "picture", "video": "video", "audio": "sound"}
"""What people call files of a kind."""

FORMATS = {
    "image": "a PNG, JPEG or WebP",
    "video": "an MP4 or WebM",
    "audio": "an MP3, WAV, FLAC or Ogg",
}
"""What to attach for a kind of file; the bot accepts more formats than it names."""


def media_reason_text(reason: MediaReason) -> str:
    """The sentence for a file that cannot be used, or for a result that is posted in another form."""
    match reason:
        case FileUnusable(kind=kind, reason=cause):
            return _unusable(cause, kind)
        case ResultReduced(quality=quality, scale=scale):
            if scale < 1:
                how = f"Shown at {scale:.0%} of its size"
            else:
                how = f"Shown at {quality} % quality" if quality else "Shown at lower quality"
            return f"{how} because of Discord's limit. The original is kept."
        case ResultTooLargeToPost(size=size):
            return (
                f"A file of {size / 2**20:.1f} MB is too large for Discord here. The people who run this bot have it."
            )
        case ResultNotPrepared():
            return "A file could not be prepared for Discord. The people who run this bot have it."
        case ResultDeleted():
            return "A file was deleted and cannot be shown."
        case _:
            assert_never(reason)


def _unusable(reason: FileReason, kind: str) -> str:
    name = NAMES.get(kind, "file")
    match reason:
        case FileUnrecognised():
            return f"Attach {FORMATS.get(kind, 'another file')}: this is not a {name} that can be used."
        case FileAnimated():
            return "Attach a single frame: this picture is animated."
        case TooManyBytes(limit=limit, size=size):
            has = f", and this one has {size / 2**20:.0f} MB" if size else ""
            return f"Make the {name} smaller: at most {limit // 2**20} MB are possible{has}."
        case TooManyPixels(limit=limit, format=picture):
            what = f"a {brief(picture)}" if picture else "a picture"
            other = ", or save it as a plain PNG" if picture else ""
            return f"Make the picture smaller: {what} may have at most {limit / 10**6:.0f} million pixels{other}."
        case TooManyFrames(limit=limit):
            return f"Make the {name} shorter: at most {limit} frames are possible."
        case TooMuchMemory():
            return f"Make the {name} smaller: it needs too much memory."
        case TooMuchTime():
            return f"Make the {name} smaller: it takes too long to open."
        case DiskFailed():
            return "The bot's disk cannot store the file: tell the people who run this bot."
        case WorkerUnavailable():
            return "Try again in a minute: the bot cannot open files now."
        case FileDamaged() | WorkerDied() | DoesNotFit():
            return f"Save the {name} again, and attach that: it is damaged or incomplete."
        case _:
            assert_never(reason)
