"""What a person may see and do in a channel or a thread: https://discord.com/developers/docs/topics/permissions."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Literal, Protocol, TypeAlias, TypeVar

import anyio
import structlog
from anyio.abc import TaskGroup
from hikari import Permissions
from msgspec import Struct

from app.discord.gateway.guilds.remembered import Remembered
from app.discord.messages.ports import SendError
from app.service.people.standing import Standing
from app.service.people.visibility import Place

T = TypeVar("T")

logger = structlog.stdlib.get_logger(__name__)

PATIENCE = 2.5
"""Seconds after which it counts as unknown whether a person may see a place."""

READING = Permissions.VIEW_CHANNEL | Permissions.READ_MESSAGE_HISTORY
"""What a person needs to read what was written in a channel."""

POSTING = Permissions.VIEW_CHANNEL | Permissions.ATTACH_FILES
"""What the bot needs to post a result in a channel, beside the permission to write there."""

ChannelKind: TypeAlias = Literal["text", "voice", "thread", "private_thread"]


class GuildFacts(Struct, frozen=True):
    """A Discord server: its owner, and the permissions of each role by its id, that of everybody among them."""

    owner: str
    roles: Mapping[str, Permissions]


class MemberFacts(Struct, frozen=True):
    """A member of a Discord server: their roles, and until when they may not write, in seconds since 1970."""

    roles: frozenset[str]
    silent_until: float = 0.0


class Overwrite(Struct, frozen=True):
    """What a channel allows and denies a role or a person."""

    allow: Permissions
    deny: Permissions


class ChannelFacts(Struct, frozen=True):
    """A channel or thread of a Discord server; `parent` is the channel of a thread.

    `overwrites` are by the id of the role or person. Only those who manage threads may write in a `locked` one.
    """

    guild: str
    kind: ChannelKind = "text"
    parent: str = ""
    overwrites: Mapping[str, Overwrite] = {}
    locked: bool = False

    @property
    def is_thread(self) -> bool:
        """Whether it is a thread."""
        return self.kind in {"thread", "private_thread"}


class FactReader(Protocol):
    """Reads from Discord what permissions depend on. None: there is no such thing. Every method raises `SendError`."""

    async def guild(self, guild: str) -> GuildFacts | None:
        """A Discord server."""
        ...

    async def channel(self, channel: str) -> ChannelFacts | None:
        """A channel or a thread; None also for direct messages."""
        ...

    async def member(self, guild_and_person: tuple[str, str]) -> MemberFacts | None:
        """A member of a server; None for who is none."""
        ...

    async def is_in_thread(self, thread_and_person: tuple[str, str]) -> bool:
        """Whether a person was added to a thread."""
        ...


class _Access(Struct, frozen=True):
    """What a member of a Discord server may do in a channel or thread, whose channel is `parent`.

    Who is `silent` may not write for some time.
    """

    granted: Permissions
    channel: ChannelFacts
    parent: ChannelFacts
    roles: frozenset[str]
    silent: bool

    @property
    def sees(self) -> bool:
        """Whether they may read what was written there."""
        if self.parent.kind == "voice" and not self.granted & Permissions.CONNECT:
            return False
        return not READING & ~self.granted

    @property
    def writes(self) -> bool:
        """Whether they may write there, as far as they see it."""
        threads = Permissions.SEND_MESSAGES_IN_THREADS
        needed = threads if self.channel.is_thread else Permissions.SEND_MESSAGES
        locked = self.channel.locked and not self.granted & Permissions.MANAGE_THREADS
        return bool(self.granted & needed) and not locked and not self.silent


class GuildVisibility:
    """See `app.service.people.visibility.Visibility` and `app.service.people.standing.Standings`.

    Its answers are at most `remembered.CURRENT` old. What cannot be found out counts as hidden.
    Requests to Discord run in `tasks`. `bot` is the bot's own id as a person. `clock` returns seconds, `now` those
    since 1970.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        reader: FactReader,
        clock: Callable[[], float] = anyio.current_time,
        *,
        bot: str = "",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._bot = bot
        self._now = now
        self._guilds = Remembered(tasks, reader.guild, clock)
        self._channels = Remembered(tasks, reader.channel, clock)
        self._members = Remembered(tasks, reader.member, clock)
        self._thread_members = Remembered(tasks, reader.is_in_thread, clock)

    async def may_see(self, person: str, place: Place) -> bool:
        """See `app.service.people.visibility.Visibility`."""
        if not person or not place.guild:
            return bool(person) and person == place.person

        async def ask() -> bool:
            access = await self._access(person, place)
            return access is not None and access.sees

        return await self._within_patience(ask, place) or False

    async def standing(self, person: str, place: Place) -> Standing | None:
        """See `app.service.people.standing.Standings`.

        Whether direct messages arrive is not known before one is sent.
        """
        if not person or not place.guild:
            own = bool(person) and person == place.person
            return Standing(sees=own, writes=own, bot_posts=own)

        async def ask() -> Standing:
            access = await self._access(person, place)
            if access is None or not access.sees:
                return Standing()
            own = await self._access(self._bot, place)
            return Standing(
                sees=True,
                writes=access.writes,
                bot_posts=own is not None and own.writes and not POSTING & ~own.granted,
                moderator=bool(access.granted & Permissions.MANAGE_MESSAGES) and not access.silent,
                roles=access.roles,
                parent=access.channel.parent,
            )

        return await self._within_patience(ask, place)

    def forget(self, guild: str) -> None:
        """Forget what is known of a Discord server, because something changed there."""
        self._guilds.forget(lambda key, _: key == guild)
        self._channels.forget(lambda _, channel: channel is None or channel.guild == guild)
        self._members.forget(lambda key, _: key[0] == guild)
        self._thread_members.forget(lambda _, __: True)

    async def _within_patience(self, ask: Callable[[], Awaitable[T]], place: Place) -> T | None:
        """What Discord says about a place; None if it does not answer soon."""
        with anyio.move_on_after(PATIENCE):
            try:
                return await ask()
            except SendError as error:
                logger.info("what a person may do in a channel is not known", channel=place.channel, reason=str(error))
        return None

    async def _access(self, person: str, place: Place) -> _Access | None:
        """What a person may do in a place of a Discord server; None for who has no access to it at all."""
        guild, channel = await self._guilds.get(place.guild), await self._channels.get(place.channel)
        member = await self._members.get((place.guild, person))
        if guild is None or member is None or channel is None or channel.guild != place.guild:
            return None
        # The overwrites of a thread are those of its channel.
        parent = await self._channels.get(channel.parent) if channel.parent else channel
        if parent is None or parent.guild != place.guild:
            return None
        granted = Permissions.all_permissions()
        if guild.owner != person:
            granted = permissions_in(place.guild, guild.roles, member.roles, person, parent.overwrites)
        added = channel.kind != "private_thread" or granted & Permissions.MANAGE_THREADS
        if not added and not await self._thread_members.get((place.channel, person)):
            return None
        return _Access(granted, channel, parent, member.roles, self._now() < member.silent_until)


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
