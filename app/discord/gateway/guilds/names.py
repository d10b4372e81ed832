"""The names of people, Discord servers and channels, as Discord says them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

import anyio
import hikari
import structlog
from anyio.abc import TaskGroup

from app.discord.gateway.guilds.remembered import Remembered
from app.discord.gateway.rest.client import RestSender
from app.discord.messages.ports import SendError

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

logger = structlog.stdlib.get_logger(__name__)

PATIENCE = 1.0
"""Seconds after which a name counts as unknown; it is known the next time."""

CURRENT = 3600.0
"""Seconds for which a name counts: people rarely change it."""

MOST_AT_ONCE = 4
"""Names that are asked for at a time, so that a page full of them takes nothing from the messages of jobs."""


class DiscordNames:
    """See `app.service.people.names.Names`.

    A name is at most `CURRENT` old, and older only while Discord does not answer. Requests to Discord run in `tasks`.
    `clock` returns seconds.
    """

    def __init__(self, tasks: TaskGroup, sender: RestSender, clock: Callable[[], float] = anyio.current_time) -> None:
        self._sender = sender
        self._room = anyio.Semaphore(MOST_AT_ONCE)
        self._people = Remembered(tasks, self._read_person, clock, CURRENT)
        self._guilds = Remembered(tasks, self._read_guild, clock, CURRENT)
        self._channels = Remembered(tasks, self._read_channel, clock, CURRENT)

    async def person(self, person: str, guild: str = "") -> str:
        """See `app.service.people.names.Names`."""
        return await _name(self._people, (guild, person), guild or person, person)

    async def guild(self, guild: str) -> str:
        """See `app.service.people.names.Names`."""
        return await _name(self._guilds, guild, guild)

    async def channel(self, channel: str) -> str:
        """See `app.service.people.names.Names`."""
        return await _name(self._channels, channel, channel)

    async def _read_person(self, guild_and_person: tuple[str, str]) -> str:
        guild, person = guild_and_person
        if guild:
            member = await self._find(lambda rest: rest.fetch_member(int(guild), int(person)))
            if member is not None:
                return member.display_name
        user = await self._find(lambda rest: rest.fetch_user(int(person)))
        return user.global_name or user.username if user is not None else ""

    async def _read_guild(self, guild: str) -> str:
        read = await self._find(lambda rest: rest.fetch_guild(int(guild)))
        return read.name if read is not None else ""

    async def _read_channel(self, channel: str) -> str:
        read = await self._find(lambda rest: rest.fetch_channel(int(channel)))
        return read.name or "" if read is not None else ""

    async def _find(self, call: Callable[[hikari.api.RESTClient], Awaitable[T]]) -> T | None:
        async with self._room:
            return await self._sender.find(call)


async def _name(names: Remembered[K, str], key: K, *ids: str) -> str:
    """The name for a key that has these ids; the last known one if Discord does not answer soon."""
    if not all(ident.isascii() and ident.isdecimal() for ident in ids):
        return ""
    with anyio.move_on_after(PATIENCE):
        try:
            return await names.get(key)
        except SendError as error:
            logger.info("a name is not known", reason=str(error))
    return names.last(key) or ""
