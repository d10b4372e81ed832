"""What was exchanged with Discord since the bot started, in numbers."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct, field


class Traffic(Struct):
    """Counts requests and sessions. Only hikari's loop writes; other threads may copy a counter at any time."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Requests to Discord's REST API, by method and by the status of the answer, "none" if there was no answer."""
    sessions: Counter[str] = field(default_factory=Counter[str])
    """Sessions of the gateway: "new" ones, and those that were "resumed" after a loss."""
