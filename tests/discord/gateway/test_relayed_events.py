"""Which events a front sends to the active front, and what hikari makes of them there."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from types import MappingProxyType
from typing import Any, TypeVar, TypeVarTuple

import anyio
import anyio.lowlevel
import hikari
import msgspec
import pytest
from hikari.impl import event_manager

from app.discord.gateway.bot import hikari_bot, intents_of
from app.discord.gateway.guilds.arrivals import Arrivals
from app.discord.gateway.guilds.deletions import Deletions
from app.discord.gateway.interactions.once import MOST_REMEMBERED, REMEMBERED, Once
from app.discord.gateway.relayed_events import EMPTIED, RELAYED, lasts, relayed
from app.discord.gateway.relayed_gateway import DistantShard
from tests.discord.fake import FakeDiscord
from tests.discord.fake.world import describe_guild

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def ignore(*_: object) -> None:
    await anyio.lowlevel.checkpoint()


async def call(function: Callable[[*Ts], Awaitable[T]], /, *args: *Ts) -> T:
    return await function(*args)


def listening(discord: FakeDiscord) -> hikari.GatewayBot:
    """A bot with all that ours listens to at the gateway."""
    bot = hikari_bot(discord.token, discord.rest_url, intents_of(deletions=True))
    Arrivals(call, ignore, ignore).subscribe(bot)
    Deletions(call, ignore).subscribe(bot)
    bot.subscribe(hikari.InteractionCreateEvent, ignore)
    return bot


UNFILTERED = {"on_guild_create", "on_guild_update"}
"""Handlers of hikari that do not say which events they make."""


def names_of(event: type[hikari.Event]) -> set[str]:
    """Discord's names of what hikari may make this event of."""
    found = set[str]()
    for name, handler in inspect.getmembers(event_manager.EventManagerImpl):
        mask = getattr(handler, "__events_bitmask__", -1 if name in UNFILTERED else 0)
        if name.startswith("on_") and mask & event.bitmask() == event.bitmask():
            found.add(name.removeprefix("on_").upper())
    return found


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_all_that_the_bot_listens_to_is_sent_to_the_active_front(discord: FakeDiscord) -> None:
    bot = listening(discord)
    events = [event for event in all_of(hikari.Event) if bot.get_listeners(event, polymorphic=False)]
    heard = set[str]().union(*map(names_of, events))
    assert len(events) > 10
    # hikari makes other events of these two, to which nobody listens.
    assert heard - {"THREAD_CREATE", "THREAD_LIST_SYNC"} == RELAYED


def all_of(event: type[Any]) -> set[type[Any]]:
    return {event, *(one for each in event.__subclasses__() for one in all_of(each))}


async def test_a_server_is_sent_if_the_bot_was_added_and_without_its_long_lists() -> None:
    guild = {"id": "1", "name": "a server", "members": [1, 2], "roles": [3]}
    assert relayed("GUILD_CREATE", guild | {"unavailable": False}) is None
    payload = relayed("GUILD_CREATE", MappingProxyType(guild))
    assert msgspec.json.decode(payload or b"") == {"id": "1", "name": "a server", "members": [], "roles": []}
    assert relayed("PRESENCE_UPDATE", {}) is None
    payload = relayed("INTERACTION_CREATE", {"id": "1", "members": [1]})
    assert msgspec.json.decode(payload or b"") == {"id": "1", "members": [1]}
    assert lasts("INTERACTION_CREATE") > 0
    assert not lasts("GUILD_CREATE")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_hikari_reads_a_server_without_its_long_lists_and_knows_who_the_bot_is(discord: FakeDiscord) -> None:
    bot = listening(discord)
    arrived: list[hikari.GuildJoinEvent | hikari.GuildUpdateEvent] = []

    async def receive(event: hikari.GuildJoinEvent | hikari.GuildUpdateEvent) -> None:
        arrived.append(event)
        await anyio.lowlevel.checkpoint()

    bot.subscribe(hikari.GuildJoinEvent, receive)
    bot.subscribe(hikari.GuildUpdateEvent, receive)
    shard = DistantShard(bot, hikari.Snowflake(7), 3, 4)
    guild: dict[str, Any] = describe_guild(discord.guild, [discord.alice], [discord.channel])
    guild.update((key, []) for key in EMPTIED)
    for name in ("GUILD_CREATE", "GUILD_UPDATE"):
        payload = msgspec.json.decode(relayed(name, guild) or b"")
        bot.event_manager.consume_raw_event(name, shard, payload)
    with anyio.fail_after(10):
        while len(arrived) < 2:
            await anyio.lowlevel.checkpoint()
    assert {int(event.guild_id) for event in arrived} == {int(discord.guild.id)}
    assert {int(event.shard.get_user_id()) for event in arrived} == {7}
    assert {event.shard.id for event in arrived} == {3}


async def test_an_interaction_is_new_once_within_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(anyio, "current_time", lambda: now)
    once = Once(ignore)
    assert [once.is_new(number) for number in (1, 2, 1, 2, 3)] == [True, True, False, False, True]
    now += REMEMBERED - 1
    assert not once.is_new(1)
    now += 2
    assert once.is_new(1)
    for number in range(10, 10 + 2 * MOST_REMEMBERED):
        assert once.is_new(number)
    assert not once.is_new(9 + 2 * MOST_REMEMBERED)
    assert once.is_new(1), "no more are remembered"
