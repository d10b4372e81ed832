"""Passes on each interaction once, where several connections may say the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import hikari
import structlog

logger = structlog.stdlib.get_logger(__name__)

REMEMBERED = 60.0
"""Seconds for which an interaction is remembered; Discord takes no first answer after three."""

MOST_REMEMBERED = 10_000


class Once:
    """Passes each interaction on if it was not seen within the last minute."""

    def __init__(self, handle: Callable[[hikari.InteractionCreateEvent], Awaitable[None]]) -> None:
        self._handle = handle
        self._seen: dict[int, float] = {}
        """When an interaction was seen, by its id; oldest first."""

    async def handle(self, event: hikari.InteractionCreateEvent) -> None:
        """Handle an interaction, or leave it out."""
        if self.is_new(int(event.interaction.id)):
            await self._handle(event)
        else:
            logger.info("an interaction arrived again", interaction=str(event.interaction.id))

    def is_new(self, interaction: int) -> bool:
        """Whether an interaction was not seen lately; from now on it was."""
        now = anyio.current_time()
        while self._seen and (self._is_old(now) or len(self._seen) > MOST_REMEMBERED):
            del self._seen[next(iter(self._seen))]
        if interaction in self._seen:
            return False
        self._seen[interaction] = now
        return True

    def _is_old(self, now: float) -> bool:
        return now - next(iter(self._seen.values())) > REMEMBERED
