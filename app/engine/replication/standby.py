"""A front on standby: follows the journal of the active front, and takes the lease once nobody has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import anyio
import msgspec
import structlog
from anyio import to_thread
from msgspec import Struct

from app.core.journal_port import JournalError
from app.core.replication import OutOfStep, Position, SealedBatch, Standing, may_be_written
from app.engine.connection import Engine, Entry
from app.engine.replication import scripts
from app.engine.replication.copies import receive_copy
from app.engine.replication.lease import SECONDS, FrontLease
from app.engine.replication.messages import (
    BATCHES,
    EPOCH,
    HEAD,
    LEASE,
    STANDBY,
    Front,
    Standby,
    entry_id,
    read_batch,
    read_head,
    read_lease,
)
from app.engine.replication.transfers import TransferFailed
from app.ports import ConnectionLost

logger = structlog.stdlib.get_logger(__name__)

READ = 0.5
"""Seconds for which a batch is waited for, and until it is looked at the lease again."""

AT_ONCE = 100
"""Batches that are read at once."""

LEASES_FORGOTTEN = 3
"""Leases after which a copy may be written although the engine knows nothing: until then, the front that was active
last has the first claim, because it may have more. An empty journal waits for one, and so does one that was written
last as far as is known here: another front may be active since, and is about to say so."""

STILL = 3.0
"""Seconds without a batch after which a journal that is not as far as the active one is copied anew."""

AGAIN = 5.0
"""Seconds until a whole copy is tried again, or something that somebody has to change is looked at again."""


class Copy(Protocol):
    """A copy that is open; synchronous. Its methods raise `JournalError`."""

    @property
    def position(self) -> Position:
        """How far it is."""
        ...

    def apply(self, batch: SealedBatch) -> None:
        """Write what a batch has. Raises `OutOfStep`."""
        ...


class JournalFile(Struct, frozen=True):
    """The journal's file in the data folder, and what can be done with it; synchronous, raising `JournalError`.

    `install` puts a received file in its place: the file, the sender's data folder, and whether to keep what was there.
    """

    path: Path
    standing: Callable[[], Standing]
    open_copy: Callable[[], AbstractContextManager[Copy]]
    install: Callable[[Path, str, bool], object]


class Turn(Struct, frozen=True):
    """What a front has that became active: its lease, and how its journal stood to what the engine knew."""

    lease: FrontLease
    standing: Standing
    head: Position | None


class FrontOnStandby:
    """Waits for the turn of this front. With `force`, its journal is written although the engine knows a newer one."""

    def __init__(
        self, engine: Engine, front: Front, journal: JournalFile, *, force: bool = False, seconds: float = SECONDS
    ) -> None:
        self._engine = engine
        self._front = front
        self._journal = journal
        self._force = force
        self._seconds = seconds
        self._forgotten_since: float | None = None
        self._logged = ""
        self._refetch: OutOfStep | None = None
        """Why a whole copy is needed."""

    async def wait(self) -> Turn:
        """Follow the journal until this front is the active one. Raises `JournalError` if the file cannot be used."""
        while True:
            try:
                if (turn := await self._step()) is not None:
                    return turn
            except ConnectionLost:
                self._forgotten_since = None
                await anyio.sleep(READ)

    async def _step(self) -> Turn | None:
        standing = await to_thread.run_sync(self._journal.standing)
        holder, head, raw = await self._look()
        if holder is None:
            if standing.role == "standby" and _is_behind(standing, head) and self._refetch is None:
                await self._catch_up()
                standing = await to_thread.run_sync(self._journal.standing)
            return await self._try_to_acquire(standing, head, raw)
        self._forgotten_since = None
        epoch, front = holder
        if standing.role == "active" and standing.position is not None and epoch == standing.epoch:
            # This process was killed, and its lease has not ended yet.
            await anyio.sleep(READ)
        elif front.journal > self._front.journal:
            problem = "update this one; until then it cannot take over"
            self._say(f"the active front {front.name} has a newer Atelier ({front.version}): {problem}.")
            await anyio.sleep(AGAIN)
        elif head is None:
            # The active front has only just begun.
            await anyio.sleep(READ)
        elif standing.position is None or standing.position.lineage != head.lineage:
            if standing.role == "active" and not standing.is_empty:
                self._say(
                    f"{self._journal.path} has jobs of its own, and is no copy of the journal of {front.name}: move it"
                    " away if it is not needed, or stop the other front and start this one with --force."
                )
                await anyio.sleep(AGAIN)
            else:
                await self._fetch(keep=not standing.is_empty)
        elif self._refetch is not None:
            await self._fetch(keep=not self._refetch.behind)
        else:
            await self._follow()
        return None

    async def _look(self) -> tuple[tuple[int, Front] | None, Position | None, bytes]:
        """The holder of the lease and the head, as read and as it stands there."""
        lease, head = await self._engine.values([LEASE, HEAD])
        return read_lease(lease), read_head(head), head or b""

    async def _try_to_acquire(self, standing: Standing, head: Position | None, raw: bytes) -> Turn | None:
        if not self._force and not may_be_written(standing, head) and not self._waited_long(standing, head):
            await anyio.sleep(READ)
            return None
        asked = anyio.current_time()
        front = msgspec.json.encode(self._front)
        arguments = [raw, standing.epoch, front, round(self._seconds * 1000)]
        epoch = await self._engine.script(scripts.ACQUIRE, [LEASE, HEAD, EPOCH], arguments)
        if not isinstance(epoch, int) or not epoch:
            return None
        self._forgotten_since, self._refetch, self._force = None, None, False
        logger.info("this front is the active one", front=self._front.name, epoch=epoch)
        return Turn(FrontLease(self._engine, self._front, epoch, asked, self._seconds), standing, head)

    def _waited_long(self, standing: Standing, head: Position | None) -> bool:
        """Whether no front with more claim has come since the engine lost what it knew."""
        if head is not None:
            self._say(
                f"{self._journal.path} lacks what the front that was active last has written: start that one, or start"
                " this one with --force, which gives up what it lacks."
            )
            return False
        if self._forgotten_since is None:
            self._forgotten_since = anyio.current_time()
        was_written = standing.role == "active" and not standing.is_empty
        leases = 1 if standing.position is None or was_written else LEASES_FORGOTTEN
        return anyio.current_time() >= self._forgotten_since + leases * self._seconds

    async def _fetch(self, *, keep: bool) -> None:
        """Take a whole copy of the journal of the active front."""
        path = self._journal.path
        received = path.with_name(f"{path.name}-received")
        logger.info("taking a copy of the journal of the active front", reason=str(self._refetch or ""))
        try:
            about = await receive_copy(self._engine, received)
            await to_thread.run_sync(self._journal.install, received, about.folder, keep)
        except (JournalError, OSError, TransferFailed) as error:
            # A `TimeoutError` is one of the system's errors, too.
            self._say(f"no copy of the journal of the active front was taken: {error}")
            await anyio.sleep(AGAIN)
        else:
            self._refetch, self._logged = None, ""
            logger.info("this front has a copy of the journal", batch=about.number)
        finally:
            received.unlink(missing_ok=True)

    async def _follow(self) -> None:
        """Apply batches until nobody has the lease, or a whole copy is needed."""
        with self._journal.open_copy() as copy:
            still = anyio.current_time()
            await self._apply(copy, await self._stored(copy))
            while self._refetch is None:
                before = copy.position
                read = await self._engine.read({BATCHES: entry_id(before.number)}, block=READ)
                await self._apply(copy, read.get(BATCHES, ()))
                holder, head, _ = await self._look()
                if holder is None or head is None or head.lineage != before.lineage:
                    return
                if head == copy.position or copy.position != before:
                    still = anyio.current_time()
                elif anyio.current_time() > still + STILL:
                    behind = copy.position.number < head.number
                    self._refetch = OutOfStep("the active front is elsewhere", behind=behind)
                    return
                await self._register(copy.position)

    async def _catch_up(self) -> None:
        """Apply what a front that is gone has published."""
        with self._journal.open_copy() as copy:
            before = None
            while self._refetch is None and before != copy.position:
                before = copy.position
                await self._apply(copy, await self._stored(copy))

    async def _stored(self, copy: Copy) -> Sequence[Entry]:
        """The next batches, and the last one once more, because another one may be in its place."""
        return await self._engine.range(BATCHES, f"({entry_id(max(copy.position.number - 1, 0))}", most=AT_ONCE)

    async def _apply(self, copy: Copy, entries: Sequence[Entry]) -> None:
        try:
            for entry in entries:
                if (batch := read_batch(entry)) is not None:
                    await to_thread.run_sync(copy.apply, batch)
        except OutOfStep as reason:
            self._refetch = reason

    async def _register(self, position: Position) -> None:
        value = msgspec.json.encode(Standby(self._front, position.number))
        await self._engine.set(f"{STANDBY}{self._front.id}", value, self._seconds)

    def _say(self, problem: str) -> None:
        """Log a problem once."""
        if problem != self._logged:
            self._logged = problem
            logger.error("this front waits", reason=problem)


def _is_behind(standing: Standing, head: Position | None) -> bool:
    position = standing.position
    if head is None or position is None:
        return False
    return position.lineage == head.lineage and position.number < head.number
