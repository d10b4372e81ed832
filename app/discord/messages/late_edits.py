"""Finds results over which a front that was active before has shown something older, and shows them again.

That front may have been frozen, or cut off, between its decision to send an edit and the edit itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import structlog

from app.core.jobs.job import Job
from app.core.journal_port import JobHistory
from app.discord.messages.reply import MessageReply
from app.events import JobId
from app.ports import ConnectionLost

RESTORING = 0.0, 1.0, 5.0, 25.0, 125.0
"""Seconds before each attempt to look whether a message still shows its result."""

logger = structlog.stdlib.get_logger(__name__)


class LateEdits:
    """Looks once more at the results of jobs that were unfinished when this front became active.

    It does so after `settled_after` seconds: until then, requests of the front before may still arrive at Discord.
    Which results are to be looked at is kept in the journal, because another front may be active by then.
    """

    def __init__(self, job_history: JobHistory, settled_after: float) -> None:
        self._job_history = job_history
        self._settled_at = anyio.current_time() + settled_after
        self._left_alone: set[JobId] = set()

    async def expect(self, jobs: Sequence[Job]) -> list[Job]:
        """Record that the results of these unfinished jobs are to be looked at; return the ended ones that are, too.

        Raises `JournalError`.
        """
        ids = [job.id for job in jobs]
        if ids:
            await self._job_history.expect_late_edits(ids)
        ended: list[Job] = []
        for job_id in set(await self._job_history.late_edits()).difference(ids):
            if (job := await self._job_history.find(job_id)) is not None:
                ended.append(job)
            else:
                await self._job_history.expect_no_late_edit(job_id)
        return ended

    async def leave(self, job: JobId) -> None:
        """Leave the message of this job alone, because it shows another one from now on. Raises `JournalError`."""
        self._left_alone.add(job)
        await self._job_history.expect_no_late_edit(job)

    async def look(self, reply: MessageReply) -> None:
        """Show a result once more if its message says that the job goes on. Raises `JournalError`."""
        await anyio.sleep_until(self._settled_at)
        for pause in RESTORING:
            await anyio.sleep(pause)
            if reply.view.job in self._left_alone:
                return
            try:
                await reply.restore()
            except ConnectionLost as error:
                logger.info("a result could not be looked at again", job=reply.view.job, reason=str(error))
            else:
                break
        await self._job_history.expect_no_late_edit(reply.view.job)
