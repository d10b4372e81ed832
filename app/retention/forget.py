"""Removes what is kept about one person: the files of their jobs, then the rows of the journal. Synchronous.

The files come first, because the rows say which they are: whoever is interrupted runs it again.
"""

from __future__ import annotations

import re
import time
from pathlib import Path, PurePath

from msgspec import Struct

from app.core.journal_port import KeptAbout, PersonRecords
from app.retention.files import StoredFile, delete_files, names_in_use, stored_files

JOBS_AT_ONCE = 50
"""Jobs that are read, or removed in one transaction: it takes a few milliseconds."""

PAGES_AT_ONCE = 64
"""Free pages of the journal that are given back in one transaction."""

PAUSE = 0.02
"""Seconds between two transactions, in which those of a bot that runs come first."""

RESULT = re.compile(r"-([0-9a-f]{8})-\d\d+(-\d+)?$")
"""How the name of a result ends: with the first characters of its job's id, and its number."""

ID = 36
"""Characters of the id of a job, with which the name of an input begins."""


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
    beginnings = {job_id[:8] for job_id in ids if job_id}
    return {name for name in needed if _is_own(records, name, ids, beginnings)}


def _is_own(records: PersonRecords, name: str, ids: set[str], beginnings: set[str]) -> bool:
    if (result := RESULT.search(PurePath(name).stem)) is not None:
        return result[1] in beginnings
    # What was attached to an edited job has an id that no job has.
    return name[:ID] in ids or not records.is_known(name[:ID])
