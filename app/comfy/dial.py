"""The Dial port: open a websocket, say hello, and pass on what the server says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import anyio
import msgspec
from msgspec import Struct

from app.comfy.address import LARGEST_FRAME
from app.comfy.wire import GREETING, Decoder
from app.events import QueueChanged, Spoken
from app.ports import ConnectionLost, OpenWebSocket, WebSocket

FIRST_WORD = 10.0
"""Seconds for the `status` frame that ComfyUI sends at once: what does not is no ComfyUI."""

SMALL_TALK = 100
"""Frames of other nodes that may slip in before it; what talks on without it is no ComfyUI either."""

SMALL_TALK_BYTES = LARGEST_FRAME
"""Bytes of all these frames together, because what they say is kept: as many as a single frame may have."""


@asynccontextmanager
async def dial(open_websocket: OpenWebSocket) -> AsyncGenerator[AsyncIterator[Spoken]]:
    """Open one websocket for the length of the block; see `app.ports.Dial`.

    The greeting is sent on each connection anew, for flags are forgotten with it (measured, T09).
    """
    decoder = Decoder()
    async with open_websocket() as socket:
        await socket.send(GREETING)
        first = await _greeted(socket, decoder)
        async with aclosing(_listen(socket, decoder, first)) as spoken:
            yield spoken


class _Typed(Struct):
    type: str


async def _greeted(socket: WebSocket, decoder: Decoder) -> Sequence[Spoken]:
    """Wait for the first `status`, and keep what came before it: after a reconnect that may be ours."""
    heard: list[Spoken] = []
    size = 0
    with anyio.move_on_after(FIRST_WORD):
        for _ in range(SMALL_TALK):
            frame = await socket.receive()
            size += len(frame)
            if size > SMALL_TALK_BYTES:
                break
            what = decoder.feed(frame)
            if what is not None:
                heard.append(what)
            elif isinstance(frame, str) and not _typed(frame):
                break
            if isinstance(what, QueueChanged):
                return heard
    raise ConnectionLost("what answers there does not speak ComfyUI's language")


def _typed(frame: str) -> bool:
    """Whether a frame that says nothing to us is at least of the kind that ComfyUI's nodes send."""
    try:
        msgspec.json.decode(frame, type=_Typed)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


async def _listen(socket: WebSocket, decoder: Decoder, first: Sequence[Spoken]) -> AsyncGenerator[Spoken]:
    for what in first:
        yield what
    receive, feed = socket.receive, decoder.feed
    while True:
        what = feed(await receive())
        if what is not None:
            yield what
