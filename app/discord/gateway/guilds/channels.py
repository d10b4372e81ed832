"""The channels of a server in which the bot may post."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import hikari

from app.discord.gateway.guilds.visibility import Overwrite, permissions_in

NEEDED = (
    hikari.Permissions.VIEW_CHANNEL
    | hikari.Permissions.SEND_MESSAGES
    | hikari.Permissions.ATTACH_FILES
    | hikari.Permissions.READ_MESSAGE_HISTORY
)
"""What the bot needs in a channel to post a picture and to edit it later."""


def first_writable(
    channels: Iterable[hikari.GuildChannel], roles: Iterable[hikari.Role], member: hikari.Member
) -> hikari.PermissibleGuildChannel | None:
    """The first text channel in which the member may post pictures; None if there is none."""
    permissions = {role.id: role.permissions for role in roles}
    texts = [channel for channel in channels if isinstance(channel, hikari.GuildTextChannel)]
    for channel in sorted(texts, key=lambda channel: (channel.position, channel.id)):
        if not NEEDED & ~_permissions(channel, permissions, member):
            return channel
    return None


def _permissions(
    channel: hikari.PermissibleGuildChannel, roles: Mapping[hikari.Snowflake, hikari.Permissions], member: hikari.Member
) -> hikari.Permissions:
    """What the member may do in the channel."""
    permissions = {str(role): granted for role, granted in roles.items()}
    own = map(str, member.role_ids)
    return permissions_in(str(channel.guild_id), permissions, own, str(member.id), overwrites_of(channel))


def overwrites_of(channel: hikari.PermissibleGuildChannel) -> dict[str, Overwrite]:
    """The overwrites of a channel."""
    return {str(ident): Overwrite(each.allow, each.deny) for ident, each in channel.permission_overwrites.items()}
