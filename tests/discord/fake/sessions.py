"""Gateway sessions, which outlive their connections, and the lines on which they speak."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

from aiohttp import web

from tests.discord.fake.wire import Payload

Compress = Callable[[bytes], bytes]


def compression(name: str | None) -> Compress | None:
    """The transport compression that a client has asked for: one stream for the whole connection."""
    if name == "zlib-stream":
        stream = zlib.compressobj()
        return lambda raw: stream.compress(raw) + stream.flush(zlib.Z_SYNC_FLUSH)
    if name == "zstd-stream":
        # Clients ask for it only where their Python has it, which is then ours too.
        compressor = import_module("compression.zstd").ZstdCompressor()
        return lambda raw: compressor.compress(raw, mode=compressor.FLUSH_BLOCK)
    return None


@dataclass(frozen=True)
class Goodbye:
    """Close the connection with this code, when all that was said before is out."""

    code: int
    reason: str = ""


@dataclass(eq=False)
class Line:
    """One connection. What is said goes out in order, by a task of its own."""

    request: web.Request
    socket: web.WebSocketResponse
    compress: Compress | None
    _out: asyncio.Queue[Payload | Goodbye | bytes] = field(default_factory=asyncio.Queue["Payload | Goodbye | bytes"])

    def say(self, item: Payload | Goodbye | bytes) -> None:
        """Send a payload, or bytes as they are, or close."""
        self._out.put_nowait(item)

    async def write(self) -> None:
        """Send what is said, until a goodbye or until the client is gone."""
        while not self.socket.closed:
            match await self._out.get():
                case Goodbye(code, reason):
                    await self.socket.close(code=code, message=reason.encode())
                case item:
                    raw = item if isinstance(item, bytes) else json.dumps(item).encode()
                    try:
                        if self.compress:
                            await self.socket.send_bytes(self.compress(raw))
                        else:
                            await self.socket.send_str(raw.decode(errors="replace"))
                    except ConnectionError:
                        return

    def abort(self) -> None:
        """Cut the wire."""
        if self.request.transport is not None:
            self.request.transport.abort()


@dataclass(eq=False)
class Session:
    """What was identified, with all that was ever sent, and the line it is on at the moment."""

    id: str
    shard: tuple[int, int]
    intents: int
    line: Line | None
    sent: list[Payload] = field(default_factory=list[Payload])

    def dispatch(self, name: str, data: object) -> None:
        """Send an event, or keep it for the RESUME."""
        item: Payload = {"op": 0, "t": name, "s": len(self.sent) + 1, "d": data}
        self.sent.append(item)
        if self.line:
            self.line.say(item)

    def replay(self, after: int) -> None:
        """Send again what came after that number."""
        if self.line:
            for item in self.sent[after:]:
                self.line.say(item)
