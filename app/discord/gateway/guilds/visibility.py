"""Whether a person may see a channel or a thread: https://discord.com/developers/docs/topics/permissions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol, TypeAlias

import anyio
import structlog
from anyio.abc import TaskGroup
from hikari import Permissions
from msgspec import Struct

from app.discord.gateway.guilds.remembered import Remembered
from app.discord.messages.ports import SendError
from app.service.visibility import Place

logger = structlog.stdlib.get_logger(__name__)

PATIENCE = 2.5
"""Seconds after which it counts as unknown whether a person may see a place."""

READING = Permissions.VIEW_CHANNEL | Permissions.READ_MESSAGE_HISTORY
"""What a person needs to read what was written in a channel."""

ChannelKind: TypeAlias = Literal["text", "voice", "thread", "private_thread"]


class GuildFacts(Struct, frozen=True):
    """A Discord server: its owner, and the permissions of each role by its id, that of everybody among them."""

    owner: str
    roles: Mapping[str, Permissions]


class Overwrite(Struct, frozen=True):
    """What a channel allows and denies a role or a person."""

    allow: Permissions
    deny: Permissions


class ChannelFacts(Struct, frozen=True):
    """A channel or thread of a Discord server; `parent` is the channel of a thread.

    `overwrites` are by the id of the role or person.
    """

    guild: str
    kind: ChannelKind = "text"
    parent: str = ""
    overwrites: Mapping[str, Overwrite] = {}


class FactReader(Protocol):
    """Reads from Discord what permissions depend on. None: there is no such thing. Every method raises `SendError`."""

    async def guild(self, guild: str) -> GuildFacts | None:
        """A Discord server."""
        ...

    async def channel(self, channel: str) -> ChannelFacts | None:
        """A channel or a thread; None also for direct messages."""
        ...

    async def member_roles(self, guild_and_person: tuple[str, str]) -> frozenset[str] | None:
        """The roles of a member of a server; None for who is no member."""
        ...

    async def is_in_thread(self, thread_and_person: tuple[str, str]) -> bool:
        """Whether a person was added to a thread."""
        ...


class GuildVisibility:
    """See `app.service.visibility.Visibility`. Its answers are at most `remembered.CURRENT` old.

    What cannot be found out counts as hidden. Requests to Discord run in `tasks`. `clock` returns seconds.
    """

    def __init__(self, tasks: TaskGroup, reader: FactReader, clock: Callable[[], float] = anyio.current_time) -> None:
        self._guilds = Remembered(tasks, reader.guild, clock)
        self._channels = Remembered(tasks, reader.channel, clock)
        self._roles = Remembered(tasks, reader.member_roles, clock)
        self._thread_members = Remembered(tasks, reader.is_in_thread, clock)

    async def may_see(self, person: str, place: Place) -> bool:
        """See `app.service.visibility.Visibility`."""
        if not person or not place.guild:
            return bool(person) and person == place.person
        with anyio.move_on_after(PATIENCE):
            try:
                return await self._may_see(person, place)
            except SendError as error:
                logger.info("who may see a channel is not known", channel=place.channel, reason=str(error))
        return False

    def forget(self, guild: str) -> None:
        """Forget what is known of a Discord server, because something changed there."""
        self._guilds.forget(lambda key, _: key == guild)
        self._channels.forget(lambda _, channel: channel is None or channel.guild == guild)
        self._roles.forget(lambda key, _: key[0] == guild)
        self._thread_members.forget(lambda _, __: True)

    async def _may_see(self, person: str, place: Place) -> bool:
        guild, channel = await self._guilds.get(place.guild), await self._channels.get(place.channel)
        roles = await self._roles.get((place.guild, person))
        if guild is None or roles is None or channel is None or channel.guild != place.guild:
            return False
        # The overwrites of a thread are those of its channel.
        parent = await self._channels.get(channel.parent) if channel.parent else channel
        if parent is None or parent.guild != place.guild:
            return False
        if guild.owner == person:
            return True
        granted = permissions_in(place.guild, guild.roles, roles, person, parent.overwrites)
        if READING & ~granted or (parent.kind == "voice" and not granted & Permissions.CONNECT):
            return False
        if channel.kind != "private_thread" or granted & Permissions.MANAGE_THREADS:
            return True
        return await self._thread_members.get((place.channel, person))


def permissions_in(
    guild: str,
    role_permissions: Mapping[str, Permissions],
    roles: Iterable[str],
    person: str,
    overwrites: Mapping[str, Overwrite],
) -> Permissions:
    """What a member with these roles may do in a channel with these overwrites, unless they own the server."""
    own = [role for role in roles if role != guild]
    allowed = Permissions.NONE
    for role in (guild, *own):
        allowed |= role_permissions.get(role, Permissions.NONE)
    if allowed & Permissions.ADMINISTRATOR:
        return Permissions.all_permissions()
    # Each group has priority over the one before it; within a group, what is allowed has.
    for group in ([guild], own, [person]):
        matching = [overwrites[ident] for ident in group if ident in overwrites]
        for overwrite in matching:
            allowed &= ~overwrite.deny
        for overwrite in matching:
            allowed |= overwrite.allow
    return allowed
