"""The lease of the active front: renewed while it is held, and never believed for longer than the engine does."""

from __future__ import annotations

import anyio
import structlog

from app.core.journal_port import JournalUnavailable
from app.core.replication import Position
from app.engine.connection import Engine
from app.engine.replication import scripts
from app.engine.replication.messages import BATCHES, EPOCH, HEAD, LEASE, Front, head_of, lease_of, read_lease
from app.ports import ConnectionLost

logger = structlog.stdlib.get_logger(__name__)

SECONDS = 5.0
"""For how long a lease lasts unless it is renewed."""

MARGIN = 0.1
"""The share of a lease by which its holder believes it to end earlier: clocks run at different speeds."""

TRIED_AGAIN = 0.1
"""Seconds after which it is tried again to renew."""

ALONE = 60.0
"""Seconds without the lease after which the front stops its bot. Until then people are told to try again; after that
another front, which reaches the engine, may have answered them long since."""


class FrontLease:
    """A lease that was acquired. `position` is up to where the journal was published, None before it was announced."""

    def __init__(self, engine: Engine, front: Front, epoch: int, since: float, seconds: float) -> None:
        """`since` is when the engine was asked for the lease, by the clock of the event loop."""
        self.epoch = epoch
        self.value = lease_of(epoch, front)
        self.position: Position | None = None
        self.lost = anyio.Event()
        """Set once another front is active, or may be for long."""
        self._engine = engine
        self._seconds = seconds
        self._until = since + seconds * (1 - MARGIN)
        self._doubted = anyio.Event()

    @property
    def is_held(self) -> bool:
        """Whether no other front can be active now."""
        return self.left > 0

    @property
    def left(self) -> float:
        """Seconds for which no other front can be active; 0 if one may be now."""
        return 0.0 if self.lost.is_set() else max(0.0, self._until - anyio.current_time())

    def check(self) -> None:
        """Raise `JournalUnavailable` unless the lease is held."""
        if not self.is_held:
            raise JournalUnavailable(
                f"The engine {self._engine.settings.address} does not confirm that this front is the active one:"
                " look whether it runs and can be reached."
            )

    def doubt(self) -> None:
        """Have the lease renewed now, because the engine does not know it."""
        self._doubted.set()

    async def announce(self, position: Position) -> None:
        """Let copies know how far the journal is. Raises `ConnectionLost`."""
        self.position = position
        keys = [LEASE, BATCHES, HEAD]
        await self._engine.script(scripts.ANNOUNCE, keys, [self.value, head_of(position)])

    async def keep(self) -> None:
        """Renew the lease until it is lost."""
        while not self.lost.is_set():
            pause = self._seconds / 3
            try:
                await self._renew()
            except ConnectionLost:
                pause = TRIED_AGAIN
            if anyio.current_time() > self._until + ALONE:
                logger.error("this front stops its bot, because it has not reached the engine for long")
                self.lost.set()
            with anyio.move_on_after(pause):
                await self._doubted.wait()

    async def _renew(self) -> None:
        self._doubted = anyio.Event()
        asked, was_held = anyio.current_time(), self.is_held
        if not await self._engine.renew(LEASE, self.value, self._seconds):
            asked = anyio.current_time()
            # If the engine has forgotten who was active, and the lease may have ended before, another front may be.
            forgotten = self.epoch if self.is_held else self.epoch + 1
            arguments = [self.value, self.epoch, round(self._seconds * 1000), forgotten]
            if not await self._engine.script(scripts.REGAIN, [LEASE, EPOCH], arguments):
                holder = read_lease(await self._engine.get(LEASE))
                if holder is not None:
                    logger.error("another front is active", front=holder[1].name)
                else:
                    logger.error("another front may have been active, because the engine has forgotten which one is")
                self.lost.set()
                return
            logger.warning("the engine had forgotten that this front is the active one")
            if self.position is not None:
                await self.announce(self.position)
        self._until = asked + self._seconds * (1 - MARGIN)
        if not was_held:
            logger.warning("this front is the active one again")

    async def release(self) -> None:
        """Give the lease up, so that another front can take over at once."""
        self.lost.set()
        try:
            await self._engine.release(LEASE, self.value)
        except ConnectionLost:
            logger.warning("the lease could not be given up; it ends by itself")
