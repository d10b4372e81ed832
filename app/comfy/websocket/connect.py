"""Opens a websocket to ComfyUI on the running backend, and does the handshake."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import anyio
import msgspec
from msgspec import Struct
from sniffio import current_async_library

from app.comfy.websocket.address import LARGEST_FRAME, Timing, address
from app.comfy.websocket.decoder import GREETING, Decoder
from app.config.settings import Server
from app.events import QueueChanged, ServerEvent
from app.ports import ConnectionLost, OpenWebSocket, WebSocket
from app.reasons.servers import CaFileUnreadable, NotComfyUI


@asynccontextmanager
async def open_websocket(server: Server, client_id: str, *, timing: Timing | None = None) -> AsyncGenerator[WebSocket]:
    """Open one websocket for the length of a block, and keep it alive with pings.

    Every failure (refused, 403, 502, certificate, closed by the peer, no pong, a frame that is too large) is raised as
    `ConnectionLost` with the reason. Exceptions of the block itself are not changed.
    """
    timing = timing or Timing()
    try:
        where = address(server, client_id)
    except OSError as error:
        raise ConnectionLost(CaFileUnreadable(error.strerror or str(error))) from error
    if current_async_library() == "trio":
        from app.comfy.websocket.trio import open_on_trio as opened
    else:
        from app.comfy.websocket.aiohttp import open_on_asyncio as opened
    async with opened(where, timing) as socket:
        yield socket


FIRST_FRAME_TIMEOUT = 10.0
"""Seconds for the `status` frame that ComfyUI sends at once: a server that does not send it is not ComfyUI."""

MAX_FRAMES_BEFORE_STATUS = 100
"""Frames that custom nodes may send before the `status` frame; a server that sends more is not ComfyUI either."""

SMALL_TALK_BYTES = LARGEST_FRAME
"""Bytes of all these frames together, because their events are kept: as many as a single frame may have."""


@asynccontextmanager
async def connect(open_websocket: OpenWebSocket) -> AsyncGenerator[AsyncIterator[ServerEvent]]:
    """Open one websocket for the length of the block; see `app.ports.Connect`.

    The feature flags are sent on every connection, because the server forgets them with it (measured, T09).
    """
    decoder = Decoder()
    async with open_websocket() as socket:
        await socket.send(GREETING)
        first = await _handshake(socket, decoder)
        async with aclosing(_listen(socket, decoder, first)) as spoken:
            yield spoken


class _Typed(Struct):
    type: str


async def _handshake(socket: WebSocket, decoder: Decoder) -> Sequence[ServerEvent]:
    """Wait for the first `status` and return all events so far: after a reconnect they may concern our prompts."""
    heard: list[ServerEvent] = []
    size = 0
    with anyio.move_on_after(FIRST_FRAME_TIMEOUT):
        for _ in range(MAX_FRAMES_BEFORE_STATUS):
            frame = await socket.receive()
            size += len(frame)
            if size > SMALL_TALK_BYTES:
                break
            what = decoder.decode(frame)
            if what is not None:
                heard.append(what)
            elif isinstance(frame, str) and not _typed(frame):
                break
            if isinstance(what, QueueChanged):
                return heard
    raise ConnectionLost(NotComfyUI())


def _typed(frame: str) -> bool:
    """Whether an ignored frame at least has the form of ComfyUI's messages."""
    try:
        msgspec.json.decode(frame, type=_Typed)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


async def _listen(socket: WebSocket, decoder: Decoder, first: Sequence[ServerEvent]) -> AsyncGenerator[ServerEvent]:
    for what in first:
        yield what
    receive, feed = socket.receive, decoder.decode
    while True:
        what = feed(await receive())
        if what is not None:
            yield what
