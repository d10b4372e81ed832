"""Counts the sessions that a bot's shards open at Discord's gateway."""

from __future__ import annotations

from collections import Counter

import hikari


def count_sessions(bot: hikari.GatewayBot, sessions: Counter[str]) -> None:
    """Count "new" sessions, and those that were "resumed" after a loss, from now on."""

    async def opened(_: hikari.ShardReadyEvent) -> None:
        sessions["new"] += 1

    async def resumed(_: hikari.ShardResumedEvent) -> None:
        sessions["resumed"] += 1

    bot.subscribe(hikari.ShardReadyEvent, opened)
    bot.subscribe(hikari.ShardResumedEvent, resumed)
