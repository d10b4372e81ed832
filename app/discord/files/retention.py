"""Deletes files from the bot's disk: results that people delete, old pictures, and unfinished files."""

from __future__ import annotations

import time
from pathlib import Path

import structlog
from anyio import to_thread

from app.core.job import Job
from app.entry_points import run_loop
from app.events import Failed, Finished

logger = structlog.stdlib.get_logger(__name__)

ROUND = 3600.0
"""Seconds between two runs; the limit is in days, so an hour is precise enough."""

DAY = 86400.0

FOLDERS = ("results", "inputs")


async def tidy(data: Path, days: int) -> None:
    """Run forever, and delete files older than `days`; returns at once if that is 0, which keeps everything."""

    async def step() -> float:
        if gone := await to_thread.run_sync(delete_older, data, time.time() - days * DAY):
            logger.info("old pictures were deleted", count=gone)
        return ROUND

    if days:
        await run_loop(step, "old pictures could not be deleted")


def delete_older(data: Path, before: float) -> int:
    """Delete every file last changed before this time, in seconds since 1970; return how many."""
    gone = 0
    for folder in FOLDERS:
        for file in (data / folder).glob("**/*"):
            try:
                if file.is_file() and file.stat().st_mtime < before:
                    file.unlink()
                    gone += 1
            except OSError as error:
                logger.warning("an old picture cannot be deleted", path=str(file), reason=error.strerror)
    return gone


def delete_results(job: Job) -> None:
    """Delete the files of one job's result; those that are gone already do not matter. Raises `OSError`."""
    shown = job.terminal_update.files if isinstance(job.terminal_update, (Finished, Failed)) else ()
    for file in {*filter(None, job.files.values()), *job.streamed, *shown}:
        Path(file).unlink(missing_ok=True)


def delete_unfinished(data: Path) -> None:
    """Delete what an earlier run had written of files when it was killed; call it before anything is fetched.

    The name of such a file is that of the result and ".part".
    """
    for folder in FOLDERS:
        for file in (data / folder).glob("**/*.*.part"):
            try:
                file.unlink()
            except OSError as error:
                logger.warning("an unfinished file cannot be deleted", path=str(file), reason=error.strerror)
