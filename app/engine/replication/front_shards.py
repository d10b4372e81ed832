"""The shards of one front: it says what it holds, learns what it is to hold, and sends on what arrives there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress

import anyio
from msgspec import Struct

from app.core.shards import GatewayEvent, ShardHolder, ShardTable, assign, may_release
from app.engine.connection import Engine, open_engine
from app.engine.replication.gateway_events import Deliver, EventSender, Here, receive_events
from app.engine.replication.lease import SECONDS, FrontLease
from app.engine.replication.messages import Front
from app.engine.replication.shard_table import (
    TURN,
    Holding,
    holdings_of,
    read_table,
    register,
    unregister,
    write_table,
)
from app.entry_points import run_loop
from app.ports import ConnectionLost

LOOK = 0.5
"""Seconds between two looks at the table, and until a front says again what it holds."""

LEAVING = 7.0
"""Seconds at the end for other fronts to connect what this one holds. Discord lets one session be opened every five
seconds, and Docker waits for ten until it kills a process."""

UNABLE = 60.0
"""Seconds after which another front is to hold what a front was given that has not connected any shard."""

TURN_AGAIN = 0.25
"""Seconds until it is looked again whether it is this front's turn."""


class Share(Struct, frozen=True):
    """The shards that a front is to hold now, of `count`."""

    count: int
    shards: frozenset[int]


NOTHING = Share(0, frozenset())


