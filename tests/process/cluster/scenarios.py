"""The runs: everything goes wrong while people ask, and fronts that are restarted one after the other."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import anyio

from tests.process.bot import until
from tests.process.cluster.cluster import running_cluster
from tests.process.cluster.faults import LONG_OF_VALKEY, OF_FRONTS, OF_VALKEY, OF_WORKERS, Faults
from tests.process.cluster.outcome import Outcome, outcome
from tests.process.cluster.people import People

PEOPLE = 50

WORKERS = 3

PAUSE = 2.0
LONG_PAUSE = 25.0
"""Seconds between two faults at most, in a short run and in a long one, in which people get pictures between them."""

AROUND = 1.0
"""Seconds for which people ask before a restart, and after it."""


async def with_faults(folder: Path, jobs: int, seed: int, say: Callable[[str], None], *, is_long: bool) -> Outcome:
    """Let people ask until there are so many jobs and every fault has happened."""
    rng = random.Random(seed)
    result: Outcome | None = None
    async with running_cluster(folder, WORKERS) as cluster, anyio.create_task_group() as tasks:
        began = anyio.current_time()
        people = People(cluster.discord, PEOPLE, rng)
        faults = Faults(cluster, rng, LONG_PAUSE if is_long else PAUSE, say)
        kinds = OF_FRONTS, OF_WORKERS, LONG_OF_VALKEY if is_long else OF_VALKEY
        wrong = True

        def lacks_jobs() -> bool:
            return len(people.accepted) < jobs

        async def go_wrong() -> None:
            nonlocal wrong
            await faults.run(lacks_jobs, kinds)
            wrong = False

        tasks.start_soon(people.watch)
        async with anyio.create_task_group() as asking:
            asking.start_soon(go_wrong)
            asking.start_soon(people.ask_in_turn, lambda: wrong or lacks_jobs())
        say(f"nothing goes wrong any more: {dict(people.stages)}")
        result = await outcome(cluster, people, began, dict(faults.happened), faults.periods)
        tasks.cancel_scope.cancel()
    assert result is not None
    return result


async def with_restarts(
    folder: Path, restarts: int, per_second: float, seed: int, say: Callable[[str], None]
) -> Outcome:
    """Stop the active front and start it again, so many times, while people ask so many times per second."""
    result: Outcome | None = None
    async with running_cluster(folder, WORKERS) as cluster, anyio.create_task_group() as tasks:
        began = anyio.current_time()
        people = People(cluster.discord, PEOPLE, random.Random(seed))
        tasks.start_soon(people.watch)
        broken: list[str] = []
        for _ in range(restarts):
            active, other = await cluster.pair()
            async with anyio.create_task_group() as asking:
                asking.start_soon(people.ask_at_a_rate, per_second)
                await anyio.sleep(AROUND)
                stopped = anyio.current_time()
                say(f"stop {active.name}")
                if (code := await active.stop()) != 0:
                    broken.append(f"{active.name} ended with {code}")
                await until(lambda since=stopped: any(wish.job for wish in people.wishes if wish.at > since))
                say(f"{other.name} has taken over after {anyio.current_time() - stopped:.1f} s: {dict(people.stages)}")
                await anyio.sleep(AROUND)
                asking.cancel_scope.cancel()
            await active.start()
        result = await outcome(cluster, people, began, {"restart": restarts}, ())
        result.broken += broken
        tasks.cancel_scope.cancel()
    assert result is not None
    return result
