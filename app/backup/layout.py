"""What a backup is: a folder with the journal, the files, and a list of both by which they are verified.

    FOLDER/atelier-20261129-040000/
        backup.json     what the backup has, with the SHA-256 of each file
        atelier.db      the journal
        results/…       the files of the data folder
        inputs/…

A backup gets this name only once it is complete and on the disk.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from app.backup.errors import BackupError, writing_to

FORMAT = 1
"""The version of this layout."""

LIST = "backup.json"

LARGEST_LIST = 2**30
"""Bytes. A list has about 200 for each file."""

NAME = re.compile(r"atelier-[0-9]{8}-[0-9]{6}(-[0-9]+)?")

UNFINISHED = ".unfinished-"
DELETED = ".deleted-"
"""How the names of folders begin that are not a backup yet, or not any more."""


class FileEntry(Struct, frozen=True):
    """One file of a backup: its path in there, its bytes, its SHA-256, and when it changed, in ns since 1970."""

    path: str
    size: int
    sha256: str
    changed: int = 0


class Contents(Struct, frozen=True, kw_only=True):
    """What a backup has: when it was made, in seconds since 1970, of which data folder, and of which journal."""

    format: int
    made: float
    data: str
    version: int
    jobs: int
    journal: FileEntry
    files: tuple[FileEntry, ...]

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return self.journal.size + sum(entry.size for entry in self.files)


class Backup(Struct, frozen=True):
    """A backup that is complete."""

    folder: Path
    contents: Contents


def new_name(folder: Path, now: float) -> str:
    """A name for a backup that is made now, in UTC; names sort by age."""
    name = time.strftime("atelier-%Y%m%d-%H%M%S", time.gmtime(now))
    number = 1
    while (folder / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return name if number == 1 else f"{name}-{number}"


def backups_in(folder: Path) -> list[Path]:
    """The complete backups in a folder, oldest first; none if the folder is not there. Raises `OSError`."""
    try:
        names = [path.name for path in folder.iterdir() if NAME.fullmatch(path.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names, key=_age) if (folder / name / LIST).is_file()]


def _age(name: str) -> tuple[str, int]:
    made, _, number = name[len("atelier-") :].partition("-")[2].partition("-")
    return name[: len("atelier-20261129-")] + made, int(number or 1)


def read_contents(backup: Path) -> Contents:
    """Read what a backup has. Raises `BackupError` if this is none, or not one that this program can restore."""
    path = backup / LIST
    if not path.is_file():
        raise BackupError(f"{backup} is not a backup: name a folder such as atelier-20261129-040000.")
    try:
        if path.stat().st_size > LARGEST_LIST:
            raise damaged(backup, f"{LIST} is too large")
        stored = path.read_bytes()
        version = msgspec.json.decode(stored, type=_Format).format
        if version > FORMAT:
            raise BackupError(f"The backup {backup} was made by a newer Atelier: update this one.")
        contents = msgspec.json.decode(stored, type=Contents)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise damaged(backup, f"{LIST} cannot be read") from error
    except OSError as error:
        raise BackupError(f"{path} cannot be read: {error.strerror}.") from error
    for entry in contents.files:
        way = PurePosixPath(entry.path)
        # Whoever made the list could otherwise write anywhere.
        if way.is_absolute() or ".." in way.parts or "\\" in entry.path or ":" in entry.path or len(way.parts) < 2:
            raise damaged(backup, f"{LIST} names a file outside of it")
    return contents


def newest_backup(folder: Path) -> float:
    """When the newest backup was made; 0 if there is none that can be read. Raises `BackupError`."""
    with writing_to(folder, "backup folder"):
        backups = backups_in(folder)
    for backup in reversed(backups):
        try:
            return read_contents(backup).made
        except BackupError:
            continue
    return 0.0


class _Format(Struct):
    format: int


def damaged(backup: Path, reason: str) -> BackupError:
    """The error for a backup that is not what it was when it was made."""
    return BackupError(f"The backup {backup} is damaged ({reason}): restore an earlier one.")


def remove(folders: Iterator[Path] | list[Path]) -> None:
    """Delete backups, so that what is left of one midway does not look like one. Raises `OSError`."""
    for folder in folders:
        gone = folder.with_name(f"{DELETED}{folder.name}")
        folder.rename(gone)
        shutil.rmtree(gone)


def remove_remains(folder: Path) -> None:
    """Delete what a process that was killed has left: backups that were not complete, or not deleted completely."""
    for path in folder.iterdir():
        if path.name.startswith((UNFINISHED, DELETED)):
            shutil.rmtree(path)
