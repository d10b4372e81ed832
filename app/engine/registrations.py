"""What workers say of themselves in the engine, how long ago, and for how much longer it counts."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from app.engine.connection import Engine
from app.engine.keys import LEASES, refused_key, worker_of
from app.engine.messages import PROTOCOL, InvalidMessage, Registration, read_registration

LEASE = 5.0
"""Seconds for which the lease of a worker lasts."""


class Registered(Struct, frozen=True):
    """A worker that is there: what it says, None if that cannot be read, and for how many seconds it counts.

    `problem` is why its registration cannot be used, "" if it can.
    """

    registration: Registration | None
    left: float
    problem: str = ""

    @property
    def age(self) -> float:
        """Seconds since its last sign."""
        return max(LEASE - self.left, 0.0)


async def registered(engine: Engine) -> Mapping[str, Registered]:
    """All workers that are there, by name. Raises `ConnectionLost`."""
    keys = [key for key in await engine.keys(LEASES) if worker_of(key)]
    leases = zip(keys, await engine.leases(keys), strict=True)
    return {worker_of(key): read_registered(*lease) for key, lease in leases if lease is not None}


def read_registered(value: bytes, left: float) -> Registered:
    """What a lease says that lasts for so many seconds."""
    try:
        registration = read_registration(value)
    except InvalidMessage as error:
        return Registered(None, left, str(error))
    if registration.protocol != PROTOCOL:
        problem = f"protocol {registration.protocol} instead of {PROTOCOL}: update the older program"
        return Registered(registration, left, problem)
    return Registered(registration, left)


async def refused_names(engine: Engine, names: list[str]) -> list[str]:
    """Those of the names that a second worker wanted lately. Raises `ConnectionLost`."""
    notes = await engine.values([refused_key(name) for name in names])
    return [name for name, note in zip(names, notes, strict=True) if note is not None]
