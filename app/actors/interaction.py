"""InteractionActor: one job of one user, from its submission until its terminal update is shown."""

from __future__ import annotations

from functools import partial

import anyio
import structlog
from anyio.abc import TaskStatus

from app.actors.handle import Registry, Updates
from app.backoff import Pauses, backoff
from app.boundary import report_failure
from app.core.jobs.job import JobRequest
from app.entry_points import UNTOLD, run_request
from app.events import TERMINAL_UPDATES, AnyUpdate, Edited, Failed, JobId, Queued, TerminalUpdate
from app.ports import ConnectionLost, NoPlace, Reply
from app.reasons.jobs import ServersOffline

patient = partial(backoff, 1.0, 60.0)
"""Pauses between two attempts to show a terminal update: Discord is unreachable for minutes rather than moments."""

rarely = partial(backoff, 30.0, 3600.0, 0.0)
"""Pauses between two attempts while every place refuses the terminal update: somebody has to change something first."""

PATIENCE = 24 * 3600.0
"""Seconds after which nobody can be expected to change it any more."""

NEXT_IN_LINE, FAR_BACK = 2.0, 30.0
"""Seconds after which a waiting job's place in line is asked for, at first and at most: while it does not change, the
pause doubles."""

FAILURES = 3
"""Unexpected failures to show a terminal update after which the user is told, and the pauses become long."""

logger = structlog.stdlib.get_logger(__name__)


class InteractionActor:
    """Submits one job request, or follows a job that was submitted earlier, and shows its updates.

    It keeps the `reply` up to date until the terminal update, and tells the registry when that has been shown. The
    reader is paced, not the writer: it waits `reply.pause` between two updates, and what it missed meanwhile is already
    conflated. The terminal update does not wait.
    """

    def __init__(
        self,
        request: JobRequest | JobId,
        registry: Registry,
        reply: Reply,
        *,
        place: str = "",
        pauses: Pauses = patient,
        patience: float = PATIENCE,
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
        self._patience = patience
        self._in_line = False
        """Whether the job waits for a server that can be reached, so that its place in line changes without news."""

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run until the terminal update has been shown; `task_status` is started once the job is submitted.

        An exception in here is logged and reported to the user, and never reaches other tasks. The journal then still
        has the job as one whose terminal update has not been shown, so the next start of the bot shows it.
        """
        await run_request(
            partial(self._live, task_status), "an interaction failed", self._report_failure, job=self._job
        )

    async def _deliver_with_retry(self, terminal_update: TerminalUpdate) -> TerminalUpdate:
        """Show the terminal update, however long its place is unreachable: this task has nothing else to do.

        Returns what was shown in the end: a job may be cancelled meanwhile. If every place refuses it for `patience`
        seconds it is not shown, and its files are kept.

        A failure that is not `ConnectionLost` is logged and tried again. After `FAILURES` of them the user reads that
        something went wrong, and the pauses become long. After `patience` seconds, and at least `FAILURES` attempts,
        the failure is raised.
        """
        failures, soon, later = 0, self._pauses(), rarely()
        refused_until = failing_until = float("inf")
        while True:
            try:
                await self._reply.show(terminal_update)
            except NoPlace as loss:
                refused_until = min(refused_until, anyio.current_time() + self._patience)
                if anyio.current_time() >= refused_until:
                    logger.error("a result is kept, because no place takes it", job=self._job)
                    return terminal_update
                logger.warning("no place takes a result; trying again later", job=self._job, reason=str(loss))
                pause = next(later)
            except ConnectionLost as loss:
                logger.warning("a result must wait", job=self._job, reason=str(loss))
                pause = next(soon)
            except Exception as error:
                failures += 1
                failing_until = min(failing_until, anyio.current_time() + self._patience)
                if failures >= FAILURES and anyio.current_time() >= failing_until:
                    raise
                sentence = report_failure(error, "a result could not be shown; trying again", job=self._job)
                if failures == FAILURES:
                    await run_request(partial(self._report_failure, sentence), UNTOLD, job=self._job)
                pause = next(soon if failures < FAILURES else later)
            else:
                return terminal_update
            terminal_update = await self._pause(pause, terminal_update)

    async def _pause(self, seconds: float, terminal_update: TerminalUpdate) -> TerminalUpdate:
        """Wait, unless the job is cancelled meanwhile; return the terminal update to show next."""
        with anyio.move_on_after(seconds):
            async with self._registry.watch(self._job) as updates:
                async for update in updates:
                    if isinstance(update, TERMINAL_UPDATES) and update != terminal_update:
                        return update
            await anyio.sleep_forever()
        return terminal_update

    async def _live(self, task_status: TaskStatus[None]) -> None:
        async with self._updates() as updates:
            task_status.started()
            if (shown := await self._follow(updates)) is not None:
                await self._registry.delivered(self._job, self._reply.receipt, shown)

    async def _report_failure(self, sentence: str) -> None:
        await self._reply.show(Failed(job=self._job, reason=sentence))

    async def _follow(self, updates: Updates) -> TerminalUpdate | None:
        """Show all updates; return the terminal update that was shown, None if there was none.

        An update before it that cannot be shown is skipped; only the first such failure is logged.
        """
        whole = True
        while (update := await self._next(updates)) is not None:
            if isinstance(update, TERMINAL_UPDATES):
                return await self._deliver_with_retry(update)
            try:
                await self._reply.show(update)
            except ConnectionLost:
                pass
            except Exception as error:  # noqa: BLE001  the boundary of one update
                if whole:
                    report_failure(error, "an update could not be shown", job=self._job)
                whole = False
            if self._reply.pause:
                with anyio.move_on_after(self._reply.pause):
                    await updates.ended()
        return None

    async def _next(self, updates: Updates) -> AnyUpdate | None:
        """The next update, None after the last one. While the job waits in line, ask for its place there."""
        pause = NEXT_IN_LINE
        while True:
            with anyio.move_on_after(pause if self._in_line else None):
                try:
                    update = await anext(updates)
                except StopAsyncIteration:
                    return None
                if not isinstance(update, Edited):
                    self._in_line = isinstance(update, Queued) and not isinstance(update.note, ServersOffline)
                return update
            await self._registry.refresh(self._job)
            pause = min(2 * pause, FAR_BACK)
