"""What Discord shows of a file inside a message, by the end of its name. Pure."""

from __future__ import annotations

from pathlib import PurePath

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif"})
VIDEOS = frozenset({".mp4", ".webm", ".mov"})


def is_picture(name: str) -> bool:
    """Whether Discord shows this file as a picture."""
    return PurePath(name).suffix.lower() in PICTURES


def is_video(name: str) -> bool:
    """Whether Discord shows this file as a video."""
    return PurePath(name).suffix.lower() in VIDEOS


def is_shown(name: str) -> bool:
    """Whether Discord shows this file; everything else is a file to download."""
    return is_picture(name) or is_video(name)
