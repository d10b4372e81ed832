"""Two fronts as processes that divide four shards of a fake Discord: people get pictures, whoever holds a shard."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest

from app.config.engine import EngineSettings
from app.engine.connection import Engine, open_engine
from app.engine.replication.shard_table import holdings_of
from app.ports import ConnectionLost
from tests.discord.fake import FakeDiscord, Interaction
from tests.discord.fake.world import Channel
from tests.engine.valkey import Valkey
from tests.process.bot import PATIENCE, comfyui, send_signal, until
from tests.process.test_fronts import assert_each_shown_once, follows, front, is_shown, valkey, written

__all__ = ["valkey"]

SHARDS = 4


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the fronts' are parameters."""
    return "asyncio"


@pytest.fixture
def channels(discord: FakeDiscord) -> list[Channel]:
    """A Discord of several shards, and a channel of a server of each."""
    gateway = discord.gateway
    gateway.shards, gateway.together, gateway.to_all = SHARDS, SHARDS, True
    by_shard = dict[int, Channel]()
    while len(by_shard) < SHARDS:
        guild = discord.add_bot("a server")
        channel = next(each for each in discord.state.channels.values() if each.guild is guild)
        by_shard[(int(guild.id) >> 22) % SHARDS] = channel
        time.sleep(0.001)
    return [by_shard[number] for number in range(SHARDS)]


async def held(engine: Engine) -> dict[str, set[int]]:
    """The shards that each front has connected, by its name, as it said itself last."""
    try:
        return {each.front.name: set(each.connected) for each in (await holdings_of(engine)).values()}
    except ConnectionLost:
        return {}


async def divided(engine: Engine, **counts: int) -> dict[str, set[int]]:
    """Wait until exactly these fronts hold so many shards each, all of them together."""
    with anyio.fail_after(PATIENCE):
        while True:
            found = await held(engine)
            if {name: len(shards) for name, shards in found.items()} == counts:
                assert set().union(*found.values()) == set(range(SHARDS))
                return found
            await anyio.sleep(0.05)


def ask(discord: FakeDiscord, channel: Channel) -> Interaction:
    return discord.slash("txt2img", channel=channel, prompt="a boat", width=64, height=64)


async def shown(discord: FakeDiscord, channels: list[Channel]) -> list[Interaction]:
    """Ask for a picture in each of these channels, and see it there."""
    asked = [ask(discord, channel) for channel in channels]
    for each in asked:
        await discord.until(lambda each=each: is_shown(discord, each), PATIENCE)
    return asked


async def make_one(discord: FakeDiscord, channel: Channel) -> None:
    """Ask for a picture until a front is there that makes one."""
    asked: list[Interaction] = []
    with anyio.fail_after(PATIENCE):
        while not any(is_shown(discord, each) for each in asked):
            asked.append(ask(discord, channel))
            with suppress(TimeoutError):
                await discord.until(lambda: is_shown(discord, asked[-1]), 3.0)


@asynccontextmanager
async def asking(discord: FakeDiscord, channels: list[Channel]) -> AsyncGenerator[None]:
    """Ask for something small in all of these channels all the time during the block; everybody gets an answer."""
    asked: list[Interaction] = []

    async def ask_all() -> None:
        while True:
            asked.extend(discord.slash("usage", channel=channel) for channel in channels)
            await anyio.sleep(0.1)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask_all)
        yield
        tasks.cancel_scope.cancel()
    assert len(asked) > len(channels)
    await discord.until(lambda: all(each.response for each in asked), PATIENCE)


def answers(discord: FakeDiscord) -> Counter[str]:
    """How often each interaction was answered, with or without success."""
    return Counter(request.path for request in discord.requested("POST", "callback"))


async def test_people_get_their_pictures_whichever_front_holds_their_shard(
    discord: FakeDiscord, channels: list[Channel], tmp_path: Path, valkey: Valkey
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with (
        open_engine(EngineSettings(host="127.0.0.1", port=valkey.port)) as engine,
        comfyui(tmp_path) as (_, address),
        front(discord, first, "trio", valkey, address) as one,
    ):
        await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        await divided(engine, first=4)
        await shown(discord, channels)
        async with front(discord, second, "asyncio", valkey, address) as two:
            found = await divided(engine, first=2, second=2)
            asked = await shown(discord, channels)
            for shard in found["second"]:
                # It arrives again, such as while a shard moves.
                sent = asked[shard].payload, channels[shard].guild
                assert discord.state.do(discord.gateway.dispatch, "INTERACTION_CREATE", *sent) == 1
            await shown(discord, channels)
            async with asking(discord, channels):
                send_signal(two, signal.SIGTERM)
                with anyio.fail_after(PATIENCE):
                    assert await two.wait() == 0
                await divided(engine, first=4)
        async with front(discord, second, "asyncio", valkey, address) as two:
            await divided(engine, first=2, second=2)
            two.kill()
            await two.wait()
            await divided(engine, first=4)
            await shown(discord, channels)
        async with front(discord, second, "asyncio", valkey, address) as two:
            await divided(engine, first=2, second=2)
            await until(lambda: follows(second, first))
            one.kill()
            await one.wait()
            for channel in channels:
                await make_one(discord, channel)
            await divided(engine, second=4)
            async with front(discord, first, "trio", valkey, address):
                await divided(engine, first=2, second=2)
                await until(lambda: follows(first, second))
                send_signal(two, signal.SIGTERM)
                with anyio.fail_after(PATIENCE):
                    assert await two.wait() == 0
                await divided(engine, first=4)
                await shown(discord, channels)
                await until(lambda: all(job.notified for job in written(first)))
    assert set(answers(discord).values()) == {1}
    assert_each_shown_once(discord, first, 24)
