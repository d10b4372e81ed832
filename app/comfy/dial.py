"""The Dial port: open a websocket, say hello, and pass on what the server says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import anyio

from app.comfy.wire import GREETING, Decoder
from app.events import QueueChanged, Spoken
from app.ports import ConnectionLost, OpenWebSocket, WebSocket

FIRST_WORD = 10.0
"""Seconds for the `status` frame that ComfyUI sends at once: what does not is no ComfyUI."""


@asynccontextmanager
async def dial(open_websocket: OpenWebSocket) -> AsyncGenerator[AsyncIterator[Spoken]]:
    """Open one websocket for the length of the block; see `app.ports.Dial`."""
    decoder = Decoder()
    async with open_websocket() as socket:
        await socket.send(GREETING)
        first: Spoken | None = None
        with anyio.move_on_after(FIRST_WORD):
            first = decoder.feed(await socket.receive())
        if not isinstance(first, QueueChanged):
            raise ConnectionLost("what answers there does not speak ComfyUI's language")
        async with aclosing(_listen(socket, decoder, first)) as spoken:
            yield spoken


async def _listen(socket: WebSocket, decoder: Decoder, first: Spoken) -> AsyncGenerator[Spoken]:
    yield first
    while True:
        what = decoder.feed(await socket.receive())
        if what is not None:
            yield what
