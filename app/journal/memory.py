"""A journal that lasts as long as the process, for commands that cancel what they leave unfinished."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import anyio.lowlevel

from app.core.jobs.cost import Run
from app.core.jobs.job import Job, Transition
from app.core.journal_port import MOST_RUNS, DrainedServer
from app.core.limits.spending import Spent
from app.core.limits.usage import Use
from app.core.scheduling.queue.fair_queue import NOTHING_SERVED, Served, together
from app.core.servers.power import OnPeriod, PowerRecord
from app.events import JobId


class MemoryJournal:
    """Keeps every job until its terminal update has been shown."""

    def __init__(self) -> None:
        self._jobs: dict[JobId, Job] = {}
        self._runs: deque[Run] = deque(maxlen=MOST_RUNS)
        self._served = NOTHING_SERVED

    @property
    def is_suspended(self) -> bool:
        """See `app.core.journal_port.Journal`."""
        return False

    async def record(
        self,
        jobs: Sequence[Job],
        transitions: Sequence[Transition],
        runs: Sequence[Run] = (),
        served: Served = NOTHING_SERVED,
    ) -> None:
        """See `app.core.journal_port.Journal`."""
        await anyio.lowlevel.checkpoint()
        for job in jobs:
            if job.notified:
                self._jobs.pop(job.id, None)
            else:
                self._jobs[job.id] = job
        self._runs += runs
        self._served = together(self._served, served)

    async def served(self) -> Served:
        """See `app.core.journal_port.Journal`."""
        await anyio.lowlevel.checkpoint()
        return self._served

    async def unfinished(self) -> Sequence[Job]:
        """See `app.core.journal_port.Journal`."""
        await anyio.lowlevel.checkpoint()
        return list(self._jobs.values())

    async def runs(self) -> Sequence[Run]:
        """See `app.core.journal_port.Journal`."""
        await anyio.lowlevel.checkpoint()
        return list(self._runs)

    async def drained(self) -> Sequence[DrainedServer]:
        """See `app.core.journal_port.Journal`."""
        await anyio.lowlevel.checkpoint()
        return ()

    async def on_periods(self) -> Sequence[OnPeriod]:
        """See `app.core.journal_port.Journal`. Nothing: this journal begins when the process does."""
        await anyio.lowlevel.checkpoint()
        return ()

    async def record_power(self, records: Sequence[PowerRecord]) -> None:
        """See `app.core.journal_port.Journal`. Does nothing: no server stays on after the process."""
        await anyio.lowlevel.checkpoint()

    async def uses(self) -> Sequence[Use]:
        """See `app.core.journal_port.Journal`. Nothing: this journal begins when the process does."""
        await anyio.lowlevel.checkpoint()
        return []

    async def spent(self) -> Sequence[Spent]:
        """See `app.core.journal_port.Journal`. Nothing, as above."""
        await anyio.lowlevel.checkpoint()
        return []
