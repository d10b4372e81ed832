"""What the engine knows of the fronts, and what is unsafe about the engine itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from app.core.replication import Position
from app.engine.connection import Engine
from app.engine.replication.messages import HEAD, LEASE, STANDBY, Front, Standby, read_head, read_lease
from app.engine.replication.shard_table import holdings_of

REPLICA = re.compile(r"slave\d+")
"""How INFO calls a replica."""


class _Replica(Struct, frozen=True):
    """What INFO says of a replica."""

    ip: str = "?"
    port: int = 0
    state: str = ""
    lag: float = 0.0


class Fronts(Struct, frozen=True):
    """The active front with its epoch, how far the journal was published, and the fronts on standby, by name.

    `shards` are those that each front has connected, by its id, of all; there are none while they are not shared.
    """

    active: tuple[int, Front] | None
    head: Position | None
    standbys: Sequence[Standby]
    shards: Mapping[str, tuple[tuple[int, ...], int]] = {}


class Safety(Struct, frozen=True):
    """How the engine keeps what it has: its version, whether it writes to the disk, and what it does when it is full.

    `when_full` is None if that is unknown, `limit` is the most bytes of memory that it may use, 0 for no limit.
    `can_write` is whether its last attempt to write to the disk succeeded. `replicas` are those that follow it, by
    address, each with the seconds since its last acknowledgement, None if it is not in step at all.
    """

    version: str
    writes_to_disk: bool
    when_full: str | None
    program: str = "Valkey"
    used: int = 0
    limit: int = 0
    can_write: bool = True
    is_replica: bool = False
    replicas: Mapping[str, float | None] = {}


async def fronts_of(engine: Engine) -> Fronts:
    """Ask the engine. Raises `ConnectionLost`."""
    lease, head = await engine.values([LEASE, HEAD])
    standbys, holdings = await standbys_of(engine), await holdings_of(engine)
    shards = {ident: (each.connected, each.count) for ident, each in holdings.items() if each.count > 1}
    return Fronts(read_lease(lease), read_head(head), standbys, shards)


async def standbys_of(engine: Engine) -> Sequence[Standby]:
    """The fronts on standby, by name. Raises `ConnectionLost`."""
    values = await engine.values(await engine.keys(f"{STANDBY}*"))
    standbys = [standby for value in values if (standby := _standby(value)) is not None]
    return sorted(standbys, key=lambda each: each.front.name)


async def safety_of(engine: Engine) -> Safety:
    """Ask the engine about itself. Raises `ConnectionLost`."""
    names = ("server", "persistence", "memory", "replication")
    server, persistence, memory, replication = [await engine.information(name) for name in names]
    program = "Valkey" if "valkey_version" in server else "Redis"
    version = server.get("valkey_version") or server.get("redis_version") or "?"
    policy = memory.get("maxmemory_policy")
    return Safety(
        version=str(version),
        writes_to_disk=str(persistence.get("aof_enabled", "0")) == "1",
        when_full=None if policy is None else str(policy),
        program=program,
        used=_number(memory.get("used_memory")),
        limit=_number(memory.get("maxmemory")),
        can_write=str(persistence.get("aof_last_write_status", "ok")) == "ok",
        is_replica=replication.get("role") == "slave",
        replicas=dict(_replica(value) for key, value in replication.items() if REPLICA.fullmatch(key)),
    )


def _replica(value: object) -> tuple[str, float | None]:
    """The address of a replica, and how long ago it acknowledged something."""
    try:
        replica = msgspec.convert(value, _Replica)
    except msgspec.ValidationError:
        return "?", None
    return f"{replica.ip}:{replica.port}", replica.lag if replica.state == "online" else None


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _standby(value: bytes | None) -> Standby | None:
    try:
        return msgspec.json.decode(value or b"", type=Standby)
    except msgspec.MsgspecError:
        return None
