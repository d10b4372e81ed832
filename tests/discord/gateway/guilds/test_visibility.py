"""Who may see a channel or thread: the answers agree with an independent computation, and are at most so old."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar, cast

import anyio
import hikari
import pytest
from anyio import lowlevel
from hikari import Permissions
from hikari.impl import RESTClientImpl
from msgspec import Struct, field
from msgspec.structs import replace

from app.discord.bridge import loop_bridge
from app.discord.gateway.bot import hikari_bot
from app.discord.gateway.guilds.reader import GuildReader
from app.discord.gateway.guilds.remembered import CURRENT, Remembered
from app.discord.gateway.guilds.visibility import (
    PATIENCE,
    ChannelFacts,
    ChannelKind,
    GuildFacts,
    GuildVisibility,
    MemberFacts,
    Overwrite,
)
from app.discord.gateway.rest.client import RestSender
from app.discord.messages.ports import Away
from app.service.people.standing import Standing
from app.service.people.visibility import OwnOnly, Place, may_read
from app.service.queue.live_queue import ASKING
from app.service.queue.stream import RIGHTS_CURRENT
from tests.discord.fake import FakeDiscord
from tests.discord.fake import world as world_of
from tests.discord.fake.world import MEMBER, SEND_MESSAGES, Channel, Person
from tests.discord.one_backend import only_on

anyio_backend = only_on("trio")

T = TypeVar("T")

VIEW, HISTORY = Permissions.VIEW_CHANNEL, Permissions.READ_MESSAGE_HISTORY
ADMIN, THREADS, CONNECT = Permissions.ADMINISTRATOR, Permissions.MANAGE_THREADS, Permissions.CONNECT
SEND, SEND_IN_THREADS = Permissions.SEND_MESSAGES, Permissions.SEND_MESSAGES_IN_THREADS
MANAGE, ATTACH = Permissions.MANAGE_MESSAGES, Permissions.ATTACH_FILES
BITS = (VIEW, HISTORY, THREADS, CONNECT, SEND, SEND_IN_THREADS, MANAGE, ATTACH)
"""The permissions that matter, without the one that gives all others."""

GUILD, OTHER = "1", "2"
NOW = 1_700_000_000.0
PEOPLE = ("p1", "p2", "p3")
BOT = "p3"
ROLES = ("r1", "r2", "r3")


class World(Struct):
    """A Discord server as it is now, and a `FactReader` of it, which counts its requests."""

    owner: str = "p1"
    members: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    permissions: dict[str, Permissions] = field(default_factory=dict[str, Permissions])
    channels: dict[str, ChannelFacts] = field(default_factory=dict[str, ChannelFacts])
    thread_members: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    silent: set[str] = field(default_factory=set[str])
    """The people who may not write now."""
    gone: bool = False
    """Whether the bot is no longer in the server."""
    away: bool = False
    """Whether Discord does not answer."""
    slow: float = 0.0
    """Seconds that each answer takes."""
    requests: int = 0

    async def guild(self, guild: str) -> GuildFacts | None:
        known = guild == GUILD and not self.gone
        return await self._answer(GuildFacts(self.owner, dict(self.permissions)) if known else None)

    async def channel(self, channel: str) -> ChannelFacts | None:
        return await self._answer(None if self.gone else self.channels.get(channel))

    async def member(self, guild_and_person: tuple[str, str]) -> MemberFacts | None:
        guild, person = guild_and_person
        roles = self.members.get(person) if guild == GUILD and not self.gone else None
        silent_until = NOW + 60.0 if person in self.silent else NOW - 60.0
        return await self._answer(None if roles is None else MemberFacts(frozenset(roles), silent_until))

    async def is_in_thread(self, thread_and_person: tuple[str, str]) -> bool:
        return await self._answer(thread_and_person in self.thread_members)

    async def _answer(self, answer: T) -> T:
        self.requests += 1
        await (anyio.sleep(self.slow) if self.slow else lowlevel.checkpoint())
        if self.away:
            raise Away("Discord is away.")
        return answer


def granted(world: World, person: str, channel: ChannelFacts, bit: Permissions) -> bool:
    """Whether a member has one permission in a channel, by what has priority: the person, roles, everybody."""
    mine = world.members[person]
    own = channel.overwrites.get(person)
    if own is not None and own.allow & bit:
        return True
    if own is not None and own.deny & bit:
        return False
    theirs = [channel.overwrites[role] for role in mine if role in channel.overwrites]
    if any(overwrite.allow & bit for overwrite in theirs):
        return True
    if any(overwrite.deny & bit for overwrite in theirs):
        return False
    everybody = channel.overwrites.get(GUILD)
    if everybody is not None and everybody.allow & bit:
        return True
    if everybody is not None and everybody.deny & bit:
        return False
    return any(bool(world.permissions.get(role, Permissions.NONE) & bit) for role in {GUILD, *mine})


def truth(world: World, person: str, channel: str) -> bool:
    """Whether Discord would show a channel to a person."""
    place = world.channels.get(channel)
    if world.gone or person not in world.members or place is None or place.guild != GUILD:
        return False
    parent = world.channels.get(place.parent) if place.parent else place
    if parent is None:
        return False
    if world.owner == person or any(world.permissions.get(role, 0) & ADMIN for role in {GUILD, *world.members[person]}):
        return True
    if not all(granted(world, person, parent, bit) for bit in (VIEW, HISTORY)):
        return False
    if parent.kind == "voice" and not granted(world, person, parent, CONNECT):
        return False
    added = (channel, person) in world.thread_members
    return place.kind != "private_thread" or added or granted(world, person, parent, THREADS)


def may(world: World, person: str, channel: str, *needed: Permissions) -> bool:
    """Whether somebody who has access to a channel may do all of this there."""
    place = world.channels[channel]
    mine = {GUILD, *world.members[person]}
    if world.owner == person or any(world.permissions.get(role, 0) & ADMIN for role in mine):
        return True
    parent = world.channels[place.parent] if place.parent else place
    return all(granted(world, person, parent, bit) for bit in needed)


def may_write(world: World, person: str, channel: str) -> bool:
    """Whether Discord would let somebody write in a channel that they have access to."""
    place = world.channels[channel]
    locked = place.locked and not may(world, person, channel, THREADS)
    return may(world, person, channel, SEND_IN_THREADS if place.parent else SEND) and not locked


def expected_standing(world: World, person: str, channel: str) -> Standing:
    """What Discord would let somebody do in a channel."""
    if not truth(world, person, channel):
        return Standing()
    posts = False
    # What a bot cannot read it may still write to.
    if BOT in world.members and (world.channels[channel].kind != "private_thread" or truth_of_thread(world, channel)):
        posts = may(world, BOT, channel, VIEW, ATTACH) and may_write(world, BOT, channel) and BOT not in world.silent
    return Standing(
        sees=True,
        writes=may_write(world, person, channel) and person not in world.silent,
        bot_posts=posts,
        moderator=may(world, person, channel, MANAGE) and person not in world.silent,
        roles=frozenset(world.members[person]),
        parent=world.channels[channel].parent,
    )


def truth_of_thread(world: World, channel: str) -> bool:
    """Whether the bot was added to a private thread, or manages threads."""
    return (channel, BOT) in world.thread_members or may(world, BOT, channel, THREADS)


def random_permissions(rng: random.Random, share: float) -> Permissions:
    permissions = Permissions.NONE
    for bit in BITS:
        permissions |= bit if rng.random() < share else Permissions.NONE
    return permissions | (ADMIN if rng.random() < share / 8 else Permissions.NONE)


def random_overwrites(rng: random.Random) -> dict[str, Overwrite]:
    concerned = rng.sample([GUILD, *ROLES, *PEOPLE], rng.randint(0, 4))
    overwrites: dict[str, Overwrite] = {}
    for ident in concerned:
        allow = random_permissions(rng, 0.3) & ~ADMIN
        overwrites[ident] = Overwrite(allow, random_permissions(rng, 0.4) & ~ADMIN & ~allow)
    return overwrites


def random_world(rng: random.Random) -> World:
    world = World(owner=rng.choice((*PEOPLE, "somebody else")))
    for person in PEOPLE:
        if rng.random() < 0.9:
            world.members[person] = set(rng.sample(ROLES, rng.randint(0, 3)))
    world.permissions = {GUILD: random_permissions(rng, 0.7) & ~ADMIN} | {
        role: random_permissions(rng, 0.3) for role in ROLES
    }
    kinds: tuple[ChannelKind, ...] = ("text", "voice")
    for name in ("c1", "c2"):
        world.channels[name] = ChannelFacts(GUILD, rng.choice(kinds), overwrites=random_overwrites(rng))
    threads: tuple[ChannelKind, ...] = ("thread", "private_thread")
    for name in ("t1", "t2", "t3"):
        world.channels[name] = ChannelFacts(GUILD, rng.choice(threads), rng.choice(("c1", "c2")))
    world.channels["elsewhere"] = ChannelFacts(OTHER)
    world.thread_members = {(thread, person) for thread in ("t1", "t2") for person in PEOPLE if rng.random() < 0.4}
    return world


def small_world(*, away: bool = False, slow: float = 0.0) -> World:
    """One channel that one member sees, who does not own the server."""
    world = World(away=away, slow=slow, permissions={GUILD: VIEW | HISTORY}, channels={"c1": ChannelFacts(GUILD)})
    world.members["p2"] = set()
    return world


def change(world: World, rng: random.Random) -> None:
    """Grant or revoke something."""
    person, role, channel = rng.choice(PEOPLE), rng.choice(ROLES), rng.choice(("c1", "c2"))
    match rng.randrange(8):
        case 0:
            world.members.pop(person, None)
        case 1:
            world.members[person] = set(rng.sample(ROLES, rng.randint(0, 3)))
        case 2:
            world.permissions[rng.choice((GUILD, *ROLES))] = random_permissions(rng, 0.5)
        case 3:
            kind = world.channels[channel].kind if channel in world.channels else "text"
            world.channels[channel] = ChannelFacts(GUILD, kind, overwrites=random_overwrites(rng))
        case 4:
            world.thread_members ^= {(rng.choice(("t1", "t2", "t3")), person)}
        case 5:
            world.channels.pop(rng.choice(("c1", "t1", "t2")), None)
        case 6:
            world.owner = person
        case _:
            world.permissions.pop(role, None)


@asynccontextmanager
async def visibility_of(
    world: World, clock: Callable[[], float] = anyio.current_time
) -> AsyncGenerator[GuildVisibility]:
    async with anyio.create_task_group() as tasks:
        yield GuildVisibility(tasks, world, clock, bot=BOT, now=lambda: NOW)
        tasks.cancel_scope.cancel()


PLACES = ("c1", "c2", "t1", "t2", "t3", "elsewhere", "unknown")


async def check(visibility: GuildVisibility, world: World) -> int:
    """Ask for everybody and everything; return how many may see something."""
    seen = 0
    for person in (*PEOPLE, "stranger"):
        for channel in PLACES:
            expected = truth(world, person, channel)
            assert await visibility.may_see(person, Place(GUILD, channel, "owner")) is expected, (person, channel)
            seen += expected
    return seen


@pytest.mark.parametrize("group", range(5))
async def test_nobody_sees_more_or_less_than_discord_would_show(group: int) -> None:
    seen = 0
    for seed in range(60):
        world = random_world(random.Random(f"{group} {seed}"))
        async with visibility_of(world) as visibility:
            seen += await check(visibility, world)
    assert 200 < seen < 60 * 28 - 200


async def test_nobody_may_do_more_or_less_in_a_channel_than_discord_would_allow() -> None:
    writing = posting = 0
    for seed in range(150):
        rng = random.Random(f"standing {seed}")
        world = random_world(rng)
        world.silent = {person for person in PEOPLE if rng.random() < 0.15}
        for thread in ("t1", "t2"):
            if thread in world.channels:
                world.channels[thread] = replace(world.channels[thread], locked=rng.random() < 0.3)
        async with visibility_of(world) as visibility:
            for person, channel in ((person, channel) for person in (*PEOPLE, "stranger") for channel in PLACES):
                expected = expected_standing(world, person, channel)
                assert await visibility.standing(person, Place(GUILD, channel, "owner")) == expected, (person, channel)
                writing, posting = writing + expected.writes, posting + expected.bot_posts
    assert writing > 100
    assert posting > 100


async def test_what_somebody_may_do_is_unknown_while_discord_does_not_answer_and_ones_own_messages_are_ones_own() -> (
    None
):
    async with visibility_of(small_world(away=True)) as visibility:
        assert await visibility.standing("p2", Place(GUILD, "c1", "p1")) is None
        own = Standing(sees=True, writes=True, bot_posts=True)
        assert await visibility.standing("p2", Place("", "9", "p2")) == own
        assert await visibility.standing("p1", Place("", "9", "p2")) == Standing()
        assert await visibility.standing("", Place("", "9", "")) == Standing()


async def test_what_was_revoked_or_granted_counts_after_five_minutes_at_most() -> None:
    clock = [1000.0]
    changed = 0
    for seed in range(60):
        rng = random.Random(seed)
        world = random_world(rng)
        async with visibility_of(world, lambda: clock[0]) as visibility:
            before = await check(visibility, world)
            for _ in range(rng.randint(1, 4)):
                change(world, rng)
            clock[0] += CURRENT
            changed += await check(visibility, world) != before
    assert changed > 10


def test_what_was_revoked_counts_within_five_minutes_on_pages_that_stay_open() -> None:
    assert CURRENT + RIGHTS_CURRENT + ASKING <= 300.0


async def test_an_answer_counts_from_when_it_was_asked_for() -> None:
    clock = [1000.0]

    async def read(_: str) -> float:
        asked = clock[0]
        clock[0] += 10.0
        return asked

    async with anyio.create_task_group() as tasks:
        answers = Remembered(tasks, read, lambda: clock[0])
        assert await answers.get("p2") == 1000.0
        clock[0] = 1000.0 + CURRENT - 1.0
        assert await answers.get("p2") == 1000.0
        clock[0] = 1000.0 + CURRENT
        assert await answers.get("p2") == 1000.0 + CURRENT


async def test_what_changed_counts_at_once_where_discord_said_so() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        world = random_world(rng)
        async with visibility_of(world) as visibility:
            await check(visibility, world)
            change(world, rng)
            visibility.forget(GUILD)
            await check(visibility, world)


async def test_answers_are_asked_for_once_however_many_ask() -> None:
    world = World(
        members={"p2": set()}, permissions={GUILD: VIEW | HISTORY}, channels={"c1": ChannelFacts(GUILD)}, slow=0.01
    )
    async with visibility_of(world) as visibility:
        async with anyio.create_task_group() as asking:
            for _ in range(20):
                asking.start_soon(visibility.may_see, "p2", Place(GUILD, "c1", "p1"))
        assert world.requests == 3
        assert await visibility.may_see("p2", Place(GUILD, "c1", "p1"))
        assert world.requests == 3


async def test_only_so_many_answers_are_kept_and_the_oldest_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.discord.gateway.guilds.remembered.MOST_KEPT", 2)
    asked: list[str] = []

    async def read(key: str) -> str:
        await lowlevel.checkpoint()
        asked.append(key)
        return key

    async with anyio.create_task_group() as tasks:
        answers = Remembered(tasks, read)
        for key in ("a", "b", "a", "c", "b", "a"):
            assert await answers.get(key) == key
    assert asked == ["a", "b", "c", "a"]


async def test_an_answer_that_was_on_its_way_when_something_changed_does_not_count() -> None:
    world = World(
        members={"p2": set()}, permissions={GUILD: VIEW | HISTORY}, channels={"c1": ChannelFacts(GUILD)}, slow=0.01
    )
    place = Place(GUILD, "c1", "p1")
    async with visibility_of(world) as visibility:
        async with anyio.create_task_group() as asking:
            asking.start_soon(visibility.may_see, "p2", place)
            await anyio.wait_all_tasks_blocked()
            world.permissions[GUILD] = Permissions.NONE
            visibility.forget(GUILD)
        assert not await visibility.may_see("p2", place)


async def test_nothing_is_shown_while_discord_does_not_answer_and_that_is_not_remembered() -> None:
    world = World(
        members={"p2": set()}, permissions={GUILD: VIEW | HISTORY}, channels={"c1": ChannelFacts(GUILD)}, away=True
    )
    place = Place(GUILD, "c1", "p1")
    async with visibility_of(world) as visibility:
        assert not await visibility.may_see("p2", place)
        world.away = False
        assert await visibility.may_see("p2", place)


async def test_who_asks_does_not_wait_long_and_the_request_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.discord.gateway.guilds.visibility.PATIENCE", 0.0)
    world = small_world()
    place = Place(GUILD, "c1", "p1")
    async with visibility_of(world) as visibility:
        assert not await visibility.may_see("p2", place)
        await anyio.wait_all_tasks_blocked()
        assert world.requests == 1
        monkeypatch.setattr("app.discord.gateway.guilds.visibility.PATIENCE", PATIENCE)
        assert await visibility.may_see("p2", place)


async def test_direct_messages_are_for_their_person_and_ones_own_is_for_oneself() -> None:
    async with visibility_of(World()) as visibility:
        assert await visibility.may_see("p2", Place("", "9", "p2"))
        assert not await visibility.may_see("p1", Place("", "9", "p2"))
        assert not await visibility.may_see("", Place("", "9", ""))
        assert await may_read(visibility, "p1", "p1", None)
        assert not await may_read(visibility, "p2", "p1", None)
        assert await may_read(OwnOnly(), "p2", "p1", Place("", "", "p2"))
        assert not await may_read(OwnOnly(), "p2", "p1", Place("1", "2", "p1"))


@asynccontextmanager
async def sender_of(fake: FakeDiscord) -> AsyncGenerator[RestSender]:
    """A sender to a Discord, without a bot around it."""
    async with loop_bridge() as (into_asyncio, _):

        async def start() -> hikari.GatewayBot:
            bot = hikari_bot(fake.token, fake.rest_url)
            cast("RESTClientImpl", bot.rest).start()
            return bot

        bot = await into_asyncio(start)
        sender = RestSender(into_asyncio)
        sender.open(bot.rest, hikari.Snowflake(fake.state.bot.id))
        try:
            yield sender
        finally:
            with anyio.CancelScope(shield=True):
                await into_asyncio(bot.rest.close)


async def test_what_discord_says_by_rest_is_read(fake: FakeDiscord) -> None:
    guild, bob, carol = fake.guild, fake.person("bob"), fake.person("carol", roles=["77"])
    guild.roles["77"], guild.role_permissions["77"] = 1, world_of.MEMBER
    secret, private = fake.open_channel("secret"), fake.open_thread("private")
    secret.overwrites = [
        {"id": guild.id, "type": 0, "allow": "0", "deny": str(world_of.VIEW_CHANNEL)},
        {"id": "77", "type": 0, "allow": str(world_of.VIEW_CHANNEL), "deny": "0"},
    ]
    private.private, private.members = True, {bob.id}
    thread, unseen = fake.open_thread("open"), fake.open_channel("unseen", bot_permissions=0)
    async with sender_of(fake) as sender, anyio.create_task_group() as tasks:
        visibility = GuildVisibility(tasks, GuildReader(sender), bot=fake.state.bot.id)

        async def seen(person: Person, *channels: Channel) -> list[bool]:
            return [await visibility.may_see(person.id, Place(guild.id, channel.id, "1")) for channel in channels]

        channels = fake.channel, secret, thread, private, unseen, fake.dm(bob)
        assert await seen(bob, *channels) == [True, False, True, True, False, False]
        assert await seen(carol, *channels) == [True, True, True, False, False, False]
        assert await seen(fake.alice, secret, private) == [True, True], "she owns the server"
        fake.state.people[carol.id].silent_until = "2999-01-01T00:00:00.000000+00:00"
        quiet, thread.locked = fake.open_channel("quiet", bot_permissions=MEMBER & ~SEND_MESSAGES), True
        visibility.forget(guild.id)

        async def standing(person: Person, channel: Channel) -> Standing | None:
            return await visibility.standing(person.id, Place(guild.id, channel.id, "1"))

        roles = frozenset({guild.id})
        assert await standing(bob, fake.channel) == Standing(sees=True, writes=True, bot_posts=True, roles=roles)
        assert await standing(bob, thread) == Standing(sees=True, roles=roles, parent=fake.channel.id)
        assert await standing(fake.alice, quiet) == Standing(sees=True, writes=True, moderator=True, roles=roles)
        assert await standing(carol, secret) == Standing(sees=True, roles=roles | {"77"}), "she may not write for now"
        guild.left.add(carol.id)
        visibility.forget(guild.id)
        assert await seen(carol, *channels) == [False] * len(channels)
        assert not await visibility.may_see(bob.id, Place("123", fake.channel.id, "1")), "a server without the bot"
        fake.fail("GET", "/guilds", status=503, times=None)
        visibility.forget(guild.id)
        assert await seen(bob, fake.channel) == [False]
