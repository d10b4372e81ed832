"""What fronts keep in the engine about shards: which front is to hold which, and what each holds.

The names of the keys begin with none that a worker's login may use.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from app.core.shards import ShardTable
from app.engine.connection import Engine
from app.engine.replication.messages import LEASE, Front

TABLE = "atelier:gateway:table"
"""The key of the table, which only the holder of the lease of the active front writes."""

HOLDER = "atelier:gateway:holder:"
"""The beginning of the keys under which each front says what it holds."""

TURN = "atelier:gateway:turn:"
"""The beginning of the keys by which fronts open new sessions one after the other."""

WRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""
"""Write the table (2) if the lease (1) is this; 1 if so."""


class Holding(Struct, frozen=True):
    """What a front says: whether it is active, and which shards it has connected, of how many."""

    front: Front
    active: bool
    count: int
    connected: tuple[int, ...]


async def read_table(engine: Engine) -> ShardTable | None:
    """The table; None if there is none, or none of ours. Raises `ConnectionLost`."""
    try:
        table = msgspec.json.decode(await engine.get(TABLE) or b"", type=ShardTable)
    except msgspec.MsgspecError:
        return None
    return table if table.fronts else None


async def write_table(engine: Engine, table: ShardTable, lease: bytes) -> bool:
    """Write the table; False if somebody else has the lease. Raises `ConnectionLost`."""
    return await engine.script(WRITE, [LEASE, TABLE], [lease, msgspec.json.encode(table)]) == 1


async def register(engine: Engine, holding: Holding, seconds: float) -> None:
    """Say what a front holds; it counts as gone after so many seconds. Raises `ConnectionLost`."""
    await engine.set(f"{HOLDER}{holding.front.id}", msgspec.json.encode(holding), seconds)


async def unregister(engine: Engine, front: str) -> None:
    """Let the others have the shards of a front. Raises `ConnectionLost`."""
    await engine.delete(f"{HOLDER}{front}")


async def holdings_of(engine: Engine) -> Mapping[str, Holding]:
    """What each front that is there holds, by its id. Raises `ConnectionLost`."""
    values = await engine.values(await engine.keys(f"{HOLDER}*"))
    return {holding.front.id: holding for value in values if (holding := _holding(value)) is not None}


def _holding(value: bytes | None) -> Holding | None:
    try:
        return msgspec.json.decode(value or b"", type=Holding)
    except msgspec.MsgspecError:
        return None
