"""Watches the fronts for the metrics: which one is active, for how long, and how far the others are behind it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress

import anyio

from app.core.replication import Position
from app.engine.connection import Engine
from app.engine.replication.messages import LEASE, Front
from app.engine.replication.status import Fronts, fronts_of
from app.entry_points import run_loop
from app.ports import ConnectionLost

LOOK = 1.0
"""Seconds between two looks."""

MOST_HEADS = 900
"""Positions of the journal that are remembered: those of at least fifteen minutes."""

MOST_FRONTS = 32
"""Fronts on standby with a label of their own; further ones share one."""

OTHERS = "others"


class HeadTimes:
    """Remembers when the journal got how far, because a batch does not say when it was written."""

    def __init__(self) -> None:
        self._lineage = ""
        self._seen: deque[tuple[int, float]] = deque(maxlen=MOST_HEADS)

    def record(self, head: Position | None, now: float) -> None:
        """Record that the journal is so far at this time. Another journal, or one that was cut off, begins anew."""
        if head is None:
            return
        if head.lineage != self._lineage or (self._seen and head.number < self._seen[-1][0]):
            self._lineage = head.lineage
            self._seen.clear()
        if not self._seen or head.number > self._seen[-1][0]:
            self._seen.append((head.number, now))

    def behind(self, number: int, now: float) -> tuple[int, float]:
        """By how many batches and seconds a copy with this last batch is behind."""
        if not self._seen or number >= self._seen[-1][0]:
            return 0, 0.0
        missed_at = next(at for seen, at in self._seen if seen > number)
        return self._seen[-1][0] - number, now - missed_at


class FrontsWatch:
    """Owns what this process saw last of the fronts. `front` is the id of its own.

    `events` has how many events of shards were "relayed", "dropped", and too "late".
    """

    def __init__(self, engine: Engine, front: str, events: Mapping[str, int] | None = None) -> None:
        self.engine = engine
        self.events: Mapping[str, int] = events if events is not None else {}
        self._front = front
        self._heads = HeadTimes()
        self._fronts = Fronts(None, None, ())
        self._lease_until = float("-inf")
        self._epoch: int | None = None

    @property
    def active(self) -> Front | None:
        """The front that is active; None without one, and once its lease has ended as far as is known here."""
        if self._fronts.active is None or not self.lease_left:
            return None
        return self._fronts.active[1]

    @property
    def is_active(self) -> bool:
        """Whether this front is the active one."""
        return self.active is not None and self.active.id == self._front

    @property
    def epoch(self) -> int | None:
        """How often a front has become active; None before one was seen."""
        return self._epoch

    @property
    def lease_left(self) -> float:
        """Seconds for which the lease lasts that was seen last."""
        return max(self._lease_until - anyio.current_time(), 0.0)

    @property
    def standbys(self) -> Mapping[str, tuple[int, float]]:
        """By how many batches and seconds each front on standby is behind, by its name. The worst of a name counts."""
        behind: dict[str, tuple[int, float]] = {}
        now = anyio.current_time()
        for standby in self._fronts.standbys:
            name = standby.front.name
            if name not in behind and len(behind) >= MOST_FRONTS:
                name = OTHERS
            behind[name] = max(behind.get(name, (0, 0.0)), self._heads.behind(standby.number, now))
        return behind

    @property
    def shards(self) -> Mapping[str, int]:
        """How many shards each front has connected, by its name; nothing while they are not shared."""
        fronts = [standby.front for standby in self._fronts.standbys]
        if self._fronts.active is not None:
            fronts.insert(0, self._fronts.active[1])
        counts = Counter[str]()
        for front in fronts:
            if front.id in self._fronts.shards:
                name = front.name if front.name in counts or len(counts) < MOST_FRONTS else OTHERS
                counts[name] += len(self._fronts.shards[front.id][0])
        return counts

    async def run(self) -> None:
        """Look until cancelled. What was seen last stays while the engine is away."""

        async def step() -> float:
            with suppress(ConnectionLost):
                await self.look()
            return LOOK

        await run_loop(step, "the fronts could not be looked up")

    async def look(self) -> None:
        """Look once. Raises `ConnectionLost`."""
        await self.engine.measure()
        (lease,) = await self.engine.leases([LEASE])
        fronts = await fronts_of(self.engine)
        now = anyio.current_time()
        self._fronts = fronts
        self._lease_until = now + lease[1] if lease is not None else float("-inf")
        if fronts.active is not None:
            self._epoch = fronts.active[0]
        self._heads.record(fronts.head, now)
