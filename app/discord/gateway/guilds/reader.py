"""Reads from Discord, by REST, what the permissions of its servers depend on."""

from __future__ import annotations

import hikari

from app.discord.gateway.guilds.channels import overwrites_of
from app.discord.gateway.guilds.visibility import ChannelFacts, GuildFacts, MemberFacts
from app.discord.gateway.rest.client import RestSender


class GuildReader:
    """See `app.discord.gateway.guilds.visibility.FactReader`."""

    def __init__(self, sender: RestSender) -> None:
        self._sender = sender

    async def guild(self, guild: str) -> GuildFacts | None:
        """See `FactReader`."""
        read = await self._sender.find(lambda rest: rest.fetch_guild(int(guild)))
        if read is None:
            return None
        return GuildFacts(str(read.owner_id), {str(ident): role.permissions for ident, role in read.roles.items()})

    async def channel(self, channel: str) -> ChannelFacts | None:
        """See `FactReader`."""
        return _channel(await self._sender.find(lambda rest: rest.fetch_channel(int(channel))))

    async def member(self, guild_and_person: tuple[str, str]) -> MemberFacts | None:
        """See `FactReader`."""
        guild, person = guild_and_person
        member = await self._sender.find(lambda rest: rest.fetch_member(int(guild), int(person)))
        if member is None:
            return None
        silent = member.raw_communication_disabled_until
        return MemberFacts(frozenset(map(str, member.role_ids)), silent.timestamp() if silent is not None else 0.0)

    async def is_in_thread(self, thread_and_person: tuple[str, str]) -> bool:
        """See `FactReader`."""
        thread, person = thread_and_person
        return await self._sender.find(lambda rest: rest.fetch_thread_member(int(thread), int(person))) is not None


def _channel(channel: hikari.PartialChannel | None) -> ChannelFacts | None:
    match channel:
        case hikari.GuildThreadChannel(type=kind, guild_id=guild, parent_id=parent, is_locked=locked):
            private = kind is hikari.ChannelType.GUILD_PRIVATE_THREAD
            return ChannelFacts(str(guild), "private_thread" if private else "thread", str(parent), locked=locked)
        case hikari.PermissibleGuildChannel(type=kind, guild_id=guild):
            voice = kind in {hikari.ChannelType.GUILD_VOICE, hikari.ChannelType.GUILD_STAGE}
            return ChannelFacts(str(guild), "voice" if voice else "text", overwrites=overwrites_of(channel))
        case _:
            return None
