"""How long pictures stay on our disk: as long as the operator wants it."""

from __future__ import annotations

import time
from pathlib import Path

import structlog
from anyio import to_thread

from app.entry_points import run_loop

logger = structlog.stdlib.get_logger(__name__)

ROUND = 3600.0
"""Seconds between two rounds: days are counted."""

DAY = 86400.0

FOLDERS = ("results", "inputs")


async def tidy(data: Path, days: int) -> None:
    """Live, and delete what is older than `days`; 0 keeps everything."""

    async def step() -> float:
        if gone := await to_thread.run_sync(delete_older, data, time.time() - days * DAY):
            logger.info("old pictures were deleted", count=gone)
        return ROUND

    if days:
        await run_loop(step, "old pictures could not be deleted")


def delete_older(data: Path, before: float) -> int:
    """Delete every picture that was last changed before this, in seconds since 1970; how many there were."""
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
