"""Reads from Discord, by REST, what the permissions of its servers depend on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import hikari

from app.discord.gateway.guilds.channels import overwrites_of
from app.discord.gateway.guilds.visibility import ChannelFacts, GuildFacts
from app.discord.gateway.rest.client import RestSender

T = TypeVar("T")


class GuildReader:
    """See `app.discord.gateway.guilds.visibility.FactReader`."""

    def __init__(self, sender: RestSender) -> None:
        self._sender = sender

    async def guild(self, guild: str) -> GuildFacts | None:
        """See `FactReader`."""
        read = await self._read(lambda rest: rest.fetch_guild(int(guild)))
        if read is None:
            return None
        return GuildFacts(str(read.owner_id), {str(ident): role.permissions for ident, role in read.roles.items()})

    async def channel(self, channel: str) -> ChannelFacts | None:
        """See `FactReader`."""
        return _channel(await self._read(lambda rest: rest.fetch_channel(int(channel))))

    async def member_roles(self, guild_and_person: tuple[str, str]) -> frozenset[str] | None:
        """See `FactReader`."""
        guild, person = guild_and_person
        member = await self._read(lambda rest: rest.fetch_member(int(guild), int(person)))
        return None if member is None else frozenset(map(str, member.role_ids))

    async def is_in_thread(self, thread_and_person: tuple[str, str]) -> bool:
        """See `FactReader`."""
        thread, person = thread_and_person
        return await self._read(lambda rest: rest.fetch_thread_member(int(thread), int(person))) is not None

    async def _read(self, call: Callable[[hikari.api.RESTClient], Awaitable[T]]) -> T | None:
        """What Discord has; None if there is none, or if the bot may not see it. Raises `SendError`."""

        async def ask(rest: hikari.api.RESTClient) -> T | None:
            try:
                return await call(rest)
            except (hikari.NotFoundError, hikari.ForbiddenError):
                return None

        return await self._sender.ask(ask)


def _channel(channel: hikari.PartialChannel | None) -> ChannelFacts | None:
    match channel:
        case hikari.GuildThreadChannel(type=kind, guild_id=guild, parent_id=parent):
            private = kind is hikari.ChannelType.GUILD_PRIVATE_THREAD
            return ChannelFacts(str(guild), "private_thread" if private else "thread", str(parent))
        case hikari.PermissibleGuildChannel(type=kind, guild_id=guild):
            voice = kind in {hikari.ChannelType.GUILD_VOICE, hikari.ChannelType.GUILD_STAGE}
            return ChannelFacts(str(guild), "voice" if voice else "text", overwrites=overwrites_of(channel))
        case _:
            return None
