"""What it costs that another front holds the shard of an interaction, and how soon others hold those of a killed one.

Two fronts as processes, Valkey and a fake Discord of four shards are on one machine: the network is left out.
"""

from __future__ import annotations

import statistics
import time
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from app.config.engine import EngineSettings
from app.engine.connection import Engine, open_engine
from app.engine.replication.shard_table import holdings_of
from tests.discord.fake import FakeDiscord, running
from tests.discord.fake.world import Channel
from tests.engine.valkey import Valkey
from tests.process.bot import bot

SHARDS = 4

EACH = 50
"""Commands in a server of each shard."""

PATIENCE = 60.0
"""Seconds for anything that is waited for."""

GOALS = {"more_to_answer_ms": 10.0}

ACTIVE, STANDBY = "active", "standby"


def shards(backend: str, rounds: int) -> dict[str, object]:
    """Return medians of all figures of one backend."""
    measured = [anyio.run(_measure, backend) for _ in range(rounds)]
    return {
        **{key: round(statistics.median(each[key] for each in measured), 3) for key in measured[0]},
        "goals": GOALS,
    }


async def _measure(backend: str) -> dict[str, float]:
    valkey = Valkey()
    valkey.start()
    try:
        with TemporaryDirectory() as name, running() as discord:
            return await _with_fronts(discord, valkey, Path(name), backend)
    finally:
        valkey.close()


async def _with_fronts(discord: FakeDiscord, valkey: Valkey, folder: Path, backend: str) -> dict[str, float]:
    channels = _channels(discord)
    address = f"valkey://127.0.0.1:{valkey.port}"
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(EngineSettings(host="127.0.0.1", port=valkey.port)))
        for name in (ACTIVE, STANDBY):
            (folder / name).mkdir()
            options = ("--engine", address, "--name", name)
            front = bot(discord, folder / name, backend, *options, command="front", by_fork=False)
            process = await stack.enter_async_context(front)
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        held = await _held(engine, 2)
        delays: dict[str, list[float]] = {ACTIVE: [], STANDBY: []}
        for _ in range(EACH):
            for name, numbers in held.items():
                delays[name] += [await _answered(discord, channels[number]) for number in numbers]
        own, relayed = (statistics.median(delays[name]) for name in (ACTIVE, STANDBY))
        process.kill()
        killed = time.monotonic()
        await _held(engine, 1)
        seconds = time.monotonic() - killed
    return {"to_answer_ms": own, "relayed_to_answer_ms": relayed, "more_to_answer_ms": relayed - own, "held_s": seconds}


def _channels(discord: FakeDiscord) -> dict[int, Channel]:
    """A channel of a server of each shard."""
    discord.gateway.shards = discord.gateway.together = SHARDS
    found = dict[int, Channel]()
    while len(found) < SHARDS:
        guild = discord.add_bot("a server")
        channel = next(each for each in discord.state.channels.values() if each.guild is guild)
        found[(int(guild.id) >> 22) % SHARDS] = channel
        # The shard depends on the millisecond.
        time.sleep(0.001)
    return found


async def _held(engine: Engine, fronts: int) -> dict[str, tuple[int, ...]]:
    """The shards of each front, by its name, once so many fronts hold equal parts."""
    await engine.ready()
    with anyio.fail_after(PATIENCE):
        while True:
            held = {each.front.name: each.connected for each in (await holdings_of(engine)).values()}
            if [*map(len, held.values())] == [SHARDS // fronts] * fronts:
                return held
            await anyio.sleep(0.05)


async def _answered(discord: FakeDiscord, channel: Channel) -> float:
    """Milliseconds from a command to its answer."""
    asked = discord.slash("help", channel=channel)
    await discord.until(lambda: asked.response, PATIENCE)
    return (asked.latency or 0.0) * 1000
