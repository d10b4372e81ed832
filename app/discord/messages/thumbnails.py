"""Small pictures of results, made once and kept beside the results, for lists of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from app.discord.messages.ports import PrepareFiles
from app.discord.messages.small_pictures import SMALL
from app.discord.ui.components import Upload
from app.discord.ui.file_kinds import is_picture
from app.entry_points import run_request
from app.events import JobId
from app.media_worker.containers import container_of
from app.retention.files import PART, thumbnail_path

PATIENCE = 1.5
"""Seconds that a list waits for thumbnails that are not made yet; they are there when it is opened again."""


class Thumbnails:
    """Makes and keeps thumbnails. They are made in `tasks`, one at a time, because nobody needs them at once."""

    def __init__(self, tasks: TaskGroup, prepare_files: PrepareFiles) -> None:
        self._tasks = tasks
        self._prepare_files = prepare_files
        self._making: dict[str, anyio.Event] = {}
        self._turn = anyio.Lock()

    async def of(self, results: Sequence[tuple[JobId, Sequence[str], str]]) -> dict[JobId, Upload]:
        """The thumbnails of jobs, each given with the paths of its files and its person, as far as there are any.

        Takes `PATIENCE` at most.
        """
        first = {job: (picture, person) for job, files, person in results if (picture := _first(files))}
        pictures = [picture for picture, _ in first.values()]
        kept = await to_thread.run_sync(_read_all, pictures)
        missing = {picture: person for picture, person in first.values() if picture not in kept}
        if missing:
            with anyio.move_on_after(PATIENCE):
                for event in [self._make(picture, person) for picture, person in missing.items()]:
                    await event.wait()
            kept |= await to_thread.run_sync(_read_all, list(missing))
        contents = {job: kept.get(picture, b"") for job, (picture, _) in first.items()}
        return {job: Upload(f"{job[:8]}{_suffix(data)}", data=data) for job, data in contents.items() if data}

    def _make(self, picture: str, person: str) -> anyio.Event:
        """Begin to make a thumbnail, unless it is being made; the event is set when it is there, or is not possible."""
        if (made := self._making.get(picture)) is None:
            made = self._making[picture] = anyio.Event()
            self._tasks.start_soon(self._make_one, picture, person, made, name="thumbnail")
        return made

    async def _make_one(self, picture: str, person: str, made: anyio.Event) -> None:
        async def make() -> None:
            async with self._turn, self._prepare_files([picture], SMALL, person) as (uploads, _):
                for upload in uploads:
                    await to_thread.run_sync(_keep, picture, Path(upload.path))

        try:
            await run_request(make, "a thumbnail could not be made")
        finally:
            del self._making[picture]
            made.set()


def _first(files: Sequence[str]) -> str:
    """The first picture of a result; "" if there is none."""
    return next(filter(is_picture, files), "")


def _suffix(picture: bytes) -> str:
    """The suffix for a picture's format: small ones are kept as they are, others become WebP."""
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


def _keep(picture: str, made: Path) -> None:
    """Keep a file as the thumbnail of a picture, completely or not at all."""
    target = thumbnail_path(picture)
    unfinished = target.with_name(f"{target.name}{PART}")
    unfinished.write_bytes(made.read_bytes())
    unfinished.replace(target)
