"""What is unsafe about the engine, and what to set, for the commands `check` and `front --status`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.engine.replication.status import Safety

OLDEST = {"Valkey": (8,), "Redis": (6, 2)}
"""The oldest versions that can be used."""

NEARLY_FULL, FULL = 0.8, 0.95
"""Shares of its memory from which on there is a warning, and from which on the next picture may not fit."""

REPLICA_BEHIND = 10.0
"""Seconds by which a replica may be behind: it acknowledges each second."""


def unsafe(safety: Safety) -> Iterator[tuple[bool | None, str]]:
    """Whether something is only a warning, None, or wrong, False; and a sentence that says what to do."""
    if _numbers(safety.version) < OLDEST.get(safety.program, ()):
        version = f"{safety.program} {safety.version}"
        yield False, f"The engine, {version}, is too old: install Valkey 8 or newer, or Redis 6.2 or newer."
    if safety.is_replica:
        yield False, "The engine is a replica, which takes no changes: set the address of its primary."
    if safety.when_full not in {None, "noeviction"}:
        policy = safety.when_full
        yield (
            False,
            f"The engine deletes what is needed when its memory is full ({policy}): set “maxmemory-policy noeviction”.",
        )
    if safety.limit and (share := safety.used / safety.limit) >= NEARLY_FULL:
        size = f"{safety.limit / 2**20:.0f} MB"
        yield (None if share < FULL else False), f"The engine's {size} are {share:.0%} full: raise “maxmemory”."
    if not safety.can_write:
        yield False, "The engine cannot write to its disk: make room there, and look into its log."
    for replica, seconds in safety.replicas.items():
        if seconds is None:
            yield None, f"The replica {replica} is not connected: look whether it runs, and at its network."
        elif seconds > REPLICA_BEHIND:
            yield (
                None,
                f"The replica {replica} is {seconds:.0f} s behind: look at its network, before it must take over.",
            )


def _numbers(version: str) -> tuple[int, ...]:
    """The parts of a version as numbers; those of an unknown version are higher than any."""
    parts = version.split(".")[:2]
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else (10**6,)
