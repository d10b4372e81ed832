"""What people may attach, checked without opening the file, and the sentences for unusable files.

The media worker opens files; see `app.media_worker`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from app.media_worker.limits import MOST_BYTES, MOST_FRAMES, MOST_PIXELS
from app.media_worker.protocol import Kind, Refused
from app.workflows.model import WorkflowError

HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
"""Discord's attachment hosts. Files are downloaded from nowhere else: a URL that people choose could lead into the
operator's own network."""

UNUSABLE = {
    "image": "This is no picture that can be used: attach a PNG, JPEG or WebP.",
    "video": "This is no video that can be used: attach an MP4 or WebM.",
    "audio": "This is no sound that can be used: attach an MP3, WAV, FLAC or Ogg.",
}
"""The sentence for an unusable file, by the kind that is needed."""

NAMES = {"image": "picture", "video": "video", "audio": "sound"}
"""What people call files of a kind."""

TYPES = {
    "image": ("image/",),
    "video": ("video/", "image/gif"),
    "audio": ("audio/", "application/ogg", "video/ogg"),
}
"""Prefixes of the media types that Discord gives to files of a kind; it derives them from file names."""

KINDS: dict[str, Kind] = {"image": "image", "video": "video", "audio": "audio"}
"""The kinds of slots that take files, in the media worker's types."""


def fits(kind: str, media_type: str) -> bool:
    """Whether a slot of this kind may take a file of this media type; a file without a type is accepted."""
    return not media_type or media_type.startswith(TYPES[kind])


def allowed(url: str, rest_url: str = "") -> bool:
    """Whether an attachment may be downloaded from this URL: from Discord's hosts, or the host of `rest_url`."""
    try:
        parts, own = urlsplit(url), urlsplit(rest_url)
        if parts.username is not None or parts.password is not None:
            return False
        if own.hostname and (parts.scheme, parts.hostname, parts.port) == (own.scheme, own.hostname, own.port):
            return True
        return parts.scheme == "https" and parts.hostname in HOSTS and parts.port in {None, 443}
    except ValueError:
        return False


def is_too_large(size: int) -> bool:
    """Whether a file has more bytes than are accepted."""
    return size > MOST_BYTES


def check_size(size: int) -> None:
    """Raise `WorkflowError` if a file has more bytes than are accepted."""
    if is_too_large(size):
        told = f"has {size / 2**20:.0f} MB, and {MOST_BYTES // 2**20} MB is the most: make it smaller"
        raise WorkflowError(f"The file {told}.")


def sentence(refused: Refused, kind: str) -> str:
    """The sentence for the person who sent a file of this kind that was refused."""
    name = NAMES[kind]
    match refused.reason:
        case "unrecognised":
            return UNUSABLE[kind]
        case "animated":
            return "The picture moves, and a still one is needed: attach a single frame of it."
        case "too_many_bytes":
            return f"Make the {name} smaller: at most {MOST_BYTES // 2**20} MB are possible."
        case "too_many_pixels":
            what = f"a {refused.format}" if refused.format else "a picture"
            most = f"{(refused.limit or MOST_PIXELS) / 10**6:.0f} million pixels"
            other = ", or save it as a plain PNG" if refused.format else ""
            return f"Make the picture smaller: {what} may have at most {most}{other}."
        case "too_many_frames":
            return f"Make the {name} shorter: at most {MOST_FRAMES} frames are possible."
        case "out_of_memory":
            return f"Make the {name} smaller: it needs too much memory."
        case "deadline":
            return f"Make the {name} smaller: it takes too long to open."
        case "disk":
            return "The bot cannot keep the file: tell whoever runs it to look at its disk."
        case "unavailable":
            return "Try again in a minute: the bot cannot open files right now."
        case "damaged" | "died" | "does_not_fit":
            return f"The {name} is damaged or cut off: save it again, and attach that."
