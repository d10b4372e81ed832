"""What people may attach, checked without opening the file.

The media worker opens files; see `app.media_worker`.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from app.media_worker.limits import MOST_BYTES
from app.media_worker.protocol import Kind
from app.reasons.files import FileUnusable, TooManyBytes
from app.workflows.model import WorkflowError

HOSTS = re.compile(r"cdn\.discordapp\.com|media\.discordapp\.net|images-ext-[0-9]{1,3}\.discordapp\.net")
"""Discord's hosts for attachments, and for its copies of what embeds show. Files are downloaded from nowhere else: a
URL that people choose could lead into the operator's own network."""

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
        return parts.scheme == "https" and bool(HOSTS.fullmatch(parts.hostname or "")) and parts.port in {None, 443}
    except ValueError:
        return False


def is_too_large(size: int) -> bool:
    """Whether a file has more bytes than are accepted."""
    return size > MOST_BYTES


def check_size(size: int, kind: str) -> None:
    """Raise `WorkflowError` if a file for a slot of this kind has more bytes than are accepted."""
    if is_too_large(size):
        raise WorkflowError(FileUnusable(kind, TooManyBytes(MOST_BYTES, size)))
