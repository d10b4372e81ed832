"""Who listens, and what is said to whom: ComfyUI's addressing, with its two faults (COMFYUI.md 2.2, 2.3)."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from msgspec import Struct
from msgspec.structs import replace

from app.ports import ConnectionLost, Json

Frame = str | bytes

ROOM = 64
"""Frames a client may leave unread before everybody waits for it: a socket's buffers, roughly (T15)."""


def text(kind: str, data: Json) -> str:
    """A text frame."""
    return msgspec.json.encode({"type": kind, "data": data}).decode()


class Preview(Struct):
    """A picture on its way, before it is known whether its reader negotiated metadata."""

    metadata: dict[str, Json]
    image: bytes
    format: int = 1
    legacy: bool | None = None
    """Whether it is only for those who did not negotiate metadata, or only for the others; None for all."""

    def frame(self, *, with_metadata: bool) -> bytes:
        """Layout of COMFYUI.md 2.6, big-endian."""
        if not with_metadata:
            return struct.pack(">II", 1, self.format) + self.image
        head = msgspec.json.encode(self.metadata)
        return struct.pack(">II", 4, len(head)) + head + self.image


class Socket:
    """One client's connection; in memory it is the client's end as well (`app.ports.WebSocket`)."""

    def __init__(self, sockets: Sockets, client_id: str) -> None:
        self.client_id = client_id
        self.negotiated = False
        self.send_frame: MemoryObjectSendStream[Frame]
        self.frames: MemoryObjectReceiveStream[Frame]
        self.send_frame, self.frames = anyio.create_memory_object_stream[Frame](ROOM)
        self._sockets = sockets
        self._spoken = False

    async def send(self, message: str) -> None:
        """The client says something: only feature_flags means anything, and only as the first word."""
        first, self._spoken = not self._spoken, True
        try:
            said = msgspec.json.decode(message, type=dict[str, Json])
        except msgspec.MsgspecError:
            self._spoken = not first
            return
        if first and said.get("type") == "feature_flags" and isinstance(flags := said.get("data"), dict):
            self.negotiated = bool(flags.get("supports_preview_metadata"))
            await self._sockets.answer(self, "feature_flags", self._sockets.features)

    async def receive(self) -> Frame:
        """The client hears something."""
        try:
            return await self.frames.receive()
        except (anyio.EndOfStream, anyio.ClosedResourceError) as error:
            raise ConnectionLost("the simulator hung up") from error

    def abort(self) -> None:
        """The line is cut, without a goodbye."""
        self.send_frame.close()
        self.frames.close()


class Sockets:
    """Owns the table of listeners, and the one queue through which all frames pass."""

    def __init__(self) -> None:
        self.features: dict[str, Json] = {"supports_preview_metadata": True, "max_upload_size": 104857600}
        self.stalled_until = float("-inf")
        """Until when nobody hears anything, as if one client did not read (measured, T15)."""
        self._by_id: dict[str, Socket] = {}
        self._open: list[Socket] = []
        self._queue: deque[tuple[str | Preview, str | None]] = deque()
        self._news = anyio.Event()

    @asynccontextmanager
    async def connect(self, client_id: str, *greetings: str) -> AsyncGenerator[Socket]:
        """A client's connection, for as long as the block.

        The newer of two with one id gets everything. When the older one closes, it takes the newer one out
        of the table, which stays open and is deaf for ever (measured, T24; ComfyUI#16010).
        """
        socket = Socket(self, client_id)
        self._by_id[client_id] = socket
        self._open.append(socket)
        try:
            for greeting in greetings:
                socket.send_frame.send_nowait(greeting)
            yield socket
        finally:
            socket.abort()
            self._open.remove(socket)
            self._by_id.pop(client_id, None)

    def say(self, kind: str, data: Json, client_id: str | None) -> None:
        """Queue a text frame for one client, or for all."""
        self._put(text(kind, data), client_id)

    def show(self, preview: Preview, client_id: str | None, *, legacy: bool | None = None) -> None:
        """Queue a picture; to all it goes without metadata (measured, T22)."""
        self._put(replace(preview, legacy=legacy), client_id)

    def junk(self) -> None:
        """Say what custom nodes and broken clients say."""
        for frame in ("", "[1", "null", '{"type":"crystools.monitor","data":[]}', '{"type":"status"}'):
            self._put(frame, None)

    def drop(self) -> None:
        """Cut all lines."""
        for socket in self._open:
            socket.abort()

    def deafen(self) -> None:
        """All open sockets stay open, and hear nothing any more; new ones do."""
        self._by_id.clear()

    async def answer(self, socket: Socket, kind: str, data: Json) -> None:
        """Say something to one socket directly; a deaf one does not hear this either."""
        if self._by_id.get(socket.client_id) is socket:
            await _send(socket, text(kind, data))

    async def publish(self) -> None:
        """Pass the frames on, one after the other: who does not read, stalls everybody (measured, T15)."""
        while True:
            while self._queue:
                if (pause := self.stalled_until - anyio.current_time()) > 0:
                    await anyio.sleep(pause)
                frame, client_id = self._queue.popleft()
                if client_id is None:
                    targets = list(self._by_id.values())
                else:
                    targets = [socket] if (socket := self._by_id.get(client_id)) else []
                for socket in targets:
                    if isinstance(frame, str):
                        await _send(socket, frame)
                    else:
                        with_metadata = socket.negotiated and client_id is not None
                        if frame.legacy is None or frame.legacy is not with_metadata:
                            await _send(socket, frame.frame(with_metadata=with_metadata))
            self._news = anyio.Event()
            await self._news.wait()

    def _put(self, frame: str | Preview, client_id: str | None) -> None:
        if self._by_id:
            self._queue.append((frame, client_id))
            self._news.set()


async def _send(socket: Socket, frame: Frame) -> None:
    try:
        await socket.send_frame.send(frame)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return
