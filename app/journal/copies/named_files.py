"""Which files the jobs of a journal name, read beside whoever uses the journal."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from anyio import to_thread

from app.core.jobs.job import Job
from app.core.journal_port import RemovedJobs
from app.core.replication import NamedFile, Need
from app.journal import serialization
from app.journal.errors import translate
from app.journal.reader import Reader
from app.journal.serialization import UNREADABLE
from app.retention.files import files_of

RECENT = 7 * 86_400.0
"""Seconds after its last change for which a job counts as recent."""

MOST_RECENT = 5_000
"""The newest jobs that count as recent."""

BUSY = 1.0
"""Seconds to wait for another process that holds the file."""

UNFINISHED = """
    SELECT wish, record, changed FROM jobs WHERE told = 0 AND number > 0 AND changed >= ? ORDER BY number
"""
"""The comparison of the number lets SQLite search the index of unfinished jobs."""

ENDED = """
    SELECT wish, record, changed FROM jobs
    WHERE number > (SELECT max(number) FROM jobs) - ? AND changed >= ? AND told = 1
    AND NOT EXISTS (SELECT 1 FROM gallery WHERE gallery.number = jobs.number AND hidden = 2)
    ORDER BY number DESC
"""
"""Newest first, without those whose results people deleted."""

DELETED = """
    SELECT wish, record, changed FROM gallery CROSS JOIN jobs ON jobs.number = gallery.number
    WHERE hidden = 2 AND changed >= ?
"""
"""Those whose results people deleted. The rows of the gallery are small."""


class NamedFiles:
    """Reads which files jobs name, of each job when it has changed. `clock` is in seconds since 1970."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._unfinished_since = 0.0
        self._ended_since = 0.0

    def begin_again(self) -> None:
        """Read all jobs next, also those that have not changed."""
        self._unfinished_since = self._ended_since = 0.0

    def of_unfinished(self) -> list[NamedFile]:
        """The files of unfinished jobs, inputs first, oldest first. Raises `JournalError`."""
        jobs, self._unfinished_since = self._changed(UNFINISHED, self._unfinished_since)
        files = [files_of(job) for job in jobs]
        return [
            *_named((each.inputs for each in files), Need.INPUT),
            *_named((each.results for each in files), Need.UNDELIVERED),
        ]

    def of_recent(self) -> list[NamedFile]:
        """The files of jobs that ended lately, newest first. Raises `JournalError`."""
        since = max(self._ended_since, self._clock() - RECENT)
        jobs, self._ended_since = self._changed(ENDED, since, MOST_RECENT)
        files = [files_of(job) for job in jobs]
        return list(_named(((*each.results, *each.inputs) for each in files), Need.RECENT))

    def of_deleted(self) -> list[str]:
        """The paths of all results that people deleted. Raises `JournalError`."""
        jobs, _ = self._changed(DELETED, 0.0)
        return [path for job in jobs for path in files_of(job).results]

    def _changed(self, query: str, since: float, *values: int) -> tuple[list[Job], float]:
        """The jobs that have changed, and when the last one did. Those whose record is damaged are left out."""
        if not self._path.exists():
            return [], since
        jobs: list[Job] = []
        with _reading(self._path) as database:
            for request, record, changed in database.execute(query, (*values, since)):
                since = max(since, changed)
                try:
                    jobs.append(serialization.decode(request, record))
                except UNREADABLE:
                    continue
        return jobs, since


class JobsOfCopy:
    """What the retention needs of the journal of a front on standby, which removes no jobs itself."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def unfinished(self) -> Sequence[Job]:
        """See `app.core.journal_port.OldJobs`."""
        return await to_thread.run_sync(self._unfinished)

    def _unfinished(self) -> list[Job]:
        if not self._path.exists():
            return []
        with _reading(self._path) as database:
            return Reader(self._path, database).unfinished()

    async def remove_jobs(self, before: float, position: int, limit: int) -> RemovedJobs:
        """Remove none."""
        return RemovedJobs(0, None)

    async def give_back(self, pages: int) -> bool:
        """Give nothing back."""
        return False


@contextmanager
def _reading(path: Path) -> Generator[sqlite3.Connection]:
    """A connection that only reads. Raises `JournalError`, also within the block."""
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=BUSY)
        ) as database:
            database.execute("PRAGMA query_only = ON")
            yield database
    except sqlite3.Error as error:
        raise translate(path, error) from error


def _named(files: Iterable[Sequence[str]], need: Need) -> Iterable[NamedFile]:
    return (NamedFile(path, need) for paths in files for path in paths)
