"""The model of the simulated world answers as a real Valkey does, to the same random sequence of our commands."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
import pytest

from app.config.engine import EngineSettings
from app.engine import scripts
from app.engine.connection import FIRST, Engine
from app.engine.replication import scripts as replication
from tests.engine.world import connected
from tests.simulation.engine.connection import ModelledEngine
from tests.simulation.engine.model import EngineModel

STEPS = 400

LONG = 60.0
"""Seconds in which nothing expires during the test."""

VALUES = ("lease", "head", "epoch", "other")
STREAMS = ("requests", "journal")

Command: TypeAlias = Callable[[Engine, "Ids"], Awaitable[object]]


class Ids:
    """The ids that an engine gave to entries, in order: their numbers differ, their order does not."""

    def __init__(self) -> None:
        self.given: list[str] = []

    def at(self, place: float) -> str:
        """The id at a place from 0 to 1; an unknown one if there is none."""
        return self.given[int(place * len(self.given))] if self.given else "1-1"

    def place(self, entry: str) -> object:
        """What compares equal for entries that were added at the same time."""
        return self.given.index(entry) if entry in self.given else entry


def drawn(rng: random.Random) -> Command:
    """One command, the same for whoever gets it."""
    value, other, stream = rng.choice(VALUES), rng.choice(VALUES), rng.choice(STREAMS)
    data, epoch, place, most = rng.choice((b"1", b"2 x", b"line 3 ff", b"")), rng.randrange(4), rng.random(), 3
    is_new = rng.random() < 0.5
    number = rng.randrange(1, 40)

    async def add(engine: Engine, ids: Ids) -> object:
        ids.given.append(await engine.add("requests", data, longest=1000, seconds=LONG * is_new))
        return None

    async def add_while_held(engine: Engine, ids: Ids) -> object:
        added = await engine.script(scripts.ADD_WHILE_HELD, ["requests", value], [1000, 0, data, b"1"])
        assert isinstance(added, bytes)
        if added:
            ids.given.append(added.decode())
        return bool(added)

    async def read(engine: Engine, ids: Ids) -> object:
        streams = await engine.read({"requests": ids.at(place), "journal": FIRST}, block=0.001, most=most)
        return {key: [(ids.place(entry.id), entry.data) for entry in entries] for key, entries in streams.items()}

    async def entries(engine: Engine, ids: Ids) -> object:
        start = ("(" if is_new else "") + ids.at(place)
        found = await engine.range(stream, start if stream == "requests" else "-", most=None if is_new else most)
        return [(ids.place(entry.id), entry.data) for entry in found]

    async def claim(engine: Engine, ids: Ids) -> object:
        return await engine.script(scripts.CLAIM, [value, "requests"], [data or b"z", ids.at(place), 60_000])

    async def leases(engine: Engine, _: Ids) -> object:
        found = await engine.leases([value, "requests", "none"])
        return [lease and (lease[0], round(lease[1] / LONG)) for lease in found]

    async def publish(engine: Engine, _: Ids) -> object:
        head = await engine.get("head")
        last = int(head.split(b" ")[1]) if head and head.count(b" ") == 2 else 0
        arguments = [data, f"line {last + number} ff", 1000, last, b"old", last + number, data]
        if any(int(entry.id.partition("-")[0]) >= last + number for entry in await engine.range("journal")):
            return None
        return await engine.script(replication.PUBLISH, [value, "journal", "head"], arguments)

    choices: tuple[Command, ...] = (
        lambda engine, _: engine.set(value, data, LONG, only_new=is_new),
        lambda engine, _: engine.get(value),
        lambda engine, _: engine.take(value),
        lambda engine, _: engine.values([value, other, "none"]),
        lambda engine, _: engine.delete(value, other),
        lambda engine, _: engine.expire(value, LONG),
        lambda engine, _: engine.keys("*e*"),
        lambda engine, _: engine.renew(value, data, LONG),
        lambda engine, _: engine.release(value, data),
        lambda engine, ids: engine.remove("requests", ids.at(place), "1-1"),
        lambda engine, _: engine.script(scripts.REPLACE, [value], [data, b"2 x", 60_000]),
        lambda engine, _: engine.script(replication.ACQUIRE, ["lease", "head", "count"], [data, epoch, b"me", 60_000]),
        lambda engine, _: engine.script(replication.REGAIN, ["lease", "count"], [data, epoch, 60_000, number % 4]),
        lambda engine, _: engine.script(
            replication.ANNOUNCE, ["lease", "journal", "head"], [data, f"line {number} ff"]
        ),
        lambda engine, _: engine.script(replication.WAITING, [value, other, stream], []),
        add,
        add_while_held,
        add,
        read,
        entries,
        claim,
        leases,
        publish,
    )
    return rng.choice(choices)


@pytest.mark.parametrize("seed", range(3))
async def test_the_model_answers_like_a_real_engine(database: EngineSettings, seed: int) -> None:
    rng = random.Random(seed)
    model = ModelledEngine(EngineModel(time.time), random.Random(seed))
    answers: list[object] = []
    async with connected(database) as real:
        real_ids, model_ids = Ids(), Ids()
        for step in range(STEPS):
            command = drawn(rng)
            expected, answer = await command(real, real_ids), await command(model, model_ids)
            assert answer == expected, step
            answers.append(answer)
    assert len({str(answer) for answer in answers}) > 30, "the commands must have had something to do"


async def test_what_has_expired_is_gone_from_both(database: EngineSettings) -> None:
    async with connected(database) as real:
        for engine in (real, ModelledEngine(EngineModel(time.time), random.Random(0))):
            assert await engine.set("lease", b"1", 0.05)
            await engine.add("requests", b"", longest=1, seconds=0.05)
            with anyio.fail_after(10):
                while await engine.keys("*"):  # noqa: ASYNC110  the engine says nothing when a key expires
                    await anyio.sleep(0.02)
            assert await engine.set("lease", b"2", 1.0, only_new=True)
            assert not await engine.renew("lease", b"1", 1.0)
            request = await engine.add("requests", b"", longest=9, seconds=9.0)
            await anyio.sleep(0.02)
            assert await engine.script(scripts.CLAIM, ["lease", "requests"], [b"2", request, 1]) == b"late"