class FrontShards:
    """Owns what is known here of the shards, for the whole life of a front's process. See `SharedShards`."""

    def __init__(self, engine: Engine, front: Front, *, seconds: float = SECONDS) -> None:
        self.sessions = Counter[str]()
        self.counts = Counter[str]()
        """Events that were "relayed", "dropped", or too "late"."""
        self._events = EventSender(engine, self.counts)
        self._engine = engine
        self._front = front
        self._seconds = seconds
        self._holder: ShardHolder | None = None
        self._lease: FrontLease | None = None
        self._table: ShardTable | None = None
        self._others: Mapping[str, Holding] = {}
        self._share = self._told = NOTHING
        self._settled: int | None = None
        self._without_any: dict[str, float] = {}
        """Since when each front has had shards to hold, and none connected."""
        self._decides = anyio.Event()
        self._changed = anyio.Event()
        self._is_leaving = False

    @property
    def holder(self) -> ShardHolder | None:
        """See `SharedShards`."""
        return self._holder

    def held_by(self, holder: ShardHolder | None) -> None:
        """Learn what holds the shards, None for nothing."""
        self._holder = holder
        if holder is None:
            self._told = NOTHING

    @property
    def is_connected(self) -> bool:
        """See `SharedShards`."""
        own = self._table.shards_of(self._front.id) if self._table is not None else None
        return own is not None and own <= self._connected

    @property
    def _connected(self) -> frozenset[int]:
        return self._holder.connected if self._holder is not None else frozenset()

    async def next_share(self) -> tuple[int, frozenset[int]]:
        """Wait until this front is to hold other shards, of how many; at first, until it is to hold any."""
        while self._share == self._told:
            await self._changed.wait()
        self._told = self._share
        return self._told.count, self._told.shards

    async def take(self, events: Sequence[GatewayEvent]) -> None:
        """Take what has just arrived at the shards."""
        await self._events.take(events)

    async def run(self) -> None:
        """Look, and send what arrives, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._events.run, name="events of shards")
            await run_loop(self._step, "the table of shards could not be read")

    async def _step(self) -> float:
        # Without the engine, what is connected stays so.
        with suppress(ConnectionLost):
            await self._look()
        self._decide()
        return LOOK

    async def _look(self) -> None:
        if not self._is_leaving:
            count, connected = self._share.count, tuple(sorted(self._connected))
            is_active = self._lease is not None and not self._lease.lost.is_set()
            held = Holding(self._front, is_active, count, connected)
            await register(self._engine, held, self._seconds)
        # An engine that lost everything gets it again from the active front.
        self._table = await read_table(self._engine) or self._table
        if self._share.shards - self._wanted:
            self._others = await holdings_of(self._engine)

    @property
    def _wanted(self) -> frozenset[int]:
        return self._table.shards_of(self._front.id) if self._table is not None else frozenset()

    def _decide(self) -> None:
        """Have what the table says held, and what was held until another front has it."""
        table = self._table
        if table is None:
            return
        wanted = self._wanted
        if table.count == self._share.count and table.count > 1:
            # Not through the holder: what is not connected at this moment is kept as well.
            connected = {
                ident: frozenset(other.connected)
                for ident, other in self._others.items()
                if other.count == table.count and ident != self._front.id
            }
            wanted |= {shard for shard in self._share.shards if not may_release(shard, table, connected)}
        share = Share(table.count, wanted) if wanted else NOTHING
        if share != self._share:
            self._share = share
            self._changed.set()
            self._changed = anyio.Event()

    async def leave(self) -> None:
        """Let the other fronts take what this one holds, and return once they have it, or after some seconds."""
        self._is_leaving = True
        with anyio.move_on_after(LEAVING):
            try:
                await unregister(self._engine, self._front.id)
                while self._share.shards or self._connected or not self._events.is_idle:
                    self._others = await holdings_of(self._engine)
                    if self._others.keys() <= {self._front.id}:
                        return
                    self._table = await read_table(self._engine) or self._table
                    self._decide()
                    await anyio.sleep(LOOK / 5)
            except ConnectionLost:
                return

    async def direct(self, lease: FrontLease) -> None:
        """Decide which front holds which shard while this one is active, until cancelled."""

        async def step() -> float:
            self._decides = anyio.Event()
            with suppress(ConnectionLost):
                await self._direct(lease)
            with anyio.move_on_after(LOOK * 2):
                await self._decides.wait()
            return 0.0

        self._lease = lease
        try:
            await run_loop(step, "shards could not be divided")
        finally:
            # In its next turn, what the table says counts until the bot knows how many shards there are.
            self._lease = self._settled = None

    async def _direct(self, lease: FrontLease) -> None:
        stored = await read_table(self._engine)
        before = stored or self._table
        count = self._settled or (before.count if before is not None else 0)
        if not count:
            return
        others: Mapping[str, Holding] = await holdings_of(self._engine) if count > 1 else {}
        # Another one that says that it is active is gone, or about to notice that it is not.
        living = {ident: each for ident, each in others.items() if ident != self._front.id and not each.active}
        self._without_any = {ident: since for ident, since in self._without_any.items() if ident in living}
        able = [self._front.id, *(ident for ident, each in living.items() if self._is_able(each, before))]
        table = ShardTable(lease.epoch, assign(count, able, before.fronts if before is not None else ()))
        if table == stored or await write_table(self._engine, table, lease.value):
            self._table, self._others = table, others
            self._decide()

    def _is_able(self, other: Holding, table: ShardTable | None) -> bool:
        """Whether a front connects what it is to hold. If not, it is tried again later, which closes nothing."""
        ident, now = other.front.id, anyio.current_time()
        has_none = table is not None and table.shards_of(ident) and not other.connected
        # If this front has none either, nobody may be able to.
        if not has_none or not self._connected:
            self._without_any.pop(ident, None)
            return True
        if now - self._without_any.setdefault(ident, now) <= UNABLE:
            return True
        del self._without_any[ident]
        return False

    async def settle(self, count: int) -> bool:
        """See `SharedShards`."""
        self._settled = count
        self._decides.set()
        return count > 1

    async def connected(self) -> None:
        """See `SharedShards`."""
        while self._table is None or self._table.count != self._settled or not self.is_connected:  # noqa: ASYNC110
            # The connections belong to another event loop.
            await anyio.sleep(0.05)

    async def receive(self, deliver: Deliver) -> None:
        """See `SharedShards`."""
        while (lease := self._lease) is None or self._table is None or self._table.count <= 1:  # noqa: ASYNC110
            await anyio.sleep(LOOK / 5)
        # A client of its own: one that is built again would fail others, such as the end of the lease.
        async with open_engine(self._engine.settings, quiet=True) as reader:
            self._events.here = Here(deliver, lease)
            try:
                await receive_events(reader, lease.value, deliver, self.counts)
            finally:
                self._events.here = None

    async def turn(self, number: int, seconds: float) -> None:
        """Wait until it is this front's turn to open a session, which nobody else does for so many seconds then.

        There is one turn for each `number`. Without the engine, it waits for so many seconds.
        """
        while True:
            try:
                if await self._engine.set(f"{TURN}{number}", b"1", seconds, only_new=True):
                    return
            except ConnectionLost:
                await anyio.sleep(seconds)
                return
            await anyio.sleep(TURN_AGAIN)
