"""Removes what is kept about one person: the files of their jobs, then the rows of the journal. Synchronous.

The files come first, because the rows say which they are: whoever is interrupted runs it again.
"""

from __future__ import annotations

import time
from pathlib import Path

from msgspec import Struct

from app.core.journal_port import KeptAbout, PersonRecords
from app.retention.files import StoredFile, delete_files, is_own, names_in_use, stored_files

JOBS_AT_ONCE = 50
"""Jobs that are read, or removed in one transaction: it takes a few milliseconds."""

PAGES_AT_ONCE = 64
"""Free pages of the journal that are given back in one transaction."""

PAUSE = 0.02
"""Seconds between two transactions, in which those of a bot that runs come first."""


class Kept(Struct, frozen=True):
    """What is kept about a person: rows of the journal, and files; `used` are needed by unfinished jobs."""

    rows: KeptAbout
    files: tuple[StoredFile, ...]
    used: tuple[StoredFile, ...]


def look_up(records: PersonRecords, data: Path, owner: str) -> Kept:
    """Find everything that is kept about a person. Raises `JournalError`."""
    names = _names(records, owner)
    files = [file for file in stored_files(data) if file.belongs_to in names]
    in_use = names_in_use(records.unfinished()) if files else set[str]()
    return Kept(records.kept_about(owner), tuple(files), tuple(file for file in files if file.belongs_to in in_use))


def forget(records: PersonRecords, kept: Kept, owner: str) -> int:
    """Remove it; return how many files could not be deleted. Their jobs then stay. Raises `JournalError`."""
    delete_files(kept.files)
    if left := sum(Path(file.path).exists() for file in kept.files):
        return left
    while records.forget_jobs(owner, JOBS_AT_ONCE):
        time.sleep(PAUSE)
    records.forget_person(owner)
    while records.give_back(PAGES_AT_ONCE):
        time.sleep(PAUSE)
    return 0


def _names(records: PersonRecords, owner: str) -> set[str]:
    """The names of the files that a person's jobs have made, and of what the person attached.

    A job may also need a file of another person's job, which stays.
    """
    ids, needed, position = set[str](), set[str](), 0
    while jobs := records.jobs_since(owner, position, JOBS_AT_ONCE):
        position = jobs[-1][0]
        for _, job_id, job in jobs:
            ids |= {job_id, job.request.lead} if job is not None else {job_id}
            needed |= names_in_use([job]) if job is not None else set()
    return {name for name in needed if is_own(name, ids, records.is_known)}
