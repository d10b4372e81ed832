"""What goes wrong, at random moments: for the fronts, the workers and Valkey at the same time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import anyio
from anyio import to_thread

from app.engine.replication.lease import SECONDS
from app.engine.worker.lease import LEASE
from tests.process.cluster.cluster import Cluster
from tests.process.cluster.members import Member

FROZEN = 2 * max(SECONDS, LEASE)
"""Seconds for which a process does not run, or is cut off."""

SETTLED = FROZEN
"""Seconds after a fault of a front until it knows that it is not the active one any more, on a busy machine."""

FULL = 6.0
"""Seconds for which Valkey has no memory left."""

DOWN = 2.0
"""Seconds after which what was killed is started again, at most."""

OF_FRONTS = (
    "kill the active front",
    "kill the front on standby",
    "freeze the active front",
    "cut the active front off",
)
OF_WORKERS = ("kill a worker", "freeze a worker", "cut a worker off")
OF_VALKEY = ("kill Valkey", "fill Valkey")
LONG_OF_VALKEY = (*OF_VALKEY, "freeze Valkey")


class Faults:
    """Makes things go wrong; `happened` counts them, and `periods` are when a front was hurt."""

    def __init__(self, cluster: Cluster, rng: random.Random, pause: float, say: Callable[[str], None]) -> None:
        """Between two faults of one kind of process there are at most `pause` seconds."""
        self._pause = pause
        self._cluster = cluster
        self._rng = rng
        self._say = say
        self.happened = Counter[str]()
        self.periods: list[tuple[float, float]] = []

    async def run(self, goes_on: Callable[[], bool], kinds: Sequence[Sequence[str]]) -> None:
        """Let each fault happen once, and again in another order for as long as it goes on; three at a time."""
        async with anyio.create_task_group() as tasks:
            for each in kinds:
                tasks.start_soon(self._run, goes_on, each)

    async def _run(self, goes_on: Callable[[], bool], kinds: Sequence[str]) -> None:
        while True:
            for kind in self._rng.sample(kinds, len(kinds)):
                await anyio.sleep(self._rng.uniform(0, self._pause))
                if self.happened[kind] and not goes_on():
                    return
                await self._happen(kind)
                self.happened[kind] += 1

    async def _happen(self, kind: str) -> None:
        cluster, rng = self._cluster, self._rng
        if kind in OF_FRONTS:
            active, standby = await cluster.pair()
            front = standby if "standby" in kind else active
            self._say(f"{kind}: {front.name}")
            member = front
        else:
            front = None
            member = rng.choice(cluster.workers)
            self._say(f"{kind}: {member.name}" if kind in OF_WORKERS else kind)
        began = anyio.current_time()
        await self._do(kind, member)
        self._say(f"over: {kind}")
        if front is not None:
            # The one on standby may have become the active one meanwhile.
            self.periods.append((began, anyio.current_time() + SETTLED))

    async def _do(self, kind: str, member: Member) -> None:
        cluster, rng = self._cluster, self._rng
        match kind.split():
            case ["kill", "Valkey"]:
                await to_thread.run_sync(cluster.valkey.kill)
                await anyio.sleep(rng.uniform(0, DOWN))
                await to_thread.run_sync(cluster.valkey.start)
            case ["fill", "Valkey"]:
                await cluster.engine("CONFIG", "SET", "maxmemory", "1")
                await anyio.sleep(FULL)
                await cluster.engine("CONFIG", "SET", "maxmemory", "0")
            case ["freeze", "Valkey"]:
                cluster.valkey.freeze()
                await anyio.sleep(FROZEN)
                cluster.valkey.resume()
            case ["kill", *_]:
                await member.kill()
                await anyio.sleep(rng.uniform(0, DOWN))
                await member.start()
            case ["freeze", *_]:
                await member.freeze(FROZEN)
            case _:
                await member.cut(FROZEN, is_silent=rng.random() < 0.5)
