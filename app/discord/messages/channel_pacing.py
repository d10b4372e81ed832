"""Sharing a channel's rate limit: how often its messages may be edited, and one edit at a time as the bot."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

PAUSE = 1.1
"""Seconds between two edits of one message: Discord allows one edit a second."""

CROWD = 8
"""Live messages in a channel that may be edited at full speed. With a token each message has its own limit, but people
cannot follow that many, and the whole bot has a limit of fifty requests a second."""


class ChannelPacing:
    """Owns the number of live messages in each channel, and the lock of each channel."""

    def __init__(self) -> None:
        self._living: Counter[str] = Counter()
        self._locks: dict[str, anyio.Lock] = {}

    def join(self, channel: str) -> None:
        """Count one more live message in the channel."""
        self._living[channel] += 1
        self._locks.setdefault(channel, anyio.Lock())

    def leave(self, channel: str) -> None:
        """Count one live message fewer."""
        self._living[channel] -= 1
        if self._living[channel] <= 0:
            del self._living[channel]
            self._locks.pop(channel, None)

    def pause(self, channel: str, *, as_bot: bool) -> float:
        """Seconds to leave between two edits of one message in this channel.

        As the bot, all messages of a channel share one limit.
        """
        living = max(1, self._living[channel])
        return PAUSE * (living if as_bot else max(1.0, living / CROWD))

    def busy(self, channel: str) -> bool:
        """Whether the channel's lock is held: if so, skip what can be left out."""
        lane = self._locks.get(channel)
        return lane is not None and lane.locked()

    @asynccontextmanager
    async def lock(self, channel: str) -> AsyncGenerator[None]:
        """Hold the channel's lock while sending as the bot.

        Only one request is sent at a time, so that each knows what the one before left of the limit.
        """
        async with self._locks.get(channel) or anyio.Lock():
            yield
