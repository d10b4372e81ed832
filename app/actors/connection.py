"""ConnectionActor: one websocket to one ComfyUI, for as long as the process lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable

import anyio
import anyio.lowlevel
import structlog
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectSendStream
from msgspec import Struct

from app.backoff import Pauses, backoff
from app.events import (
    Connected,
    Disconnected,
    FrameReceived,
    ImageStreamed,
    NodesProgressed,
    NodeStepped,
    QueueChanged,
    ServerEvent,
    ServerName,
)
from app.mailbox import Mailbox
from app.ports import Connect, ConnectionLost

logger = structlog.stdlib.get_logger(__name__)

News = FrameReceived | Connected | Disconnected

GATHERING = 6
"""Turns of the loop in which a flood gathers, for the registry to take it in one turn of its own. On trio that is
half as much again a second (bench/flow.py); to a word that comes alone it is some hundredths of a millisecond."""

STEADY = 5.0
"""Seconds after which a connection has proved itself, so that its loss begins a new row of pauses."""


def _slot(event: ServerEvent) -> Hashable | None:
    """What a newer word of the same kind makes worthless. A PNG is no preview but a result, and stays."""
    match event:
        case NodesProgressed() | NodeStepped():
            return type(event), event.prompt
        case ImageStreamed(media_type="image/jpeg"):
            return ImageStreamed, event.prompt
        case QueueChanged():
            return QueueChanged
        case _:
            return None


class Connection(Struct, frozen=True):
    """The handle: all that others may ask of a connection."""

    requests: Mailbox[None]

    def reconnect(self) -> None:
        """Have the socket closed and opened anew; asking twice is asking once."""
        self.requests.put(None)


class ConnectionActor:
    """Keeps one socket open, and posts what comes out of it.

    The socket is read as fast as it speaks, whatever the reader of `news` does: ComfyUI stalls all its
    clients for one that does not read (measured, T15). Only `ConnectionLost` is worth another try, and it
    is worth endlessly many; anything else is a bug, and ends the bot.
    """

    def __init__(self, server: ServerName, connect: Connect, *, pauses: Pauses = backoff) -> None:
        self._server = server
        self._connect = connect
        self._pauses = pauses
        self._requests = Mailbox[None](lambda _: "redial")
        self.handle = Connection(self._requests)

    async def run(
        self, news: MemoryObjectSendStream[News], *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Live; `news` is ours to close."""
        async with news, self._requests:
            task_status.started()
            pauses = self._pauses()
            told = ""
            while True:
                began = anyio.current_time()
                try:
                    async with self._connect() as spoken:
                        if told:
                            logger.warning("connection is back", server=self._server)
                        told = ""
                        # A request was about the last socket, not about this one.
                        self._requests.drain()
                        await news.send(Connected(server=self._server))
                        await self._listen(spoken, news)
                        reason = "its socket seemed deaf"
                except ConnectionLost as loss:
                    reason = str(loss)
                # Once for each outage and cause, not once for each try.
                log = logger.debug if reason == told else logger.warning
                log("connection lost", server=self._server, reason=reason)
                told = reason
                await news.send(Disconnected(server=self._server, reason=reason))
                if anyio.current_time() - began >= STEADY:
                    pauses = self._pauses()
                await anyio.sleep(next(pauses))

    async def _listen(self, spoken: AsyncIterator[ServerEvent], news: MemoryObjectSendStream[News]) -> None:
        """Read until the socket is lost, which raises, or somebody asks for another, which returns."""
        loss: ConnectionLost | None = None
        box = Mailbox(_slot)
        async with box, anyio.create_task_group() as tasks:
            tasks.start_soon(self._forward, box, news, name=f"forward {self._server}")
            async with anyio.create_task_group() as reading:
                reading.start_soon(self._await_reconnect, reading.cancel_scope, name=f"redial {self._server}")
                try:
                    async for event in spoken:
                        box.put(event)
                except ConnectionLost as lost:
                    loss = lost
                reading.cancel_scope.cancel()
            box.end()
        if loss is not None:
            raise loss

    async def _forward(self, box: Mailbox[ServerEvent], news: MemoryObjectSendStream[News]) -> None:
        async for first in box:
            for _ in range(GATHERING):
                await anyio.lowlevel.checkpoint()
            for event in (first, *box.drain()):
                heard = FrameReceived(server=self._server, event=event)
                try:
                    # Four times as quick as `send`, which takes a turn of the loop for each word.
                    news.send_nowait(heard)
                except anyio.WouldBlock:
                    await news.send(heard)

    async def _await_reconnect(self, reading: anyio.CancelScope) -> None:
        await self._requests.receive()
        reading.cancel()
