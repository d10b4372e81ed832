"""What a job's message says. Names and values that come in are already escaped for Discord."""

from __future__ import annotations

AGAIN = "Again"
CANCEL = "Cancel"
DELETE = "Delete"
EDIT_PROMPT = "Edit prompt"
RETRY = "Retry"
SETTINGS = "Settings"
"""Labels of buttons."""

FAILED = "Failed"
LOST = "Lost"
CANCELLED = "Cancelled"
STARTED = "Started."

NOT_POSTED = "This is done, but Discord refused to post the result. The people who run this bot have it."
"""The whole message where Discord refused the real one."""

FILE_NOT_KEPT = "A file was deleted and cannot be shown."
FILE_NOT_PREPARED = "A file could not be prepared for Discord. The people who run this bot have it."


def waiting(ahead: int, when: str) -> str:
    """The place of a job that waits; `when` is the expected start as a Discord timestamp, "" if unknown."""
    place = "you are next" if not ahead else f"{ahead} ahead of you"
    return f"In line: {place}" + (f" · starts {when}" if when else "")


def step(number: int, count: int) -> str:
    """The progress of one node."""
    return f"step {number}/{count}"


def done(when: str) -> str:
    """The expected end, as a Discord timestamp."""
    return f"done {when}"


def seed(number: int) -> str:
    """The seed of a result."""
    return f"seed `{number}`"


def file_too_large(size: int) -> str:
    """A note on a result of `size` bytes that Discord does not take."""
    return f"A file of {size / 2**20:.1f} MB is too large for Discord here. The people who run this bot have it."


def compressed(scale: float, quality: int) -> str:
    """A note on what was given up to make a file small enough: fraction of the width, and percent; "" for nothing."""
    if scale < 1:
        how = f"{scale:.0%} of its size"
    elif quality == 0:
        how = "lower quality"
    elif quality < 100:
        how = f"{quality} % quality"
    else:
        return ""
    return f"Shown at {how} because of Discord's limit. The original is kept."
