"""A trio stream that knows how long the peer has let it wait."""

from __future__ import annotations

import trio


class Watched(trio.abc.Stream):
    """Passes everything through, and times the reading and the writing.

    A pong may be late because it queues behind a frame of 64 MB on a slow line, or because we ourselves do
    not read for a while: neither is a dead peer. Dead is who lets us wait and sends no byte at all, or reads none.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._reading_since: float | None = None
        self._writing_since: float | None = None

    @property
    def waited(self) -> float:
        """Seconds since we began to wait for bytes that have not come, or have not been taken; 0 if we do not wait."""
        begun = [since for since in (self._reading_since, self._writing_since) if since is not None]
        return trio.current_time() - min(begun) if begun else 0.0

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream`."""
        self._reading_since = trio.current_time()
        try:
            return await self._stream.receive_some(max_bytes)
        finally:
            self._reading_since = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        self._writing_since = trio.current_time()
        try:
            await self._stream.send_all(data)
        finally:
            self._writing_since = None

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self._stream.aclose()
