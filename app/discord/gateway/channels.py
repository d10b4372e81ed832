"""The channels of a server in which the bot may post."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import hikari

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
    """What the member may do in the channel: https://discord.com/developers/docs/topics/permissions."""
    own = [role for role in member.role_ids if role != channel.guild_id]
    allowed = roles.get(channel.guild_id, hikari.Permissions.NONE)
    for role in own:
        allowed |= roles.get(role, hikari.Permissions.NONE)
    if allowed & hikari.Permissions.ADMINISTRATOR:
        return hikari.Permissions.all_permissions()
    for group in ([channel.guild_id], own, [member.id]):
        overwrites = [channel.permission_overwrites[ident] for ident in group if ident in channel.permission_overwrites]
        for overwrite in overwrites:
            allowed &= ~overwrite.deny
        for overwrite in overwrites:
            allowed |= overwrite.allow
    return allowed
