"""Calls the store from tasks: each of its connections has a thread of its own, and what was written is published.

Reading has its own thread and connection, so a commit never waits for a lookup.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar, TypeVarTuple, Unpack

import anyio
from anyio import to_thread

from app.actors.alerts import Alerts
from app.backoff import Pauses, backoff
from app.core.replication import Publisher
from app.journal.access import waiting
from app.journal.recording import Outbox
from app.ports import RunSync

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

publishing_pauses = partial(backoff, 0.05, 0.5, 1.0)
"""Pauses between two attempts to publish what was written: people wait for it."""

PUBLISHED_AGAIN = 1.0
"""Seconds after which it is published what commands of the terminal wrote into the journal."""


class StoreCalls:
    """Runs functions of a store in threads: `write_…` with the connection that writes, `read_…` with the other one.

    `…_once` tries it once, `…_out` waits until the journal can be used, `…_patiently` as long as one user waits.
    """

    def __init__(
        self,
        *,
        write_sync: RunSync,
        read_sync: RunSync,
        pauses: Pauses,
        alerts: Alerts,
        publisher: Publisher | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self._write_sync = write_sync
        self._read_sync = read_sync
        self._pauses = pauses
        self._alerts = alerts
        self._publisher = publisher
        self._outbox = outbox
        # Each of the two connections may be used by one thread at a time.
        self._writing = anyio.Lock()
        self._reading = anyio.Lock()
        self._publishing = anyio.Lock()

    @property
    def is_suspended(self) -> bool:
        """Whether nothing may be written now, because another process may write the journal."""
        return self._publisher is not None and self._publisher.active_for <= 0

    @property
    def has_publisher(self) -> bool:
        """Whether what was written is to be published."""
        return self._publisher is not None

    async def write_out(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Write, however long the journal cannot be used."""
        result = await self.wait_out(self.write_once, function, *args)
        if self._publisher is not None:
            await self.wait_to_publish(self.publish_once)
        return result

    async def write_patiently(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Write for one user. If it cannot be published, it may have been written nevertheless."""
        result = await waiting.wait_patiently(self._pauses, self.write_once, function, *args)
        if self._publisher is not None:
            await waiting.wait_patiently(self._pauses, self.publish_once)
        return result

    async def write_once(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Write, but do not publish it. Raises `JournalUnavailable` at once."""
        if self._publisher is not None:
            self._publisher.check()
        async with self._writing:
            return await self._write_sync(function, *args)

    async def read_out(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Read, however long the journal cannot be used."""
        return await self.wait_out(self._read_once, function, *args)

    async def read_patiently(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Read for one user."""
        return await waiting.wait_patiently(self._pauses, self._read_once, function, *args)

    async def _read_once(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        async with self._reading:
            return await self._read_sync(function, *args)

    async def publish_once(self) -> None:
        """Publish what was written and is not published yet, also by other processes."""
        publisher, outbox = self._publisher, self._outbox
        if publisher is None or outbox is None:
            return
        async with self._publishing:
            async with self._writing:
                batches = await self._write_sync(outbox.unpublished)
            if batches:
                await publisher.publish(batches)
                outbox.published(batches[-1].number)

    async def publish_regularly(self) -> None:
        """Publish what commands of the terminal write, until cancelled."""
        while True:
            await anyio.sleep(PUBLISHED_AGAIN)
            await self.wait_to_publish(self.publish_once)

    async def wait_out(self, function: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
        """Call `function` until the journal can be used."""
        return await waiting.wait_out(self._pauses, self._alerts, function, *args)

    async def wait_to_publish(self, publish: Callable[[], Awaitable[None]]) -> None:
        """Call `publish` until what was written could be published."""
        await waiting.wait_out(publishing_pauses, self._alerts, publish)


def own_thread() -> RunSync:
    """Return a function that runs others in a worker thread that no other part of this program can occupy."""
    limiter = anyio.CapacityLimiter(1)

    async def run_sync(function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        return await to_thread.run_sync(function, *args, limiter=limiter)

    return run_sync
