"""What people read when a result that took long is there, and how they choose to be notified of it."""

from __future__ import annotations

from collections.abc import Mapping

HEADING = "Notifications"

WAYS: Mapping[str, str] = {"mention": "Mention me", "dm": "Direct message", "never": "Never"}
"""The labels of the buttons, by what they choose."""

CURRENT: Mapping[str, str] = {
    "mention": "When a result takes long, I mention you below it.",
    "dm": "When a result takes long, I send you a direct message.",
    "never": "I do not notify you of results.",
}
"""What applies now, by the way that was chosen."""

DIRECT_MESSAGES_CLOSED = (
    "Discord does not let me write to you directly, so I mention you. Allow direct messages to change that."
)
"""The note for people whose direct messages were refused."""


def ready(kind: str, count: int) -> str:
    """That a result is there: "picture", "video" or "result", and how many of them."""
    return f"Your {count} {kind}s are ready." if count > 1 else f"Your {kind} is ready."


def mention(person: str, text: str) -> str:
    """A notification for somebody, by their id; "" for where nobody else is."""
    return f"<@{person}> {text}" if person else text


def with_link(text: str, link: str) -> str:
    """A notification that is not where the result is."""
    return f"{text} {link}"
