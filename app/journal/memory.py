"""A journal that lasts as long as the process, for commands that cancel what they leave unfinished."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.lowlevel

from app.core.job import Job, Transition
from app.events import JobId


class MemoryJournal:
    """Keeps every job until its terminal update has been shown."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, Job] = {}

    async def record(self, jobs: Sequence[Job], transitions: Sequence[Transition]) -> None:
        """See `app.core.journal_port.Journal`."""
        await anyio.lowlevel.checkpoint()
        for job in jobs:
            if job.notified:
                self._jobs.pop(job.id, None)
            else:
                self._jobs[job.id] = job

    async def unfinished(self) -> Sequence[Job]:
        """See `app.core.journal_port.Journal`."""
        await anyio.lowlevel.checkpoint()
        return list(self._jobs.values())
