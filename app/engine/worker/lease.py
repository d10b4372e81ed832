"""The worker's name, which it holds for as long as it renews its lease."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import msgspec
import structlog

from app.engine import scripts
from app.engine.connection import Engine
from app.engine.keys import lease_key, refused_key, requests_key
from app.engine.messages import Registration
from app.engine.registrations import LEASE
from app.ports import ConnectionLost

logger = structlog.stdlib.get_logger(__name__)

RENEWAL = LEASE / 3
"""Seconds between two renewals."""

PATIENCE = LEASE + 2.0
"""Seconds for which a name that is in use is tried: its holder may have been killed just now."""

TRY = 0.25
"""Seconds between two attempts to get a name."""

REFUSED = 600.0
"""Seconds for which the engine remembers that a second worker wanted a name."""


class NameInUse(Exception):
    """Another worker holds this name."""


class Lease:
    """One session of a worker: from when it got its name to when it may have lost it.

    `describe` says what the worker offers now; whatever it says later replaces the registration with the next renewal.
    """

    def __init__(self, engine: Engine, name: str, session: str, describe: Callable[[], Registration]) -> None:
        self._engine = engine
        self._key = lease_key(name)
        self._describe = describe
        self._value = msgspec.json.encode(describe())
        self._ends_at = float("-inf")
        self.name = name
        self.session = session
        self.requests = requests_key(name, session)

    @property
    def held(self) -> bool:
        """Whether the name is ours for certain. It is asked before what must not happen after somebody else got it."""
        return anyio.current_time() < self._ends_at

    async def acquire(self) -> None:
        """Get the name. Raises `NameInUse` if somebody else keeps it, and `ConnectionLost`."""
        deadline = anyio.current_time() + PATIENCE
        while True:
            asked_at = anyio.current_time()
            if await self._engine.set(self._key, self._value, LEASE, only_new=True):
                self._ends_at = asked_at + LEASE
                return
            if asked_at >= deadline:
                await self._engine.set(refused_key(self.name), b"", REFUSED)
                raise NameInUse
            await anyio.sleep(TRY)

    async def hold(self) -> None:
        """Renew the lease until it is lost. An engine that is away has as long as the lease lasts."""
        while self.held:
            await anyio.sleep(RENEWAL)
            asked_at, value = anyio.current_time(), msgspec.json.encode(self._describe())
            try:
                arguments = [self._value, value, round(LEASE * 1000)]
                renewed = await self._engine.script(scripts.REPLACE, [self._key], arguments)
            except ConnectionLost:
                continue
            if renewed != 1:
                self._ends_at = float("-inf")
            else:
                self._ends_at, self._value = asked_at + LEASE, value

    async def claim(self, entry: str, within: float) -> bool:
        """Whether this request is for us to do: nobody has withdrawn it, it is not too old, and the name is ours."""
        arguments = [self.session, entry, round(within * 1000)]
        verdict = await self._engine.script(scripts.CLAIM, [self._key, self.requests], arguments)
        if verdict != b"claimed":
            logger.info("a request is dropped", worker=self.name, verdict=str(verdict))
        return verdict == b"claimed"

    async def release(self) -> None:
        """Give the name up. Raises `ConnectionLost`."""
        await self._engine.release(self._key, self._value)
