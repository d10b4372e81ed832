"""LoopLag: measures how late the event loop wakes a task."""

from __future__ import annotations

from typing import NoReturn

import anyio

from app.histogram import Histogram

PAUSE = 0.5
"""Seconds between two measurements: seldom enough to cost nothing, often enough to see a loop that is held up."""

LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds. A tenth of a second is what people begin to notice."""


class LoopLag:
    """Sleeps again and again; `lags` has the seconds by which it woke up late."""

    def __init__(self) -> None:
        self.lags = Histogram(LAGS)

    async def run(self) -> NoReturn:
        """Measure until cancelled."""
        while True:
            due = anyio.current_time() + PAUSE
            await anyio.sleep_until(due)
            self.lags.observe(max(0.0, anyio.current_time() - due))
