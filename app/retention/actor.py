"""RetentionActor: deletes jobs and files once they are old, in steps that hold up nobody."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import anyio
import structlog
from anyio import to_thread

from app.config.settings import Retention
from app.core.journal_port import JournalUnavailable, OldJobs
from app.entry_points import run_loop
from app.ports import RunSync
from app.retention.files import StoredFile, delete_files, names_in_use, stored_files

logger = structlog.stdlib.get_logger(__name__)

FIRST = 10.0
"""Seconds until the first round, so that it does not slow down the start of the bot."""

ROUND = 3600.0
"""Seconds between two rounds; limits are in days, so an hour is precise enough."""

AGAIN = 60.0
"""Seconds until the next round after one in which the journal could not be used."""

DAY = 86_400.0

JOBS_AT_ONCE = 50
"""Jobs that are looked at, and deleted at most, in one transaction: it takes a few milliseconds."""

FILES_AT_ONCE = 200
"""Files that are looked at, or deleted, in one call."""

PAGES_AT_ONCE = 64
"""Free pages of the journal that are given back in one transaction."""

PAUSE = 0.02
"""Seconds between two transactions, in which those of the bot come first."""

FRESH = 3600.0
"""Seconds for which no file is deleted after it was changed: its job may not be in the journal yet."""

MB = 2**20


class RetentionActor:
    """Deletes what `settings` say from the journal and the data folder, never what an unfinished job needs.

    A job is unfinished until its person has seen its end. `clock` is in seconds since 1970.
    """

    def __init__(
        self,
        settings: Retention,
        data: Path,
        journal: OldJobs,
        *,
        clock: Callable[[], float] = time.time,
        run_sync: RunSync = to_thread.run_sync,
    ) -> None:
        self._settings = settings
        self._data = data
        self._journal = journal
        self._clock = clock
        self._run_sync = run_sync

    async def run(self) -> None:
        """Run until cancelled; return at once if everything is kept."""
        if self._settings != Retention():
            await anyio.sleep(FIRST)
            await run_loop(self.clean_up, "what is old could not be deleted")

    async def clean_up(self) -> float:
        """Delete what is old now; return the seconds until the next round."""
        try:
            if self._settings.jobs:
                await self._remove_jobs(self._clock() - self._settings.jobs * DAY)
            if self._settings.files or self._settings.size:
                await self._delete_files()
        except JournalUnavailable as error:
            logger.warning("what is old is deleted later, because the journal cannot be used", reason=str(error))
            return AGAIN
        return ROUND

    async def _remove_jobs(self, before: float) -> None:
        removed, position = 0, 0
        while position is not None:
            step = await self._journal.remove_jobs(before, position, JOBS_AT_ONCE)
            removed, position = removed + step.removed, step.position
            await anyio.sleep(PAUSE if step.removed else 0)
        if removed:
            logger.info("old jobs were removed from the journal", count=removed)
            while await self._journal.give_back(PAGES_AT_ONCE):  # noqa: ASYNC110  each call is a step of the work
                await anyio.sleep(PAUSE)

    async def _delete_files(self) -> None:
        files = await self._files()
        now = self._clock()
        oldest = now - self._settings.files * DAY if self._settings.files else -math.inf
        excess = sum(file.size for file in files) - self._settings.size * MB if self._settings.size else 0
        remaining = iter(file for file in files if file.changed < now - FRESH)
        deleted, over = 0, False
        while not over:
            # Read again for each step: somebody may have made a new job from an old result.
            in_use = names_in_use(await self._journal.unfinished())
            chosen: list[StoredFile] = []
            for file in remaining:
                if file.changed >= oldest and excess <= 0:
                    break
                if file.belongs_to in in_use:
                    continue
                excess -= file.size
                chosen.append(file)
                if len(chosen) == FILES_AT_ONCE:
                    break
            over = len(chosen) < FILES_AT_ONCE
            deleted += await self._run_sync(delete_files, chosen)
        if deleted:
            logger.info("old files were deleted", count=deleted)

    async def _files(self) -> list[StoredFile]:
        """All files, oldest first."""
        files: list[StoredFile] = []
        take = partial(_take, stored_files(self._data))
        while some := await self._run_sync(take):
            files += some
        return sorted(files)


def _take(files: Iterator[StoredFile]) -> list[StoredFile]:
    return list(islice(files, FILES_AT_ONCE))
