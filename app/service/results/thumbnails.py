"""Makes thumbnails of results, once, and keeps them beside the results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import anyio
import structlog
from anyio import to_thread

from app.core.gallery import GalleryRecords
from app.entry_points import run_loop
from app.events import JobId
from app.media_worker.protocol import Dimensions, Refusal
from app.ports import OtherDisks, RunSync
from app.reasons.files import DiskFailed, WorkerUnavailable
from app.retention.files import PART, thumbnail_path
from app.service.results.kinds import kind_of

logger = structlog.stdlib.get_logger(__name__)

FIRST = 10.0
"""Seconds until the first thumbnail, so that none slows down the start of the bot."""

AGAIN = 60.0
"""Seconds until the next attempt after one that failed for a reason which may pass."""

BROUGHT_WITHIN = 60.0
"""Seconds within which a result is copied that only another disk has."""

MOST_TRIES = 3
"""Attempts for one result; then the next one comes."""


class MakesThumbnails(Protocol):
    """The part of the media worker that is needed."""

    async def thumbnail(self, source: Path, target: Path, *, mark_results: bool = False) -> Dimensions:
        """Write a small WebP of a result to `target`; return its width and height. Raises `Refusal`."""
        ...


class NotNow(Exception):
    """A thumbnail cannot be made now: the disk is full, or the media worker cannot be started."""


class Thumbnails:
    """Makes the thumbnail of a result beside it, never the same one twice at a time.

    With `mark_results` thumbnails carry the mark of `app.media_worker.mark`. `others` are the disks that may have
    results which this one lacks.
    """

    def __init__(
        self,
        media: MakesThumbnails,
        *,
        mark_results: bool,
        run_sync: RunSync = to_thread.run_sync,
        others: OtherDisks | None = None,
    ) -> None:
        self._others = others
        self._media = media
        self._mark_results = mark_results
        self._run_sync = run_sync
        self._turns: dict[str, anyio.Lock] = {}

    async def make(self, result: str) -> Dimensions | None:
        """Make the thumbnail of a file anew; return its width and height.

        None if there is none: the file is gone, or of a kind that is not shown as a picture, or cannot be decoded.
        Raises `NotNow`.
        """
        if kind_of([result]) not in {"picture", "video"}:
            return None
        if self._others is not None:
            await self._others.bring([result], BROUGHT_WITHIN)
        if not await self._run_sync(Path(result).is_file):
            return None
        target = thumbnail_path(result)
        unfinished = target.with_name(f"{target.name}{PART}")
        turn = self._turns.setdefault(result, anyio.Lock())
        try:
            async with turn:
                dimensions = await self._media.thumbnail(Path(result), unfinished, mark_results=self._mark_results)
                if not await self._run_sync(_keep, Path(result), unfinished, target):
                    return None
        except Refusal as refusal:
            if isinstance(refusal.reason, (DiskFailed, WorkerUnavailable)):
                raise NotNow(repr(refusal.reason)) from refusal
            logger.info("a result has no thumbnail", path=result, reason=repr(refusal.reason))
            return None
        except OSError as error:
            raise NotNow(error.strerror) from error
        finally:
            if not turn.statistics().tasks_waiting:
                self._turns.pop(result, None)
        return dimensions


class ThumbnailActor:
    """Makes the thumbnails of all entries of the gallery: of a new one at once, of older ones newest first.

    One at a time. An entry for which none can be made is tried once and remembered.
    """

    def __init__(self, records: GalleryRecords, thumbnails: Thumbnails) -> None:
        self._records = records
        self._thumbnails = thumbnails
        self._tried: tuple[JobId, int] = (JobId(""), 0)
        """The entry that failed last for a reason which may pass, and how often."""

    async def run(self) -> None:
        """Run until cancelled."""
        await anyio.sleep(FIRST)
        await run_loop(self._step, "a thumbnail could not be made")

    async def _step(self) -> float:
        unmade = await self._records.next_without_thumbnails()
        first: Dimensions | None = None
        try:
            for file in unmade.files:
                made = await self._thumbnails.make(file)
                first = first or made
        except NotNow as error:
            tries = self._tried[1] + 1 if self._tried[0] == unmade.job else 1
            self._tried = unmade.job, tries
            if tries < MOST_TRIES:
                logger.warning("thumbnails are made later", job=unmade.job, reason=str(error))
                return AGAIN
        await self._records.keep_dimensions(unmade.job, *(first or (0, 0)))
        return 0.0


def _keep(result: Path, made: Path, target: Path) -> bool:
    """Put a finished thumbnail in its place; False if its result was deleted meanwhile.

    It is as old as its result, so that both are deleted together.
    """
    try:
        status = result.stat()
    except FileNotFoundError:
        made.unlink(missing_ok=True)
        return False
    os.utime(made, ns=(status.st_mtime_ns, status.st_mtime_ns))
    made.replace(target)
    return True
