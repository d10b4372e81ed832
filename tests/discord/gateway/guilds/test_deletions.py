"""Deleted messages: each that Discord names reaches the core, alone or among many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, TypeVarTuple, cast
from unittest import mock

import hikari
import pytest
from hikari.impl import EntityFactoryImpl, EventFactoryImpl

from app.discord.gateway.guilds.deletions import Deletions

pytestmark = pytest.mark.anyio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Listened:
    """The part of a bot that lets others hear its events."""

    def __init__(self) -> None:
        self.heard: dict[type, Callable[[hikari.Event], Awaitable[None]]] = {}

    def subscribe(self, kind: type, heard: Callable[[hikari.Event], Awaitable[None]]) -> None:
        self.heard[kind] = heard


async def at_once(function: Callable[[*Ts], Awaitable[T]], /, *args: *Ts) -> T:
    """A `CrossLoopCall` to the same loop."""
    return await function(*args)


async def test_every_deleted_message_reaches_the_core() -> None:
    app, bot, deleted = mock.Mock(), Listened(), list[str]()
    app.entity_factory = EntityFactoryImpl(app)
    events, where = EventFactoryImpl(app), {"channel_id": "7", "guild_id": "8"}

    async def take(messages: Sequence[str]) -> None:
        deleted.extend(messages)

    Deletions(at_once, take).subscribe(cast("hikari.GatewayBot", bot))
    one = events.deserialize_message_delete_event(mock.Mock(), {"id": "1", **where})
    await bot.heard[hikari.GuildMessageDeleteEvent](one)
    several = events.deserialize_guild_message_delete_bulk_event(mock.Mock(), {"ids": ["2", "3"], **where})
    await bot.heard[hikari.GuildBulkMessageDeleteEvent](several)
    assert sorted(deleted) == ["1", "2", "3"]
