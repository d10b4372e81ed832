"""By how much the clock of the worker's machine differs from the engine's, for whoever looks for a reason."""

from __future__ import annotations

import time

import anyio

from app.engine.connection import Engine
from app.ports import ConnectionLost

PAUSE = 60.0
"""Seconds between two comparisons."""

NOTABLE = 10
"""Seconds by which the difference must change before another one is stated: each one changes the registration."""


class ClockDifference:
    """Owns the difference that is stated: `ahead`, in seconds."""

    def __init__(self) -> None:
        self.ahead = 0

    async def compare(self, engine: Engine) -> None:
        """Compare the clocks, again and again, until cancelled."""
        while True:
            try:
                before = time.time()
                theirs = await engine.time()
                ahead = round((before + time.time()) / 2 - theirs)
            except ConnectionLost:
                ahead = self.ahead
            if abs(ahead - self.ahead) >= NOTABLE:
                self.ahead = ahead
            await anyio.sleep(PAUSE)
