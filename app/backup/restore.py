"""Restores a backup into an empty data folder. Synchronous."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from app.backup.errors import BackupError, writing_to
from app.backup.files import copy, hash_of, link
from app.backup.layout import Contents, FileEntry, damaged, read_contents
from app.http.page.protection.ended_sessions import FILE as ENDED
from app.http.page.protection.key import FILE as PAGE_KEY
from app.journal.copies.copying import Breathe, sync, unpack_journal
from app.journal.inspection import inspect
from app.journal.migrations import NEWEST
from app.journal.opening import JOURNAL, RESTORING, instance_lock
from app.retention.files import FOLDERS

LEFT_OVER = {
    f"{JOURNAL}-owner",
    f"{JOURNAL}-owner-journal",
    f"{JOURNAL}-reserve",
    "passing",
    "backups",
    PAGE_KEY,
    ENDED,
}
"""What may be in a data folder that counts as empty: what a bot makes there again by itself, and backups."""

MOST_NAMED = 3
"""Files that a sentence names."""


class Restored(Struct, frozen=True):
    """What was restored to which data folder, and the paths of the damaged files that were left out."""

    data: Path
    contents: Contents
    left_out: tuple[str, ...] = ()


def restore(backup: Path, data: Path, *, breathe: Breathe, skip_damaged: bool = False) -> Restored:
    """Restore a backup into the data folder, which must be empty; return what was restored.

    The whole backup is verified before anything is changed. With `skip_damaged`, files that are damaged or missing are
    left out; the journal is never. If the process is killed midway, no bot starts there until the restore is repeated.
    Raises `BackupError`, and `JournalError` if a bot uses the folder.
    """
    backup, data = backup.absolute(), data.absolute()
    contents = read_contents(backup)
    if contents.version > NEWEST:
        newer = f"(format {contents.version}, this one knows {NEWEST})"
        raise BackupError(f"The backup {backup} was made by a newer Atelier {newer}: update this one.")
    owner = data / f"{JOURNAL}-owner"
    with writing_to(data, "data folder"), ExitStack() as lock:
        # A bot that runs there has made this file; without it, nothing is changed before the backup was verified.
        if locked := owner.exists():
            lock.enter_context(instance_lock(data / JOURNAL))
        _check_empty(data)
        files = _verified(backup, contents, breathe, skip_damaged=skip_damaged)
        if not locked:
            data.mkdir(parents=True, exist_ok=True)
            owner.touch()
            lock.enter_context(instance_lock(data / JOURNAL))
            _check_empty(data)
        staging = data / RESTORING
        staging.mkdir(exist_ok=True)
        for left in staging.iterdir():
            left.unlink()
        sync(data)
        for entry in files:
            _place(backup / entry.path, staging / "file", data / entry.path, breathe)
        unpack_journal(backup / JOURNAL, staging / JOURNAL, contents.data, str(data))
        restored = inspect(staging / JOURNAL)
        if restored.jobs != contents.jobs:
            raise damaged(backup, f"it has {restored.jobs} jobs instead of {contents.jobs}")
        for folder in FOLDERS:
            for directory, _, _ in os.walk(data / folder):
                sync(Path(directory))
        # Last, because a bot starts as soon as there is a journal and nothing that is being restored.
        (staging / JOURNAL).replace(data / JOURNAL)
        sync(data)
        staging.rmdir()
        sync(data)
    kept = set(files)
    left_out = tuple(entry.path for entry in contents.files if entry not in kept)
    return Restored(data, replace(contents, files=tuple(files)), left_out)


def _check_empty(data: Path) -> None:
    """Raise `BackupError` if the folder has anything that a restore could overwrite or mix with."""
    if not data.exists():
        return
    names = sorted(path.name for path in data.iterdir() if path.name not in LEFT_OVER and not _is_empty_folder(path))
    # What an earlier restore left that was killed is not in its way.
    if names and RESTORING not in {path.name for path in data.iterdir()}:
        shown = ", ".join(names[:MOST_NAMED]) + (", …" if len(names) > MOST_NAMED else "")
        raise BackupError(
            f"{data} is not empty ({shown}): move what is there to another folder, or name an empty one with --to."
        )


def _is_empty_folder(path: Path) -> bool:
    return path.name in FOLDERS and path.is_dir() and not any(path.iterdir())


def _verified(backup: Path, contents: Contents, breathe: Breathe, *, skip_damaged: bool) -> list[FileEntry]:
    """The files of a backup that are as they were when it was made. Raises `BackupError` if one is not."""
    if reason := _difference(backup, contents.journal, breathe):
        raise damaged(backup, reason)
    if inspect(backup / JOURNAL, thorough=True).version != contents.version:
        raise damaged(backup, "its journal is another one")
    wrong = {entry.path: reason for entry in contents.files if (reason := _difference(backup, entry, breathe))}
    if wrong and not skip_damaged:
        reasons = ", ".join(list(wrong.values())[:MOST_NAMED]) + (", …" if len(wrong) > MOST_NAMED else "")
        advice = "restore an earlier one, or this one without these files, with --skip-damaged"
        raise BackupError(f"The backup {backup} is damaged ({reasons}): {advice}.")
    return [entry for entry in contents.files if entry.path not in wrong]


def _difference(backup: Path, entry: FileEntry, breathe: Breathe) -> str:
    """What is wrong with a file; "" if nothing is."""
    path = backup / entry.path
    try:
        breathe()
        if path.stat().st_size != entry.size or hash_of(path, breathe) != entry.sha256:
            return f"{entry.path} has changed"
    except FileNotFoundError:
        return f"{entry.path} is missing"
    except OSError as error:
        return f"{entry.path} cannot be read: {error.strerror}"
    return ""


def _place(source: Path, draft: Path, target: Path, breathe: Breathe) -> None:
    """Put a file of the backup where it belongs, whatever an earlier restore left there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not link(source, draft):
        copy(source, draft, breathe)
    draft.replace(target)
    # Of two names of the same file, `replace` removes neither.
    draft.unlink(missing_ok=True)
