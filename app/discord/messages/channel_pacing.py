"""Sharing a channel's rate limit: how often its messages may be edited, and when edits can be left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

PAUSE = 1.1
"""Seconds between two edits of one message: Discord allows one edit a second."""

CROWD = 8
"""Live messages in a channel that may be edited at full speed. With a token each message has its own limit, but people
cannot follow that many, and the whole bot has a limit of fifty requests a second."""

BUSY = 2
"""Requests under way as the bot in one channel. One may be an upload that takes minutes, and stops nobody's progress;
with more of them the limit is near, so what is left of it is for results."""


class ChannelPacing:
    """Owns the number of live messages in each channel, and of the requests under way there as the bot."""

    def __init__(self) -> None:
        self._living: Counter[str] = Counter()
        self._sending: Counter[str] = Counter()

    def join(self, channel: str) -> None:
        """Count one more live message in the channel."""
        self._living[channel] += 1

    def leave(self, channel: str) -> None:
        """Count one live message fewer."""
        self._living[channel] -= 1
        if self._living[channel] <= 0:
            del self._living[channel]

    def pause(self, channel: str, *, as_bot: bool) -> float:
        """Seconds to leave between two edits of one message in this channel.

        As the bot, all messages of a channel share one limit.
        """
        living = max(1, self._living[channel])
        return PAUSE * (living if as_bot else max(1.0, living / CROWD))

    def busy(self, channel: str) -> bool:
        """Whether the channel's limit is needed for results: if so, skip what can be left out."""
        return self._sending[channel] >= BUSY

    @contextmanager
    def sending(self, channel: str) -> Generator[None]:
        """Count a request as the bot. It waits for none: hikari keeps the limit, and an upload may take long."""
        self._sending[channel] += 1
        try:
            yield
        finally:
            self._sending[channel] -= 1
            if not self._sending[channel]:
                del self._sending[channel]
