"""The way round a bucket that hikari shares among strangers: who is new on a route goes alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

FRESH = 9.0
"""Seconds for which hikari certainly remembers a limit: it forgets one ten seconds after it was reset, or later."""


class Gate:
    """Owns who was heard lately on each route, and lets the others pass one at a time.

    Discord's limits hold for a route and its channel, or its token. Of those whose limit hikari does not know yet it
    makes one bucket for each route; all who wait in it share the limit that the first one learns, so that fifty
    people who ask at once would be answered one a second. Behind this gate nobody waits in that bucket.
    """

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], float] = {}
        self._gates: dict[str, anyio.Lock] = {}

    @asynccontextmanager
    async def passing(self, route: str, whose: str) -> AsyncGenerator[None]:
        """Send one request on this route, for this channel or token."""
        if self._fresh((route, whose)):
            yield
        else:
            async with self._gates.setdefault(route, anyio.Lock()):
                yield
        self._heard = {known: at for known, at in self._heard.items() if self._fresh(known)}
        self._heard[route, whose] = anyio.current_time()

    def _fresh(self, known: tuple[str, str]) -> bool:
        return anyio.current_time() - self._heard.get(known, float("-inf")) < FRESH
