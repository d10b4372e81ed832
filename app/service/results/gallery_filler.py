"""GalleryFiller: adds results of an earlier version to the gallery, in steps that hold up nobody."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from app.core.gallery import GalleryRecords
from app.core.jobs.job import Job
from app.entry_points import run_loop
from app.events import Finished
from app.service.jobs.follow_ups import is_kept

FIRST = 10.0
"""Seconds until the first step, so that it does not slow down the start of the bot."""

JOBS_AT_ONCE = 50
"""Jobs that are looked at in one step: the commit takes a few milliseconds."""

PAUSE = 0.05
"""Seconds between two steps."""

DAY = 86_400.0
"""Seconds until it is looked again once all jobs were looked at: there are no further ones until the next update."""


class GalleryFiller:
    """Adds what the journal has of results from before there was a gallery, newest first.

    `is_private` says whether a job is not to be seen in the channel where it was made, by its place in the frontend's
    format and the channel: earlier versions did not record the thread.
    """

    def __init__(self, records: GalleryRecords, is_private: Callable[[str, str], bool]) -> None:
        self._records = records
        self._is_private = is_private

    async def run(self) -> None:
        """Run until cancelled."""
        await anyio.sleep(FIRST)
        await run_loop(self._step, "older results could not be added to the gallery")

    async def _step(self) -> float:
        return PAUSE if await self._records.fill_gallery(JOBS_AT_ONCE, self._is_public) else DAY

    def _is_public(self, job: Job) -> bool:
        """Whether others may see it: earlier versions did not record whose result was deleted by a button."""
        update = job.terminal_update
        kept = isinstance(update, Finished) and (not update.files or any(map(is_kept, update.files)))
        return kept and not self._is_private(job.place, job.request.shown_in)
