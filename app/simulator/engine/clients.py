"""The connected clients, and the delivery of frames to them: one queue and one publisher, as in ComfyUI."""

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
"""Bytes that may wait while one client does not read. ComfyUI has no limit; the simulator cuts that client's connection
off, so that a demo that runs overnight does not use up the memory. The measured client was about 40 MB behind (T15), so
the limit must be larger."""

OVERHEAD = 256
"""Approximate bytes that Python needs per frame besides its content, so that many small frames count too."""


class Socket(Protocol):
    """One open websocket, from the server's side."""

    async def deliver(self, frame: str | bytes) -> None:
        """Send a frame; waits while the peer does not read. Raises `ConnectionLost` if the peer is gone."""
        ...

    def abort(self) -> None:
        """Cut the connection without a close frame; the peer sees 1006."""
        ...


class Listener:
    """One connection. `greeted` says whether its first valid message has arrived."""

    def __init__(self, sid: str, socket: Socket) -> None:
        self.sid = sid
        self.socket = socket
        self.greeted = False


class Sockets:
    """Owns the table of listeners, by client id, and the queue of frames.

    Reproduces two defects of ComfyUI on purpose. A newer socket with the same id replaces the older one in the table;
    when the older one closes, it removes the newer one, which stays open and answers pings but receives no frames
    (T09, T24). One client that does not read stalls all others (T15), because the publisher awaits each send; unlike
    in ComfyUI, that client is cut off once `BACKLOG` bytes wait for it.
    """

    def __init__(self, features: dict[str, Json]) -> None:
        self.features = features
        """The server's answer to feature_flags."""
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
        """Add a socket that was opened."""
        listener = Listener(sid, socket)
        self._table[sid] = listener
        self._flags[sid] = {}
        self._open.append(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Remove a socket that was closed, and with it the newer socket of the same id, if any (ComfyUI#16010)."""
        if listener in self._open:
            self._open.remove(listener)
        self._table.pop(listener.sid, None)
        self._flags.pop(listener.sid, None)

    async def hear(self, listener: Listener, message: str) -> None:
        """Handle a client's message; only feature_flags has an effect, and only as the first valid message (T13)."""
        try:
            content: Json = msgspec.json.decode(message)
        except msgspec.DecodeError:
            return
        if not isinstance(content, dict) or listener.greeted:
            return
        listener.greeted = True
        flags = content.get("data")
        newest = self._table.get(listener.sid)
        if content.get("type") == "feature_flags" and newest is not None and isinstance(flags, dict):
            self._flags[listener.sid] = flags
            with suppress(ConnectionLost):
                await newest.socket.deliver(binary_frames.text("feature_flags", self.features))

    def wants_metadata(self, sid: str | None) -> bool:
        """Return whether this client negotiated previews with metadata about their node."""
        return sid is not None and bool(self._flags.get(sid, {}).get("supports_preview_metadata"))

    def say(self, kind: str, data: Json, sid: str | None) -> None:
        """Queue a text frame for one client, or for all."""
        self.push(binary_frames.text(kind, data), sid)

    def push(self, frame: str | bytes, sid: str | None) -> None:
        """Queue a frame for one client, or for all (None)."""
        self._queue.append((frame, sid))
        self._waiting += len(frame) + OVERHEAD
        self._news.set()
        if self._waiting > BACKLOG:
            self.stall(0)
            if self._reader is not None:
                self._reader.abort()

    async def publish(self) -> None:
        """Deliver frames until cancelled: one after the other, waiting for each client to read."""
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            while self._queue:
                await lowlevel.checkpoint()
                await self._flowing()
                # A restart may have emptied the queue in the meantime.
                if self._queue:
                    frame, sid = self._queue.popleft()
                    self._waiting -= len(frame) + OVERHEAD
                    await self._send(frame, sid)

    def stall(self, seconds: float) -> None:
        """Behave as if one client did not read for this many seconds; 0 ends the stall."""
        self._stalled_until = anyio.current_time() + seconds
        self._lifted.set()

    def deafen(self) -> None:
        """Leave every open socket open, but send nothing more to it."""
        self._table.clear()
        self._flags.clear()

    def drop(self) -> None:
        """Cut every connection, including the one that stalls the others."""
        for listener in list(self._open):
            listener.socket.abort()
        self.stall(0)

    def garbage(self) -> None:
        """Send frames as custom and broken nodes do: unknown types, odd data, short and unknown binary frames."""
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
        """Drop all queued frames and connections, as when the process dies."""
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
                # The connection's own task notices this and calls `leave`.
                continue
        self._reader = None

    async def _flowing(self) -> None:
        while (remaining := self._stalled_until - anyio.current_time()) > 0:
            self._lifted = anyio.Event()
            with anyio.move_on_after(remaining):
                await self._lifted.wait()
