"""Thumbnails of results for lists of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from app.discord.ui.components import Upload
from app.discord.ui.file_kinds import is_picture
from app.entry_points import run_request
from app.events import JobId
from app.media_worker.containers import container_of
from app.retention.files import thumbnail_path
from app.service.results.thumbnails import Thumbnails

PATIENCE = 1.5
"""Seconds that a list waits for thumbnails that are not made yet; they are there when it is opened again."""


class ListThumbnails:
    """Reads thumbnails, and has those made in `tasks` that are missing."""

    def __init__(self, tasks: TaskGroup, thumbnails: Thumbnails) -> None:
        self._tasks = tasks
        self._thumbnails = thumbnails
        self._making: dict[str, anyio.Event] = {}

    async def of(self, results: Sequence[tuple[JobId, Sequence[str]]]) -> dict[JobId, Upload]:
        """The thumbnails of jobs, each given with the paths of its files, as far as there are any.

        Takes `PATIENCE` at most.
        """
        first = {job: picture for job, files in results if (picture := _first(files))}
        kept = await to_thread.run_sync(_read_all, list(first.values()))
        if missing := [picture for picture in first.values() if picture not in kept]:
            with anyio.move_on_after(PATIENCE):
                for event in [self._make(picture) for picture in missing]:
                    await event.wait()
            kept |= await to_thread.run_sync(_read_all, missing)
        contents = {job: kept.get(picture, b"") for job, picture in first.items()}
        return {job: Upload(f"{job[:8]}{_suffix(data)}", data=data) for job, data in contents.items() if data}

    def _make(self, picture: str) -> anyio.Event:
        """Begin to make a thumbnail, unless it is being made; the event is set when it is there, or is not possible."""
        if (made := self._making.get(picture)) is None:
            made = self._making[picture] = anyio.Event()
            self._tasks.start_soon(self._make_one, picture, made, name="thumbnail")
        return made

    async def _make_one(self, picture: str, made: anyio.Event) -> None:
        try:
            await run_request(partial(self._thumbnails.make, picture), "a thumbnail could not be made")
        finally:
            del self._making[picture]
            made.set()


def _first(files: Sequence[str]) -> str:
    """The first picture of a result; "" if there is none."""
    return next(filter(is_picture, files), "")


def _suffix(picture: bytes) -> str:
    """The suffix for a thumbnail's format: those of earlier versions may be small pictures as they were."""
    container = container_of(picture[:12])
    return ".webp" if container == "other" else f".{container}"


def _read_all(pictures: Sequence[str]) -> dict[str, bytes]:
    """The thumbnails that are kept. Those of results that were deleted count as empty, so that none is made."""
    thumbnails: dict[str, bytes] = {}
    for picture in pictures:
        try:
            thumbnails[picture] = thumbnail_path(picture).read_bytes() if Path(picture).is_file() else b""
        except OSError:
            continue
    return thumbnails
