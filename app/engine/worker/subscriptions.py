"""The websockets that a worker holds open for fronts, and what they receive on its way to them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from anyio.abc import TaskGroup, TaskStatus

from app.boundary import log_failure
from app.engine.connection import Engine
from app.engine.keys import events_key
from app.engine.messages import INLINE, EventMessage, Events, LargeEvents, ListeningEnded, encode
from app.engine.worker.transfers import Transfers
from app.events import ServerEvent, conflation_key
from app.mailbox import Mailbox
from app.ports import Connect, ConnectionLost
from app.reasons.servers import LibraryError, NetworkReason, SocketDeaf

GATHERING = 0.05
"""Seconds for which progress and previews are gathered, of which only the newest counts; a milestone ends them."""

LAPSE = 15.0
"""Seconds without a renewal after which a subscription ends: the front is gone."""

LONGEST = 256
"""Messages of one subscription that the engine keeps for a front that does not read."""

STREAM_SECONDS = 60.0
"""Seconds after the last message after which the engine forgets a subscription."""


class Subscriptions:
    """Owns the open websockets; they end with `tasks`."""

    def __init__(self, engine: Engine, worker: str, transfers: Transfers, tasks: TaskGroup) -> None:
        self._engine = engine
        self._worker = worker
        self._transfers = transfers
        self._tasks = tasks
        self._scopes: dict[str, anyio.CancelScope] = {}
        self._of_client: dict[str, str] = {}

    async def listen(self, subscription: str, client: str, connect: Connect) -> None:
        """Open a websocket for a client, whose former one ends. Raises `ConnectionLost`."""
        if (former := self._of_client.get(client)) is not None:
            self.stop(former)
        self._of_client[client] = subscription
        reason: NetworkReason | None = await self._tasks.start(
            self._run, subscription, connect, name=f"subscription {subscription}"
        )
        if reason is not None:
            raise ConnectionLost(reason)

    def keep(self, subscription: str) -> None:
        """Go on with a subscription. Raises `ConnectionLost` if it has ended."""
        if (scope := self._scopes.get(subscription)) is None:
            raise ConnectionLost(SocketDeaf())
        scope.deadline = anyio.current_time() + LAPSE

    def stop(self, subscription: str) -> None:
        """End a subscription, if it has not ended."""
        if (scope := self._scopes.pop(subscription, None)) is not None:
            scope.cancel()

    async def _run(self, subscription: str, connect: Connect, *, task_status: TaskStatus[NetworkReason | None]) -> None:
        opened = False
        with anyio.move_on_after(LAPSE) as scope:
            self._scopes[subscription] = scope
            try:
                async with connect() as frames:
                    opened = True
                    task_status.started(None)
                    scope.deadline = anyio.current_time() + LAPSE
                    await self._pass_on(subscription, frames)
            except ConnectionLost as loss:
                # That the engine was lost needs no message, and none would arrive.
                if not opened:
                    task_status.started(loss.reason)
            except Exception as error:  # noqa: BLE001  this is the boundary
                log_failure(error, "a websocket failed", worker=self._worker)
                if not opened:
                    task_status.started(LibraryError(type(error).__name__))
        self._scopes.pop(subscription, None)
        if not opened and scope.cancelled_caught:
            task_status.started(SocketDeaf())

    async def _pass_on(self, subscription: str, frames: AsyncIterator[ServerEvent]) -> None:
        """Send what arrives until the websocket is lost. It is read as fast as frames arrive, as everywhere."""
        box = Mailbox(conflation_key)
        loss: ConnectionLost | None = None
        async with box, anyio.create_task_group() as tasks:

            async def read() -> None:
                nonlocal loss
                try:
                    async for event in frames:
                        box.put(event)
                except ConnectionLost as lost:
                    loss = lost
                box.end()

            tasks.start_soon(read, name=f"frames of {subscription}")
            number = 0
            try:
                async for first in box:
                    if conflation_key(first) is not None:
                        with anyio.move_on_after(GATHERING):
                            await box.milestone()
                    number += 1
                    await self._send(subscription, number, (first, *box.drain()))
                if loss is not None:
                    await self._add(subscription, ListeningEnded(number + 1, loss.reason))
            except ConnectionLost:
                # The engine is away, and what was not sent is missing: the front connects again.
                pass
            tasks.cancel_scope.cancel()

    async def _send(self, subscription: str, number: int, events: tuple[ServerEvent, ...]) -> None:
        content = encode(events)
        if len(content) > INLINE:
            await self._add(subscription, LargeEvents(number, await self._transfers.offer_value(content)))
        else:
            await self._add(subscription, Events(number, events))

    async def _add(self, subscription: str, message: EventMessage) -> None:
        stream = events_key(self._worker, subscription)
        await self._engine.add(stream, encode(message), longest=LONGEST, seconds=STREAM_SECONDS)
