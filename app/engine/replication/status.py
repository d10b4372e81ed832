"""What the engine knows of the fronts, and what is unsafe about the engine itself."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from app.core.replication import Position
from app.engine.connection import Engine
from app.engine.replication.messages import HEAD, LEASE, STANDBY, Front, Standby, read_head, read_lease


class Fronts(Struct, frozen=True):
    """The active front with its epoch, how far the journal was published, and the fronts on standby, by name."""

    active: tuple[int, Front] | None
    head: Position | None
    standbys: Sequence[Standby]


class Safety(Struct, frozen=True):
    """How the engine keeps what it has: its version, whether it writes to the disk, and what it does when it is full.

    None is unknown, because the login may not ask.
    """

    version: str
    writes_to_disk: bool
    when_full: str | None


async def fronts_of(engine: Engine) -> Fronts:
    """Ask the engine. Raises `ConnectionLost`."""
    lease, head = await engine.values([LEASE, HEAD])
    values = await engine.values(await engine.keys(f"{STANDBY}*"))
    standbys = [standby for value in values if (standby := _standby(value)) is not None]
    return Fronts(read_lease(lease), read_head(head), sorted(standbys, key=lambda each: each.front.name))


async def safety_of(engine: Engine) -> Safety:
    """Ask the engine about itself. Raises `ConnectionLost`."""
    server, persistence, memory = [await engine.information(name) for name in ("server", "persistence", "memory")]
    version = server.get("valkey_version") or server.get("redis_version") or "?"
    policy = memory.get("maxmemory_policy")
    writes = str(persistence.get("aof_enabled", "0")) == "1"
    return Safety(str(version), writes, None if policy is None else str(policy))


def _standby(value: bytes | None) -> Standby | None:
    try:
        return msgspec.json.decode(value or b"", type=Standby)
    except msgspec.MsgspecError:
        return None
