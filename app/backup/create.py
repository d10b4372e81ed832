"""Makes a backup of a data folder, also while a bot uses it. Synchronous."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from app.backup.errors import BackupError, writing_to
from app.backup.files import files_of, hash_of, keep
from app.backup.layout import (
    FORMAT,
    LIST,
    UNFINISHED,
    Backup,
    Contents,
    FileEntry,
    backups_in,
    new_name,
    read_contents,
    remove,
    remove_remains,
)
from app.journal.copies.copying import Breathe, copy_journal, sync
from app.journal.inspection import inspect
from app.journal.lock import exclusive
from app.journal.opening import JOURNAL

LOCK = ".atelier-backup-lock"
"""The file in a folder of backups by which only one process at a time makes one there."""


def make_backup(data: Path, folder: Path, *, now: float, breathe: Breathe, most: int | None = None) -> Backup:
    """Make a backup of the data folder in `folder`, at the time `now`, in seconds since 1970.

    Then delete the oldest ones, so that `most` are left; None keeps all. An exception that `breathe` raises stops the
    work and leaves nothing behind. Raises `BackupError`, and `JournalError` if the journal cannot be read.
    """
    folder = folder.absolute()
    if not (data / JOURNAL).is_file():
        raise BackupError(f"There is no journal in {data}: the bot has not run there yet.")
    with writing_to(folder, "backup folder"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOCK).touch()
        with exclusive(folder / LOCK, f"Another backup is being made in {folder}: wait until it is complete."):
            remove_remains(folder)
            earlier = backups_in(folder)
            name = new_name(folder, now)
            unfinished = folder / f"{UNFINISHED}{name}"
            try:
                contents = _fill(unfinished, data, earlier[-1] if earlier else None, now, breathe)
                unfinished.rename(folder / name)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            sync(folder)
            if most is not None:
                remove(backups_in(folder)[:-most])
    return Backup(folder / name, contents)


def _fill(backup: Path, data: Path, earlier: Path | None, now: float, breathe: Breathe) -> Contents:
    """Write everything that a backup consists of, and put it on the disk."""
    backup.mkdir()
    # First the journal: a file that it names is complete, and is in the folder until somebody deletes it.
    copy_journal(data / JOURNAL, backup / JOURNAL, breathe)
    inspection = inspect(backup / JOURNAL)
    journal = FileEntry(JOURNAL, (backup / JOURNAL).stat().st_size, hash_of(backup / JOURNAL, breathe))
    known = _known(earlier)
    files: list[FileEntry] = []
    for path in files_of(data):
        breathe()
        if (entry := keep(path, data, backup, earlier, known.get(path), breathe)) is not None:
            files.append(entry)
    contents = Contents(
        format=FORMAT,
        made=now,
        data=str(data),
        version=inspection.version,
        jobs=inspection.jobs,
        journal=journal,
        files=tuple(files),
    )
    (backup / LIST).write_bytes(msgspec.json.encode(contents))
    sync(backup / LIST)
    for directory, _, _ in os.walk(backup):
        sync(Path(directory))
    return contents


def _known(earlier: Path | None) -> dict[str, FileEntry]:
    """The files of an earlier backup; none if it cannot be read."""
    if earlier is None:
        return {}
    try:
        return {entry.path: entry for entry in read_contents(earlier).files}
    except BackupError:
        return {}
