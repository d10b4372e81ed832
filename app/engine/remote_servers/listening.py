"""Implements the `Connect` port: the worker holds the websocket open, and sends what it receives through a stream."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import structlog

from app.engine.connection import Entry
from app.engine.follower import Follower
from app.engine.keys import events_key
from app.engine.messages import (
    EventMessage,
    Events,
    InvalidMessage,
    KeepListening,
    LargeEvents,
    Listen,
    ListeningEnded,
    StopListening,
    decode_events,
    decode_value,
)
from app.engine.remote_servers.remote_worker import RemoteWorker
from app.engine.remote_servers.transfers import pulled, release
from app.events import ServerEvent
from app.ports import ConnectionLost, Refused
from app.reasons.servers import FrameInvalid, NetworkReason, SocketDeaf, WorkerAway

logger = structlog.stdlib.get_logger(__name__)

OPENING = 30.0
"""Seconds for the worker to open the websocket: name lookup, TLS, handshake and the first frame."""

RENEWAL = 4.0
"""Seconds between two renewals of a subscription, and for the answer: what hangs is found within twice as long."""

CLOSING = 1.0
"""Seconds for telling the worker that nobody listens any more; it finds out by itself."""


class Subscription:
    """What arrives from one websocket of a worker, in order and without gaps, until it is lost."""

    def __init__(self, worker: RemoteWorker, server: str) -> None:
        self.id = uuid.uuid4().hex
        self._worker = worker
        self._server = server
        self._messages: deque[EventMessage] = deque()
        self._number = 0
        self._change = anyio.Event()
        self._lost: NetworkReason | None = None

    def receive(self, entry: Entry) -> None:
        """Handle an entry of its stream. One that is missing or not readable loses the connection."""
        try:
            message = decode_events(entry.data)
        except InvalidMessage as error:
            logger.warning("a worker sent something that is not an event", worker=self._worker.name, error=str(error))
            self.lose(FrameInvalid("not an event"))
            return
        self._number += 1
        if message.number != self._number:
            # The engine keeps only so many entries, and we were too slow.
            self.lose(SocketDeaf())
        self._messages.append(message)
        self._change.set()

    def lose(self, reason: NetworkReason) -> None:
        """End the iteration, with the first reason that is given."""
        self._lost = self._lost or reason
        self._change.set()

    async def events(self) -> AsyncIterator[ServerEvent]:
        """Iterate over the events; raises `ConnectionLost`."""
        while True:
            while self._messages and self._lost is None:
                for event in await self._events_of(self._messages.popleft()):
                    yield event
            if self._lost is not None:
                raise ConnectionLost(self._lost)
            self._change = anyio.Event()
            await self._change.wait()

    async def _events_of(self, message: EventMessage) -> tuple[ServerEvent, ...]:
        match message:
            case Events(events=events):
                return events
            case ListeningEnded(reason=reason):
                raise ConnectionLost(reason)
            case LargeEvents(events=large):
                try:
                    return decode_value(await pulled(self._worker, self._server, large), tuple[ServerEvent, ...])
                except (InvalidMessage, Refused) as error:
                    raise ConnectionLost(FrameInvalid(str(error)[:100])) from error
                finally:
                    await release(self._worker, self._server, large)

    async def keep(self) -> None:
        """Renew the subscription until it is lost."""
        gone = self._worker.gone
        while self._lost is None:
            with anyio.move_on_after(RENEWAL):
                await gone.wait()
                self.lose(WorkerAway())
                return
            try:
                await self._worker.ask(self._server, KeepListening(self.id), type(None), RENEWAL)
            except ConnectionLost as error:
                self.lose(error.reason)
            except Refused as error:
                self.lose(FrameInvalid(str(error)[:100]))


@asynccontextmanager
async def listening(
    worker: RemoteWorker, server: str, follower: Follower
) -> AsyncGenerator[AsyncIterator[ServerEvent]]:
    """See `app.ports.Connect`."""
    subscription = Subscription(worker, server)
    failure: Exception | None = None
    with follower.follow(events_key(worker.name, subscription.id), subscription.receive):
        await follower.wake()
        await _opened(worker, server, subscription)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(subscription.keep, name=f"subscription at {worker.name}")
                try:
                    yield subscription.events()
                except Exception as error:  # noqa: BLE001  raised again below: the task group would wrap it
                    failure = error
                tasks.cancel_scope.cancel()
        finally:
            with anyio.move_on_after(CLOSING, shield=True), suppress(ConnectionLost, Refused):
                await worker.ask(server, StopListening(subscription.id), type(None), CLOSING)
    if failure is not None:
        raise failure


async def _opened(worker: RemoteWorker, server: str, subscription: Subscription) -> None:
    try:
        await worker.ask(server, Listen(subscription.id), type(None), OPENING)
    except Refused as error:
        raise ConnectionLost(FrameInvalid(str(error)[:100])) from error
