"""Sharing a channel's rate limit: how often its messages may move, and one at a time as the bot."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

PAUSE = 1.1
"""Seconds between two edits of one message: Discord gives back one edit a second (DISCORD.md 3)."""

CROWD = 8
"""Messages that may move in a channel at full speed. With a token each has a limit of its own, but people do
not, and fifty requests a second are the limit of the whole bot."""


class ChannelPacing:
    """Owns the count of living messages in each channel, and the lane of each channel."""

    def __init__(self) -> None:
        self._living: Counter[str] = Counter()
        self._locks: dict[str, anyio.Lock] = {}

    def join(self, channel: str) -> None:
        """One more message lives here."""
        self._living[channel] += 1
        self._locks.setdefault(channel, anyio.Lock())

    def leave(self, channel: str) -> None:
        """It does not any more."""
        self._living[channel] -= 1
        if self._living[channel] <= 0:
            del self._living[channel]
            self._locks.pop(channel, None)

    def pause(self, channel: str, *, as_bot: bool) -> float:
        """Seconds to leave between two edits of one message here.

        Speaking as the bot, all messages of a channel share one limit.
        """
        living = max(1, self._living[channel])
        return PAUSE * (living if as_bot else max(1.0, living / CROWD))

    def busy(self, channel: str) -> bool:
        """Whether somebody is in the lane: not the moment for what can be left out."""
        lane = self._locks.get(channel)
        return lane is not None and lane.locked()

    @asynccontextmanager
    async def lock(self, channel: str) -> AsyncGenerator[None]:
        """Speak here as the bot: one after the other, so that each knows from the last what is left of the limit."""
        async with self._locks.get(channel) or anyio.Lock():
            yield
