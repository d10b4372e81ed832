"""Copies a journal: out of the data folder while a bot uses it, and back into another data folder. Synchronous."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import msgspec

from app.core.journal_port import JournalError
from app.journal.errors import translate
from app.journal.migrations import NEWEST, version_of
from app.journal.recording import leave

Breathe: TypeAlias = Callable[[], None]
"""Called between two small pieces of work. It may pause, or raise an exception to stop the work."""

STEP = 256
"""Pages that are copied at once: 1 MiB, which takes a few milliseconds."""

STEPS_UNSYNCED = 8
"""Steps after which what was copied is put on the disk, so that a commit of the bot never waits for much more."""


def copy_journal(source: Path, target: Path, breathe: Breathe) -> None:
    """Copy a journal that may be in use to a new file, as it is at one moment. Raises `JournalError`.

    The copy is read in one transaction. In WAL mode this holds up no commit, and the copy does not begin again when the
    bot writes, as SQLite's online backup does otherwise (https://sqlite.org/backup.html).
    """
    try:
        reading = sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise translate(source, error) from error
    with closing(reading):
        try:
            reading.execute("PRAGMA query_only = ON")
            reading.execute("BEGIN")
            version = version_of(reading)
        except sqlite3.Error as error:
            raise translate(source, error) from error
        if version > NEWEST:
            raise JournalError(f"The journal {source} is of a newer version: update Atelier.")
        try:
            _copy(reading, target, breathe)
        except (sqlite3.Error, OSError) as error:
            name = "" if isinstance(error, OSError) else getattr(error, "sqlite_errorname", "")
            in_source = name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_BUSY", "SQLITE_LOCKED"))
            raise translate(source if in_source else target, error) from error


def _copy(reading: sqlite3.Connection, target: Path, breathe: Breathe) -> None:
    with closing(sqlite3.connect(target, isolation_level=None)) as writing:
        # Nobody else uses the copy, and it is put on the disk below.
        writing.execute("PRAGMA journal_mode = OFF")
        writing.execute("PRAGMA synchronous = OFF")
        steps = 0

        def between_steps(*_: object) -> None:
            nonlocal steps
            steps += 1
            if not steps % STEPS_UNSYNCED:
                sync(target)
            breathe()

        reading.backup(writing, pages=STEP, progress=between_steps)
        # A file in WAL mode could not be read in a folder that is read-only.
        writing.execute("PRAGMA journal_mode = DELETE")
    sync(target)


def unpack_journal(source: Path, target: Path, former: str, folder: str) -> None:
    """Copy a journal that nobody uses to a new file for the data folder `folder`. Raises `JournalError`.

    Paths in the journal that begin with the data folder `former` begin with `folder` afterwards. The new file has no
    free pages, can give back those that it gets, and is no copy that follows another journal.
    """
    try:
        # Attached, because a connection that is read-only cannot write another file either.
        with closing(sqlite3.connect("file::memory:", uri=True, isolation_level=None)) as memory:
            memory.execute("ATTACH ? AS source", (f"{source.resolve().as_uri()}?mode=ro",))
            if not memory.execute("PRAGMA source.auto_vacuum").fetchone()[0]:
                memory.execute("PRAGMA source.auto_vacuum = INCREMENTAL")
            memory.execute("VACUUM source INTO ?", (str(target),))
        with closing(sqlite3.connect(target, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = OFF")
            leave(database)
            if former and former != folder:
                relocate(database, former, folder)
        sync(target)
    except (sqlite3.Error, OSError) as error:
        raise translate(target, error) from error


def relocation(former: str, folder: str) -> Callable[[bytes], bytes]:
    """A function that changes every text in JSON that is a path in `former`."""
    # A quote that is not escaped begins or ends a text in JSON, and what a path can follow is only its beginning.
    pattern = re.compile(rb'(?<!\\)"' + re.escape(_escaped(former)) + rb"(?=[/\\])")
    replacement = b'"' + _escaped(folder)

    def relocated(stored: bytes) -> bytes:
        return pattern.sub(lambda _: replacement, stored)

    return relocated


def relocate(database: sqlite3.Connection, former: str, folder: str) -> None:
    """Change every text of a stored job that is a path in `former`."""
    relocated = relocation(former, folder)
    database.create_function("relocated", 1, relocated, deterministic=True)
    database.execute(
        "UPDATE jobs SET wish = relocated(wish), record = relocated(record) WHERE instr(wish, ?) OR instr(record, ?)",
        (_escaped(former), _escaped(former)),
    )


def _escaped(text: str) -> bytes:
    return msgspec.json.encode(text)[1:-1]


def sync(path: Path) -> None:
    """Put a file on the disk, or what a folder lists. Raises `OSError`."""
    if path.is_dir() and os.name == "nt":
        # Windows has no such call for folders.
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
