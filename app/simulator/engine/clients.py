"""Who listens, and how frames reach them: one queue, one publisher, as in ComfyUI."""

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress
from typing import Protocol

import anyio
import msgspec
from anyio import lowlevel

from app.ports import ConnectionLost, Json
from app.simulator.http import binary_frames

BACKLOG = 64 * 2**20
"""Bytes that may wait for one reader that does not read. ComfyUI keeps them without bound; here that reader is cut
off, so that a demo left alone over night does not eat the machine. The one that was measured was some 40 MB behind
(T15): that much must be possible."""

OVERHEAD = 256
"""Bytes that Python needs around a frame, roughly: many small ones must count, too."""


class Socket(Protocol):
    """One open websocket, seen from the server."""

    async def deliver(self, frame: str | bytes) -> None:
        """Send; waits while the peer does not read. Raises `ConnectionLost` once it is gone."""
        ...

    def abort(self) -> None:
        """Cut the line: no close frame, the peer sees 1006."""
        ...


class Listener:
    """One connection, and what it said first."""

    def __init__(self, sid: str, socket: Socket) -> None:
        self.sid = sid
        self.socket = socket
        self.greeted = False


class Sockets:
    """Owns the table of listeners, by client id, and the queue of frames.

    Reproduced on purpose: the newer socket of an id takes the older one's place in the table, and the older
    one, when it closes, removes the newer: which stays open, answers pings and hears nothing (T09, T24). One
    reader that does not read stalls all (T15), for the publisher awaits each send; unlike ComfyUI's, it is cut
    off once `BACKLOG` waits for it.
    """

    def __init__(self) -> None:
        self._table: dict[str, Listener] = {}
        self._flags: dict[str, dict[str, Json]] = {}
        self._open: list[Listener] = []
        self._queue: deque[tuple[str | bytes, str | None]] = deque()
        self._waiting = 0
        self._reader: Socket | None = None
        self._news = anyio.Event()
        self._stalled_until = -math.inf
        self._lifted = anyio.Event()

    def enter(self, sid: str, socket: Socket) -> Listener:
        """A socket was opened."""
        listener = Listener(sid, socket)
        self._table[sid] = listener
        self._flags[sid] = {}
        self._open.append(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """A socket was closed; whoever holds its id by now goes with it (ComfyUI#16010)."""
        if listener in self._open:
            self._open.remove(listener)
        self._table.pop(listener.sid, None)
        self._flags.pop(listener.sid, None)

    async def hear(self, listener: Listener, message: str) -> None:
        """The one thing a client can say: feature_flags, as its first valid message (T13)."""
        try:
            said: Json = msgspec.json.decode(message)
        except msgspec.DecodeError:
            return
        if not isinstance(said, dict) or listener.greeted:
            return
        listener.greeted = True
        flags = said.get("data")
        newest = self._table.get(listener.sid)
        if said.get("type") == "feature_flags" and newest is not None and isinstance(flags, dict):
            self._flags[listener.sid] = flags
            with suppress(ConnectionLost):
                await newest.socket.deliver(binary_frames.text("feature_flags", binary_frames.FEATURES))

    def wants_metadata(self, sid: str | None) -> bool:
        """Whether this client negotiated previews that say where they come from."""
        return sid is not None and bool(self._flags.get(sid, {}).get("supports_preview_metadata"))

    def say(self, kind: str, data: Json, sid: str | None) -> None:
        """Queue a text frame for one client, or for all."""
        self.push(binary_frames.text(kind, data), sid)

    def push(self, frame: str | bytes, sid: str | None) -> None:
        """Queue any frame for one client, or for all (None)."""
        self._queue.append((frame, sid))
        self._waiting += len(frame) + OVERHEAD
        self._news.set()
        if self._waiting > BACKLOG:
            self.stall(0)
            if self._reader is not None:
                self._reader.abort()

    async def publish(self) -> None:
        """Deliver, for ever: one frame after the other, waiting for each reader."""
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            while self._queue:
                await lowlevel.checkpoint()
                await self._flowing()
                # A restart may have emptied the queue meanwhile.
                if self._queue:
                    frame, sid = self._queue.popleft()
                    self._waiting -= len(frame) + OVERHEAD
                    await self._send(frame, sid)

    def stall(self, seconds: float) -> None:
        """Behave as if one reader did not read for so long; 0 is the end of it."""
        self._stalled_until = anyio.current_time() + seconds
        self._lifted.set()

    def deafen(self) -> None:
        """Every open socket stays open and hears nothing more."""
        self._table.clear()
        self._flags.clear()

    def drop(self) -> None:
        """Cut every line; this also takes the reader away that stalled the others."""
        for listener in list(self._open):
            listener.socket.abort()
        self.stall(0)

    def garbage(self) -> None:
        """Say what custom nodes and broken ones say: unknown types, odd data, short and unknown binaries."""
        stray: dict[str, Json] = {"node": "1", "prompt_id": "somebody-elses", "output": None}
        words: tuple[tuple[str, Json], ...] = (
            ("crystools.monitor", {"cpu_utilization": 3.1, "gpus": [{"gpu_utilization": 0}]}),
            ("crystools.monitor", list[Json]()),
            ("junk.null", None),
            ("junk.list", [1, "two", None]),
            ("executed", stray),
            ("progress_state", {"prompt_id": "somebody-elses", "nodes": {}}),
            ("status", {"status": None}),
        )
        for kind, data in words:
            self.say(kind, data, None)
        for text in ("", "[1", "null", "not json", "[]", "{}", '{"type":"status"}'):
            self.push(text, None)
        for binary in (b"", b"\x00", b"\x00\x00\x00\x04\xff", binary_frames.custom(99, b"x")):
            self.push(binary, None)

    def forget(self) -> None:
        """The process died: nothing that was queued is ever sent."""
        self._queue.clear()
        self._waiting = 0
        self.drop()

    async def _send(self, frame: str | bytes, sid: str | None) -> None:
        to = list(self._table.values()) if sid is None else [self._table[sid]] if sid in self._table else []
        for listener in to:
            self._reader = listener.socket
            try:
                await listener.socket.deliver(frame)
            except ConnectionLost:
                # Its own task notices, and leaves.
                continue
        self._reader = None

    async def _flowing(self) -> None:
        while (left := self._stalled_until - anyio.current_time()) > 0:
            self._lifted = anyio.Event()
            with anyio.move_on_after(left):
                await self._lifted.wait()
