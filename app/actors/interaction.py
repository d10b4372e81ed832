"""InteractionActor: one wish of one person, from the first word to the picture."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import structlog
from anyio.abc import TaskStatus

from app.actors.registry import Registry, Updates
from app.events import LAST_WORDS, Failed, JobId
from app.jobs import Wish
from app.ports import Reply

logger = structlog.stdlib.get_logger(__name__)


class InteractionActor:
    """Hands in one wish, or takes up one that was handed in earlier, and shows what becomes of it.

    It keeps its person's place of watching up to date until the last word, and has the house note that this
    was shown. The reader is paced, not the writer: between two words it leaves the reply's pause, and what it missed
    is already conflated. The last word does not wait.
    """

    def __init__(self, wish: Wish | JobId, registry: Registry, reply: Reply, *, place: str = "") -> None:
        self._job = wish.job if isinstance(wish, Wish) else wish
        self._updates = (
            partial(registry.submit, wish, place) if isinstance(wish, Wish) else partial(registry.watch, wish)
        )
        self._registry = registry
        self._reply = reply

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Live until the last word was shown; started means that the wish is handed in.

        This is the house's one boundary: what breaks in here is logged and shown to its person, and never
        reaches the others.
        """
        if not await self._survives(partial(self._live, task_status)):
            await self._survives(self._apologise)

    async def _survives(self, part: Callable[[], Awaitable[None]]) -> bool:
        try:
            await part()
        except Exception:
            logger.exception("an interaction broke", job=self._job)
            return False
        return True

    async def _live(self, task_status: TaskStatus[None]) -> None:
        async with self._updates() as updates:
            task_status.started()
            if await self._follow(updates):
                await self._registry.delivered(self._job, self._reply.receipt)

    async def _apologise(self) -> None:
        await self._reply.show(Failed(job=self._job, reason="Something broke on the bot's side."))

    async def _follow(self, updates: Updates) -> bool:
        """Show everything; whether the last word was among it."""
        async for update in updates:
            await self._reply.show(update)
            if isinstance(update, LAST_WORDS):
                return True
            with anyio.move_on_after(self._reply.pause):
                await updates.ended()
        return False
