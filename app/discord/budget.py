"""How much may be carried at once: whoever comes later waits for room, in turn."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio


class Budget:
    """Owns the sum of what is carried now. What is larger than all of it is carried alone."""

    def __init__(self, whole: int) -> None:
        self._whole = whole
        self._carried = 0
        self._turn = anyio.Lock()
        self._lighter = anyio.Event()

    @asynccontextmanager
    async def carrying(self, size: int) -> AsyncGenerator[None]:
        """Carry so much for the length of the block."""
        async with self._turn:
            while self._carried and self._carried + size > self._whole:
                self._lighter = anyio.Event()
                await self._lighter.wait()
            self._carried += size
        try:
            yield
        finally:
            self._carried -= size
            self._lighter.set()
