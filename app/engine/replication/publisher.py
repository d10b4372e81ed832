"""Publishes what the journal of the active front writes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.core.journal_port import JournalUnavailable
from app.core.replication import Position, SealedBatch
from app.engine.connection import Argument, Engine
from app.engine.replication import scripts
from app.engine.replication.lease import FrontLease
from app.engine.replication.messages import BATCHES, HEAD, LEASE, MOST_BATCHES, head_of
from app.ports import ConnectionLost


class JournalPublisher:
    """See `app.core.replication.Publisher`. Nothing is published unless the engine confirms the lease."""

    def __init__(self, engine: Engine, lease: FrontLease) -> None:
        self._engine = engine
        self._lease = lease

    def check(self) -> None:
        """See `Publisher`."""
        self._lease.check()

    @property
    def active_for(self) -> float:
        """See `Publisher`."""
        return self._lease.left

    @property
    def lease(self) -> tuple[str, bytes]:
        """See `Publisher`."""
        return LEASE, self._lease.value

    async def publish(self, batches: Sequence[SealedBatch]) -> None:
        """See `Publisher`."""
        last, before = batches[-1], self._lease.position
        if before is None:
            raise JournalUnavailable("The journal is not announced yet: wait a moment.")
        position = Position(before.lineage, last.number, last.chain)
        arguments: list[Argument] = [self._lease.value, head_of(position), MOST_BATCHES]
        for batch in batches:
            arguments += [batch.number, msgspec.msgpack.encode(batch)]
        try:
            published = await self._engine.script(scripts.PUBLISH, [LEASE, BATCHES, HEAD], arguments)
        except ConnectionLost as loss:
            raise JournalUnavailable(
                f"The engine {self._engine.settings.address} cannot be used, so no other front gets what is written:"
                " look whether it runs and can be reached."
            ) from loss
        if not published:
            self._lease.doubt()
            raise JournalUnavailable(
                f"The engine {self._engine.settings.address} does not know this front as the active one: wait a moment."
            )
        self._lease.position = position
