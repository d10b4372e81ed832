"""The disks of other processes, in tests of what uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from tests.conftest import inline


class Elsewhere:
    """Has files of these contents, by path, and copies them within `slow` seconds; see `app.ports.OtherDisks`."""

    def __init__(self, has: Mapping[str, bytes] | None = None, *, slow: float = 0.0) -> None:
        self.has = dict(has or {})
        self.slow = slow
        self.spread_to: list[str] = []

    async def bring(self, paths: Sequence[str], seconds: float) -> None:
        with anyio.move_on_after(seconds):
            for path in paths:
                if path in self.has:
                    await anyio.sleep(self.slow)
                    await inline(Path(path).write_bytes, self.has[path])

    async def spread(self, paths: Sequence[str]) -> None:
        self.spread_to += paths
