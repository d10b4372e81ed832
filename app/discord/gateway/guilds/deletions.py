"""Notices which messages are deleted in Discord servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import hikari

from app.discord.bridge import CrossLoopCall
from app.entry_points import run_request


class Deletions:
    """Passes the ids of deleted messages to the core, whosever they are; everything here runs in hikari's loop."""

    def __init__(self, into_core: CrossLoopCall, deleted: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        self._into_core = into_core
        self._deleted = deleted

    def subscribe(self, bot: hikari.GatewayBot) -> None:
        """Hear the events of this bot."""
        bot.subscribe(hikari.GuildMessageDeleteEvent, self._one)
        bot.subscribe(hikari.GuildBulkMessageDeleteEvent, self._several)

    async def _one(self, event: hikari.GuildMessageDeleteEvent) -> None:
        await self._pass_on([str(event.message_id)])

    async def _several(self, event: hikari.GuildBulkMessageDeleteEvent) -> None:
        await self._pass_on(list(map(str, event.message_ids)))

    async def _pass_on(self, messages: Sequence[str]) -> None:
        await run_request(lambda: self._into_core(self._deleted, messages), "deleted messages are not known")
