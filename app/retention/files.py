"""Deletes files from the bot's disk: results that people delete, old files, and unfinished ones. Synchronous."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePath

import structlog
from msgspec import Struct

from app.core.jobs.job import Job
from app.events import Failed, Finished

logger = structlog.stdlib.get_logger(__name__)

FOLDERS = ("results", "inputs")
"""The folders of the data folder with files of jobs: results, and what people attached."""

PART = ".part"
"""How the name of a file ends while it is written."""


THUMBNAIL = ".thumbnail"
"""How the name of the thumbnail of a result ends."""


class StoredFile(Struct, frozen=True, order=True):
    """A complete file: when it was last changed, in seconds since 1970, its bytes and its path."""

    changed: float
    size: int
    path: str

    @property
    def name(self) -> str:
        """Its name, which is unique: it has the id of its job."""
        return PurePath(self.path).name

    @property
    def belongs_to(self) -> str:
        """Its name; for a thumbnail, that of the result that it shows."""
        return self.name.removesuffix(THUMBNAIL)


def stored_files(data: Path) -> Iterator[StoredFile]:
    """All complete files of jobs, in no order. What cannot be read is left out."""
    for folder in FOLDERS:
        yield from _files_in(str(data / folder))


def _files_in(folder: str) -> Iterator[StoredFile]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files_in(entry.path)
                elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(PART):
                    status = entry.stat(follow_symlinks=False)
                    yield StoredFile(status.st_mtime, status.st_size, entry.path)
    except OSError:
        return


def delete_files(files: Sequence[StoredFile]) -> int:
    """Delete files, unless they were changed since they were listed; return how many."""
    deleted = 0
    for file in files:
        try:
            path = Path(file.path)
            if path.stat().st_mtime == file.changed:
                path.unlink()
                deleted += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            logger.warning("an old file cannot be deleted", path=file.path, reason=error.strerror)
    return deleted


class JobFiles(Struct, frozen=True):
    """The paths of the files that a job starts from, and of those that it has made."""

    inputs: tuple[str, ...]
    results: tuple[str, ...]


def files_of(job: Job) -> JobFiles:
    """The files that a job names, each once."""
    request, update = job.request, job.terminal_update
    refetched = request.refetch.files if request.refetch is not None else ()
    inputs = dict.fromkeys((*(upload.path for upload in request.uploads), *(path for _, path in refetched)))
    shown = update.files if isinstance(update, (Finished, Failed)) else ()
    return JobFiles(tuple(inputs), tuple(dict.fromkeys((*job.paths, *shown))))


def names_in_use(jobs: Sequence[Job]) -> set[str]:
    """The names of all files that these jobs have or need."""
    named = [files_of(job) for job in jobs]
    return {PurePath(path).name for files in named for path in (*files.inputs, *files.results)}


RESULT = re.compile(r"-([0-9a-f]{8})-\d\d+(-\d+)?$")
"""How the name of a result ends: with the first characters of its job's id, and its number."""

ID = 36
"""Characters of the id of a job, with which the name of an input begins."""


def is_own(name: str, jobs: Collection[str], is_known: Callable[[str], bool]) -> bool:
    """Whether one of these jobs has made this file, or its person attached it; it may be that of another job.

    `is_known` says whether there is a job with an id.
    """
    if (result := RESULT.search(PurePath(name).stem)) is not None:
        return result[1] in {job[:8] for job in jobs if job}
    # What was attached to an edited job has an id that no job has.
    return name[:ID] in jobs or not is_known(name[:ID])


def delete_with_thumbnails(data: Path, paths: Iterable[str]) -> None:
    """Delete files of jobs, and nothing outside of their folders; what cannot be deleted is logged."""
    folders = {data / folder for folder in FOLDERS}
    for path in map(Path, paths):
        if path.parent not in folders:
            continue
        for file in (path, thumbnail_path(str(path))):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("a file cannot be deleted", path=str(file), reason=error.strerror)


def delete_results(job: Job) -> None:
    """Delete the files of one job's result; those that are gone already do not matter. Raises `OSError`."""
    shown = job.terminal_update.files if isinstance(job.terminal_update, (Finished, Failed)) else ()
    for file in {*filter(None, job.files.values()), *job.streamed, *shown}:
        Path(file).unlink(missing_ok=True)
        thumbnail_path(file).unlink(missing_ok=True)


def thumbnail_path(result: str) -> Path:
    """Where the thumbnail of a result is kept: beside it, so that it gets old with it."""
    path = Path(result)
    return path.with_name(f"{path.name}{THUMBNAIL}")


def delete_unfinished(data: Path) -> None:
    """Delete what an earlier run had written of files when it was killed; call it before anything is fetched."""
    for folder in FOLDERS:
        for file in (data / folder).glob(f"**/*.*{PART}"):
            try:
                file.unlink()
            except OSError as error:
                logger.warning("an unfinished file cannot be deleted", path=str(file), reason=error.strerror)
