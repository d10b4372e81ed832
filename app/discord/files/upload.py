"""Prepares result files for upload, within a memory budget."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import structlog
from anyio import CapacityLimiter, to_thread

from app.discord.ui.components import Upload
from app.discord.ui.file_kinds import is_shown
from app.media_worker.client import MediaClient
from app.media_worker.protocol import Compressed, Refusal
from app.ports import OtherDisks
from app.reasons.files import (
    DoesNotFit,
    PostingNote,
    ResultDeleted,
    ResultNotPrepared,
    ResultReduced,
    ResultTooLargeToPost,
)


class MemoryBudget:
    """Tracks the bytes that are reserved. A size above the whole budget is reserved alone."""

    def __init__(self, whole: int) -> None:
        self._whole = whole
        self._carried = 0
        self._turn = anyio.Lock()
        self._lighter = anyio.Event()

    @asynccontextmanager
    async def reserve(self, size: int) -> AsyncGenerator[None]:
        """Reserve `size` bytes for the length of the block, waiting until they are free."""
        async with self._turn:
            while self._carried and self._carried + size > self._whole:
                self._lighter = anyio.Event()
                await self._lighter.wait()
            self._carried += size
        try:
            yield
        finally:
            self._carried -= size
            self._lighter.set()


logger = structlog.stdlib.get_logger(__name__)

LONGEST_STEM = 40

AT_ONCE = 64 * 2**20
"""Bytes of results in memory while they are sent: after an outage a hundred results may be delivered at once."""

BROUGHT_WITHIN = 60.0
"""Seconds within which results are copied that only another disk has."""

THREADS = 2
"""Threads for file operations here. They are separate from the journal's."""


class UploadPreparer:
    """See `app.discord.messages.ports.PrepareFiles`. `keep_metadata` leaves the workflow in the posted files.

    With `mark_results` they carry the mark of `app.media_worker.mark`. The results themselves do not change: the media
    worker writes other versions into `folder`, which exist within the block. `others` are the disks that may have files
    which this one lacks.
    """

    def __init__(
        self,
        media: MediaClient,
        folder: Path,
        *,
        keep_metadata: bool,
        mark_results: bool,
        others: OtherDisks | None = None,
    ) -> None:
        self._others = others
        self._media = media
        self._folder = folder
        self._keep_metadata = keep_metadata
        self._mark_results = mark_results
        self._budget = MemoryBudget(AT_ONCE)
        self._threads = CapacityLimiter(THREADS)

    @asynccontextmanager
    async def __call__(
        self, files: Sequence[str], limit: int, person: str, *, made: bool = True
    ) -> AsyncGenerator[tuple[list[Upload], list[PostingNote]]]:
        """See `app.discord.messages.ports.PrepareFiles`."""
        if not files:
            yield [], []
            return
        try:
            folder = await to_thread.run_sync(_make_folder, self._folder, limiter=self._threads)
        except OSError as error:
            logger.error("results cannot be prepared", reason=error.strerror)
            yield [], [ResultNotPrepared()]
            return
        try:
            if self._others is not None:
                await self._others.bring(files, BROUGHT_WITHIN)
            uploads: list[Upload] = []
            notes: dict[PostingNote, None] = {}
            mark = made and self._mark_results
            for number, file in enumerate(files):
                path = Path(file)
                upload, note = await self._fit(path, number, limit, folder / str(number), person, mark=mark)
                if upload is not None:
                    uploads.append(upload)
                if note is not None:
                    notes[note] = None
            # Reserve only what is about to be read: compressing a video may take minutes.
            async with self._budget.reserve(sum(upload.size for upload in uploads)):
                yield uploads, list(notes)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(lambda: shutil.rmtree(folder, ignore_errors=True), limiter=self._threads)

    async def _fit(
        self, path: Path, number: int, limit: int, target: Path, person: str, *, mark: bool
    ) -> tuple[Upload | None, PostingNote | None]:
        """One file as an upload, None if that is impossible; and what is unusual about it, None if nothing is."""
        size = await to_thread.run_sync(_size, path, limiter=self._threads)
        if size is None:
            return None, ResultDeleted()
        try:
            compressed = await self._media.compress(
                path,
                target,
                limit,
                person=person,
                keep_metadata=self._keep_metadata,
                mark_results=mark,
            )
        except Refusal as refusal:
            logger.warning("a result cannot be posted, and is kept", path=str(path), reason=repr(refusal.reason))
            fails_to_fit = isinstance(refusal.reason, DoesNotFit)
            return None, ResultTooLargeToPost(size) if fails_to_fit else ResultNotPrepared()
        # A hard link, so that the file stays readable if it is deleted while it is sent.
        made = await to_thread.run_sync(_link, path, target, limiter=self._threads) if compressed.unchanged else target
        made_size = await to_thread.run_sync(_size, made, limiter=self._threads)
        if made_size is None or made_size > limit:
            logger.error("the media worker made nothing that fits", path=str(path), size=made_size)
            return None, ResultNotPrepared()
        suffix = compressed.suffix or path.suffix.lower()
        name = _name(path, number, suffix)
        if mark and not compressed.marked and is_shown(name):
            logger.warning("a result is posted without the mark", path=str(path))
        return Upload(name, path=str(made), size=made_size, dimensions=compressed.dimensions), _note(compressed)


def _note(compressed: Compressed) -> ResultReduced | None:
    """What was given up; None for nothing."""
    reduced = compressed.scale < 1 or compressed.quality < 100
    return ResultReduced(compressed.quality, compressed.scale) if reduced else None


def clear(folder: Path) -> None:
    """Delete a folder of temporary files: an earlier run may have left some."""
    shutil.rmtree(folder, ignore_errors=True)


def _make_folder(parent: Path) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent))


def _link(path: Path, target: Path) -> Path:
    """A hard link to the file, if the system supports it; else the file itself."""
    try:
        target.hardlink_to(path)
    except OSError:
        return path
    return target


def _size(path: Path) -> int | None:
    """The file's size in bytes; None if there is no readable file."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _name(path: Path, number: int, suffix: str) -> str:
    """A file name that Discord does not change, so that the message can refer to its files by name."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", path.stem).strip("_")[-LONGEST_STEM:] or "result"
    return f"{stem}-{number + 1}{suffix}"
