"""ConnectionActor: one websocket to one ComfyUI server, for the lifetime of the process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import cast

import anyio
import structlog
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectSendStream
from msgspec import Struct

from app.backoff import Pauses, backoff, handshake_pauses
from app.boundary import log_failure
from app.core.effects import Expected
from app.entry_points import slow
from app.events import (
    Connected,
    Disconnected,
    FrameReceived,
    ServerEvent,
    ServerName,
    conflation_key,
)
from app.mailbox import Mailbox
from app.ports import Connect, ConnectionLost, Probe
from app.reasons.jobs import log_fields
from app.reasons.servers import LibraryError, NetworkReason, SocketDeaf

logger = structlog.stdlib.get_logger(__name__)

ConnectionEvent = FrameReceived | Connected | Disconnected

GATHERING = 0.05
"""Seconds that progress and the length of the queue wait for more, so that the registry handles it all in one turn.

Nobody is shown it more often. What must not wait takes it along.

A job of twenty quick steps takes 18 turns of the registry instead of 40, and 0.86 × the CPU (`bench.commands`).
"""

STEADY = 5.0
"""Seconds after which a connection counts as stable, so that its loss restarts all pauses."""


OFF_PAUSE = 15.0
"""Seconds between two attempts while the server is off on purpose: somebody may start it by hand."""


def _only(error: Exception) -> Exception:
    """Unwrap an exception from the groups that task groups put around it."""
    if isinstance(error, ExceptionGroup):
        errors = cast("ExceptionGroup[Exception]", error).exceptions
        if len(errors) == 1:
            return _only(errors[0])
    return cast("Exception", error)


class Connection(Struct, frozen=True):
    """The handle of a connection: everything that other tasks may request from it."""

    requests: Mailbox[None]
    expectations: Mailbox[Expected]
    expected: list[Expected]
    """What was expected last."""

    def expect(self, expected: Expected) -> None:
        """Say whether the server is on, is being started, or is off on purpose: then it is tried only now and then."""
        self.expected[0] = expected
        self.expectations.put(expected)

    @property
    def off(self) -> bool:
        """Whether the server need not answer, because it is off on purpose or has not been started yet."""
        return self.expected[0] != "on"

    def reconnect(self) -> None:
        """Request that the websocket is closed and opened again; several pending requests count as one."""
        self.requests.put(None)


class _Pacing:
    """Chooses the pause before the next attempt, by how far the last one came."""

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._restart()

    def _restart(self) -> None:
        self._attempts, self._handshakes, self._failures = self._pauses(), handshake_pauses(), slow()

    def pause(self, *, answered: bool, unexpected: bool, open_for: float) -> float:
        """Seconds to wait now. The connection was open for `open_for` seconds, 0 if it never was.

        `answered` says that the probe succeeded, `unexpected` that a bug ended the connection.
        """
        steady = open_for >= STEADY
        if steady:
            self._restart()
        if unexpected:
            return next(self._failures)
        return next(self._handshakes if answered and not steady else self._attempts)


class ConnectionActor:
    """Keeps one websocket open and sends its events to the registry.

    The websocket is read as fast as frames arrive, even if the receiver of `events` is slow: one client that does not
    read stalls all clients of a ComfyUI server (measured, T15).

    Each loss leads to another attempt, without a limit. An attempt starts with the probe, which is cheap enough to be
    repeated every twentieth of a second; the handshake follows only if the port answers.

    Any exception other than `ConnectionLost` is a bug. It concerns this server alone: it is logged under an id, and the
    next attempt follows after a longer pause.
    """

    def __init__(
        self, server: ServerName, connect: Connect, probe: Probe | None = None, *, pauses: Pauses = backoff
    ) -> None:
        self._server = server
        self._connect = connect
        self._probe = probe
        self._pauses = pauses
        self._requests = Mailbox[None](lambda _: "reconnect")
        self._expectations = Mailbox[Expected](lambda _: "expected")
        self._forwarding = False
        """Whether `_forward` waits until the receiver takes events."""
        self.handle = Connection(self._requests, self._expectations, ["on"])

    async def run(
        self,
        events: MemoryObjectSendStream[ConnectionEvent],
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Run until cancelled; closes `events` at the end."""
        async with events, self._requests, self._expectations:
            task_status.started()
            pacing = _Pacing(self._pauses)
            logged: NetworkReason | None = None
            while True:
                answered, opened = False, None
                bug: Exception | None = None
                try:
                    if self._probe is not None:
                        await self._probe()
                        answered = True
                    async with self._connect() as frames:
                        opened = anyio.current_time()
                        if logged is not None and not self.handle.off:
                            logger.warning("connection is back", server=self._server)
                        logged = None
                        # A reconnect request concerned the previous websocket, not this one.
                        self._requests.drain()
                        await events.send(Connected(server=self._server))
                        await self._listen(frames, events)
                        reason: NetworkReason = SocketDeaf()
                except ConnectionLost as loss:
                    reason = loss.reason
                except Exception as error:
                    if not events.statistics().open_receive_streams:
                        # The registry has ended.
                        raise
                    bug = _only(error)
                    reason = LibraryError(type(bug).__name__)
                # Log once per outage and cause, not once per attempt. That a server is off on purpose is known.
                if logged == reason or (self.handle.off and bug is None):
                    logger.debug("connection lost", server=self._server, **log_fields(reason))
                elif bug is not None:
                    log_failure(bug, "connection failed", server=self._server)
                else:
                    logger.warning("connection lost", server=self._server, **log_fields(reason))
                logged = reason
                await events.send(Disconnected(server=self._server, reason=reason))
                open_for = anyio.current_time() - opened if opened is not None else 0.0
                pause = pacing.pause(answered=answered, unexpected=bug is not None, open_for=open_for)
                await self._pause(pause)

    async def _pause(self, seconds: float) -> None:
        """Wait so many seconds, or longer while the server is off; one that is being started is tried at once."""
        while True:
            with anyio.move_on_after(max(seconds, OFF_PAUSE) if self.handle.expected[0] == "off" else seconds):
                if await self._expectations.receive() == "off":
                    continue
            return

    async def _listen(
        self, frames: AsyncIterator[ServerEvent], events: MemoryObjectSendStream[ConnectionEvent]
    ) -> None:
        """Read until the websocket is lost, which raises, or a reconnect is requested, which returns."""
        loss: ConnectionLost | None = None
        self._forwarding = False
        box = Mailbox(conflation_key)
        async with box, anyio.create_task_group() as tasks:
            tasks.start_soon(self._forward, box, events, name=f"forward {self._server}")
            async with anyio.create_task_group() as reading:
                reading.start_soon(self._await_reconnect, reading.cancel_scope, name=f"reconnect {self._server}")
                try:
                    async for event in frames:
                        if not self._pass_on(event, box, events):
                            box.put(event)
                except ConnectionLost as lost:
                    loss = lost
                reading.cancel_scope.cancel()
            box.end()
        if loss is not None:
            raise loss

    async def _forward(self, box: Mailbox[ServerEvent], events: MemoryObjectSendStream[ConnectionEvent]) -> None:
        """Send what `_pass_on` left in the box: progress, and everything while the receiver has no room."""
        while await box.filled():
            with anyio.move_on_after(GATHERING):
                await box.milestone()
            self._forwarding = True
            for event in box.drain():
                message = FrameReceived(server=self._server, event=event)
                try:
                    # Four times as fast as `send`, which takes a turn of the event loop for each event.
                    events.send_nowait(message)
                except anyio.WouldBlock:
                    await events.send(message)
            self._forwarding = False

    def _pass_on(
        self, event: ServerEvent, box: Mailbox[ServerEvent], events: MemoryObjectSendStream[ConnectionEvent]
    ) -> bool:
        """Send a milestone and the progress before it at once, without a turn of the event loop, if there is room."""
        if conflation_key(event) is not None or self._forwarding:
            return False
        buffer = events.statistics()
        if buffer.max_buffer_size - buffer.current_buffer_used <= box.size:
            return False
        for each in (*box.drain(), event):
            events.send_nowait(FrameReceived(server=self._server, event=each))
        return True

    async def _await_reconnect(self, reading: anyio.CancelScope) -> None:
        await self._requests.receive()
        reading.cancel()
