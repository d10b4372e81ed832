"""A trio stream that knows how long the peer has let it wait, and whether it has left."""

from __future__ import annotations

import trio


class Watched(trio.abc.Stream):
    """Passes everything through, and times the reading.

    A pong may be late because it queues behind a frame of 64 MB on a slow line, or because we ourselves do
    not read for a while: neither is a dead peer. Dead is who lets us wait and sends no byte at all.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._since: float | None = None
        self.ended = trio.Event()
        """Set once nothing more will come."""

    @property
    def waited(self) -> float:
        """Seconds since we began to wait for the bytes that have not come; 0 while nobody reads."""
        return 0.0 if self._since is None else trio.current_time() - self._since

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See `trio.abc.ReceiveStream`."""
        self._since = trio.current_time()
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise
        finally:
            self._since = None
        if not data:
            self.ended.set()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See `trio.abc.SendStream`."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """See `trio.abc.AsyncResource`."""
        await self._stream.aclose()
