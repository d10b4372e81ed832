"""A front's shards against a fake Discord, and what arrives there, given to another bot."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from msgspec.structs import replace

from app.config.load import load_config
from app.config.settings import Config, Discord
from app.core.shards import GatewayEvent, ShardHolder
from app.discord.held_shards import hold_shards
from tests.discord.fake import FakeDiscord

PATIENCE = 20.0


class Source:
    """See `ShareSource`: what the test says."""

    def __init__(self) -> None:
        self.sessions = Counter[str]()
        self.holder: ShardHolder | None = None
        self.events: list[GatewayEvent] = []
        self.turns: list[int] = []
        self._share: tuple[int, frozenset[int]] | None = None
        self._changed = anyio.Event()

    def hold(self, count: int, *shards: int) -> None:
        self._share = count, frozenset(shards)
        self._changed.set()

    def held_by(self, holder: ShardHolder | None) -> None:
        self.holder = holder

    async def next_share(self) -> tuple[int, frozenset[int]]:
        await self._changed.wait()
        self._changed = anyio.Event()
        assert self._share is not None
        return self._share

    async def take(self, events: Sequence[GatewayEvent]) -> None:
        self.events += events

    async def turn(self, number: int, seconds: float) -> None:
        assert seconds > 0
        self.turns.append(number)

    @property
    def connected(self) -> frozenset[int]:
        return self.holder.connected if self.holder is not None else frozenset()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110  another loop's doing
            await anyio.sleep(0.005)


def configured(discord: FakeDiscord) -> Config:
    config = load_config({}, Path("/nowhere"))
    return replace(config, discord_token=discord.token, discord=Discord(rest_url=discord.rest_url))


@asynccontextmanager
async def holding(discord: FakeDiscord) -> AsyncGenerator[Source]:
    source = Source()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold_shards, configured(discord), source)
        yield source
        tasks.cancel_scope.cancel()


def on_line(discord: FakeDiscord) -> list[tuple[int, int]]:
    return discord.state.look(lambda: sorted(each.shard for each in discord.gateway.sessions.values() if each.line))


async def test_a_front_holds_exactly_what_it_is_to_hold(discord: FakeDiscord) -> None:
    discord.gateway.together = 2
    async with holding(discord) as source:
        assert not source.connected
        source.hold(4, 1, 3)
        await until(lambda: source.connected == frozenset({1, 3}))
        assert on_line(discord) == [(1, 4), (3, 4)]
        assert source.turns == [1, 1]
        sessions = discord.state.look(lambda: set(discord.gateway.sessions))
        source.hold(4, 0, 3)
        await until(lambda: source.connected == frozenset({0, 3}) and on_line(discord) == [(0, 4), (3, 4)])
        assert len(sessions & discord.state.look(lambda: set(discord.gateway.sessions))) == 1, "3 stayed connected"
        source.hold(2, 0)
        await until(lambda: source.connected == frozenset({0}) and on_line(discord) == [(0, 2)])
        source.hold(0)
        await until(lambda: not source.connected and not on_line(discord))
        source.hold(2, 1)
        await until(lambda: source.connected == frozenset({1}))
        assert source.sessions == Counter(new=5)
    assert not on_line(discord)
    assert source.holder is None
