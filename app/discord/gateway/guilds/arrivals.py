"""Notices what changes in Discord servers: that the bot was added to one, by whom, and that permissions changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
import hikari

from app.discord.bridge import CrossLoopCall
from app.discord.gateway.rest.client import translated
from app.discord.messages.ports import SendError
from app.discord.user_request import Arrival
from app.entry_points import run_request

PATIENCE = 5.0
"""Seconds for Discord to say who added the bot: it says so beside the event of the new server, or not at all."""

MOST_KEPT = 100
"""Servers for which it is kept who added the bot."""

CHANGES = (
    hikari.GuildUpdateEvent,
    hikari.GuildLeaveEvent,
    hikari.RoleCreateEvent,
    hikari.RoleUpdateEvent,
    hikari.RoleDeleteEvent,
    hikari.GuildChannelUpdateEvent,
    hikari.GuildChannelDeleteEvent,
    hikari.GuildThreadUpdateEvent,
    hikari.GuildThreadDeleteEvent,
    hikari.ThreadMembersUpdateEvent,
)
"""Events after which people may see other channels."""


class Arrivals:
    """Passes to the core what happens in Discord servers; everything here runs in hikari's loop.

    `welcome` is called once for each server that adds the bot, not for those that it was in before; `changed` with the
    id of each server in which people may see other channels now.
    """

    def __init__(
        self,
        into_core: CrossLoopCall,
        welcome: Callable[[Arrival], Awaitable[None]],
        changed: Callable[[str], Awaitable[None]],
    ) -> None:
        self._into_core = into_core
        self._welcome = welcome
        self._changed = changed
        self._adders: dict[int, str] = {}
        """Who added the bot, by the id of the server; oldest first."""
        self._adder_known = asyncio.Event()

    def subscribe(self, bot: hikari.GatewayBot) -> None:
        """Hear the events of this bot."""
        bot.subscribe(hikari.GuildJoinEvent, self._joined)
        bot.subscribe(hikari.IntegrationCreateEvent, self._integrated)
        for change in CHANGES:
            bot.subscribe(change, self._noticed)

    async def _integrated(self, event: hikari.IntegrationCreateEvent) -> None:
        """Discord says who added an application to a server; it may be another one."""
        added, me = event.integration, event.shard.get_user_id()
        if added.application is None or added.application.bot is None or added.application.bot.id != me:
            return
        if added.user is not None:
            self._adders[int(event.guild_id)] = str(added.user.id)
            while len(self._adders) > MOST_KEPT:
                del self._adders[next(iter(self._adders))]
            self._adder_known.set()
            self._adder_known = asyncio.Event()

    async def _joined(self, event: hikari.GuildJoinEvent) -> None:
        await run_request(lambda: self._arrive(event), "a server could not be welcomed", guild=str(event.guild_id))

    async def _arrive(self, event: hikari.GuildJoinEvent) -> None:
        guild = event.guild
        with anyio.move_on_after(PATIENCE):
            while int(guild.id) not in self._adders:
                await self._adder_known.wait()
        adder = self._adders.pop(int(guild.id), "") or await self._by_audit_log(event)
        system = "" if guild.system_channel_id is None else str(guild.system_channel_id)
        await self._into_core(self._welcome, Arrival(str(guild.id), guild.name, adder, system))

    async def _by_audit_log(self, event: hikari.GuildJoinEvent) -> str:
        """Who added the bot, where it may read that; "" otherwise."""
        me, added = event.shard.get_user_id(), hikari.AuditLogEventType.BOT_ADD
        try:
            with translated():
                async for log in event.app.rest.fetch_audit_log(event.guild_id, event_type=added):
                    for entry in log.entries.values():
                        if entry.target_id == me:
                            return str(entry.user_id or "")
                    break
        except SendError:
            return ""
        return ""

    async def _noticed(self, event: GuildChange) -> None:
        guild = str(event.guild_id)
        await run_request(lambda: self._into_core(self._changed, guild), "a change of permissions is not known")


class GuildChange(Protocol):
    """An event of a Discord server."""

    @property
    def guild_id(self) -> hikari.Snowflake:
        """The id of the server."""
        ...
