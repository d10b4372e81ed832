"""Translates errors of SQLite and the file system into journal errors, whose text is a sentence with what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from tempfile import TemporaryFile

from app.core.journal_port import DiskFull, JournalError, JournalUnavailable

LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")
"""Another connection holds the file. SQLITE_PROTOCOL: the race for a WAL read lock was lost many times in a row
(https://sqlite.org/rescode.html#protocol)."""

MAYBE_FULL = ("SQLITE_IOERR", "SQLITE_CANTOPEN")
"""What SQLite reports for a full disk if it is not a plain write that fails: an exhausted quota, no room for the
shared memory file of the WAL, or no room to create a file."""

NO_SEARCH = "no such module: fts5"
"""SQLite's message where it was built without full-text search."""

NO_ROOM = {errno.ENOSPC, errno.EDQUOT}

PROBE = 256 * 1024
"""Bytes that a disk must accept to count as not full: more than SQLite needs for its shared memory file (32 kB)."""


def translate(path: Path, error: sqlite3.Error | OSError) -> JournalError:
    """The journal error for an error of SQLite or the file system: `JournalUnavailable` if waiting may help."""
    name = "" if isinstance(error, OSError) else getattr(error, "sqlite_errorname", "")
    if name.startswith(LOCKED):
        return JournalUnavailable(f"The journal {path} is held by another program: close that one first.")
    if name.startswith("SQLITE_FULL") or _out_of_room(path, error, name):
        return DiskFull(f"The disk of the journal {path} is full: make room.")
    if isinstance(error, OSError) or name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        reason = error.strerror if isinstance(error, OSError) else error
        return JournalError(f"The journal {path} cannot be written ({reason}): look at its path and its permissions.")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return damaged(path, error)
    if str(error) == NO_SEARCH:
        return JournalError(
            f"The journal {path} needs SQLite with FTS5, which this Python lacks: use the Python of python.org or uv."
        )
    return JournalError(f"The journal {path} cannot be used: {error}.")


def damaged(path: Path, reason: object) -> JournalError:
    """The error for a file that is not a readable journal."""
    return JournalError(f"The journal {path} is damaged ({reason}): put a backup in its place. It was left as it is.")


def gone(path: Path) -> JournalError:
    """The error for a file that is no longer the one that was opened: what is written to that one would be lost."""
    return JournalError(f"The journal {path} was deleted or replaced while it was in use: restore it, and start again.")


def _out_of_room(path: Path, error: sqlite3.Error | OSError, name: str) -> bool:
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    return name.startswith(MAYBE_FULL) and _disk_is_full(path.parent)


def _disk_is_full(folder: Path) -> bool:
    """Whether the disk refuses a small file. SQLite does not report the cause of an I/O error, so this tries it."""
    try:
        with TemporaryFile(dir=folder, buffering=0) as file:
            file.write(bytes(PROBE))
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in NO_ROOM
    return False
