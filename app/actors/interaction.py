"""InteractionActor: one wish of one person, from the first word to the picture."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import structlog
from anyio.abc import TaskStatus

from app.actors.registry import Registry, Updates
from app.events import LAST_WORDS, Failed
from app.jobs import Wish
from app.ports import Reply

logger = structlog.stdlib.get_logger(__name__)


class InteractionActor:
    """Hands in one wish, and keeps its person's place of watching up to date until the last word.

    The reader is paced, not the writer: between two words it leaves the reply's pause, and what it missed
    is already conflated. The last word does not wait.
    """

    def __init__(self, wish: Wish, registry: Registry, reply: Reply) -> None:
        self._wish = wish
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
            logger.exception("an interaction broke", job=self._wish.job)
            return False
        return True

    async def _live(self, task_status: TaskStatus[None]) -> None:
        async with self._registry.submit(self._wish) as updates:
            task_status.started()
            await self._follow(updates)
        await self._registry.delivered(self._wish.job)

    async def _apologise(self) -> None:
        await self._reply.show(Failed(job=self._wish.job, reason="Something broke on the bot's side."))

    async def _follow(self, updates: Updates) -> None:
        async for update in updates:
            await self._reply.show(update)
            if not isinstance(update, LAST_WORDS):
                with anyio.move_on_after(self._reply.pause):
                    await updates.ended()
