"""InteractionActor: one wish of one person, from the first word to the picture."""

from __future__ import annotations

from functools import partial

import anyio
import structlog
from anyio.abc import TaskStatus

from app.actors.handle import Registry, Updates
from app.backoff import Pauses, backoff
from app.boundary import report_failure
from app.core.job import JobRequest
from app.entry_points import run_request
from app.events import TERMINAL_UPDATES, AnyUpdate, Failed, JobId
from app.ports import ConnectionLost, Reply

patient = partial(backoff, 1.0, 60.0)
"""Pauses between two tries to show a last word: a place of people is away for minutes, not for moments."""

FAILURES = 3
"""Unexpected failures to show a last word after which this life of the bot leaves it to the next one."""

logger = structlog.stdlib.get_logger(__name__)


class InteractionActor:
    """Hands in one wish, or takes up one that was handed in earlier, and shows what becomes of it.

    It keeps its person's place of watching up to date until the last word, and has the house note that this
    was shown. The reader is paced, not the writer: between two words it leaves the reply's pause, and what it missed
    is already conflated. The last word does not wait.
    """

    def __init__(
        self,
        request: JobRequest | JobId,
        registry: Registry,
        reply: Reply,
        *,
        place: str = "",
        pauses: Pauses = patient,
    ) -> None:
        self._job = request.job if isinstance(request, JobRequest) else request
        self._updates = (
            partial(registry.submit, request, place)
            if isinstance(request, JobRequest)
            else partial(registry.watch, request)
        )
        self._registry = registry
        self._reply = reply
        self._pauses = pauses

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Live until the last word was shown; started means that the wish is handed in.

        What breaks in here is logged and told to its person, and never reaches the others. The journal then still
        has the job as one whose person has not heard the last word, so the next life of the bot shows it.
        """
        await run_request(
            partial(self._live, task_status), "an interaction failed", self._report_failure, job=self._job
        )

    async def _deliver_with_retry(self, terminal_update: AnyUpdate) -> None:
        """Show it, however long the place is out of reach: nothing but this is left to do.

        A failure that is not `ConnectionLost` is logged and tried again, `FAILURES` times in all; the last is raised.
        """
        failures = 0
        for pause in self._pauses():
            try:
                await self._reply.show(terminal_update)
            except ConnectionLost as loss:
                logger.warning("a last word must wait", job=self._job, reason=str(loss))
            except Exception as error:
                failures += 1
                if failures == FAILURES:
                    raise
                report_failure(error, "a last word could not be shown; trying again", job=self._job)
            else:
                return
            await anyio.sleep(pause)

    async def _live(self, task_status: TaskStatus[None]) -> None:
        async with self._updates() as updates:
            task_status.started()
            if await self._follow(updates):
                await self._registry.delivered(self._job, self._reply.receipt)

    async def _report_failure(self, sentence: str) -> None:
        await self._reply.show(Failed(job=self._job, reason=sentence))

    async def _follow(self, updates: Updates) -> bool:
        """Show everything; whether the last word was among it.

        What cannot be shown on the way to the last word is left out: the log has the first failure.
        """
        whole = True
        async for update in updates:
            if isinstance(update, TERMINAL_UPDATES):
                await self._deliver_with_retry(update)
                return True
            try:
                await self._reply.show(update)
            except ConnectionLost:
                pass
            except Exception as error:  # noqa: BLE001  the boundary of one update
                if whole:
                    report_failure(error, "an update could not be shown", job=self._job)
                whole = False
            with anyio.move_on_after(self._reply.pause):
                await updates.ended()
        return False
