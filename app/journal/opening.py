"""Opens the journal's file: creates it, checks it, brings it up to date, and keeps a second bot away. Synchronous."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path

from app.core.journal_port import JournalError
from app.journal import recording
from app.journal.errors import damaged, gone, translate
from app.journal.lock import exclusive
from app.journal.migrations import NEWEST, migrate, version_of
from app.journal.recording import RecordingConnection
from app.journal.store import Store, file_id

JOURNAL = "atelier.db"
"""The file's name in the data folder."""

RESTORING = ".restoring"
"""A folder in the data folder that is there while a backup is restored. No bot starts while it is."""

BUSY = 5.0
"""Seconds to wait for another process that writes (`jobs cancel`, a backup); such writes take milliseconds."""

MAGIC = b"SQLite format 3\0"
"""The first bytes of every SQLite file."""


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(MAGIC))


@contextmanager
def open_store(
    path: Path,
    *,
    clock: Callable[[], float],
    durable: bool = True,
    busy: float = BUSY,
    replicated: bool | None = None,
) -> Generator[Store]:
    """Open the file, and create or migrate it if needed. Raises `JournalError`.

    If not `durable`, the last transactions stay in the operating system's cache: they survive the end of the process,
    but not a crash of the machine. Each call waits `busy` seconds for another process that holds the file.
    If it is `replicated`, what is written is recorded for its copies, and otherwise no longer; None leaves it as it is.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beginning = _beginning(path) if path.is_file() else b""
        if beginning not in {b"", MAGIC}:
            # SQLite treats a small file of another kind as an empty one of its own.
            raise damaged(path, "file is not a database")
        database = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as error:
        raise translate(path, error) from error
    with closing(database), ExitStack() as opened:
        file = file_id(path)
        try:
            # WAL lets others read while we write; FULL puts every commit on the disk before it returns.
            # What is deleted or replaced is overwritten.
            safe = (f"synchronous = {'FULL' if durable else 'OFF'}", "secure_delete = ON")
            # Only a new file can get the mode in which it gives back free pages.
            new = () if beginning else ("auto_vacuum = INCREMENTAL",)
            for pragma in (*new, "journal_mode = WAL", *safe):
                database.execute(f"PRAGMA {pragma}")
            version = version_of(database)
            if version > NEWEST:
                problem = (
                    f"was written by a newer Atelier (format {version}, this one knows {NEWEST}): update this one."
                )
                raise JournalError(f"The journal {path} {problem}")
            damage: tuple[str] = database.execute("PRAGMA quick_check(1)").fetchone()
            if damage[0] != "ok":
                raise damaged(path, damage[0])
            migrate(database)
            if replicated is not None:
                (recording.begin if replicated else recording.leave)(database)
            if recording.is_replicated(database):
                database = opened.enter_context(
                    closing(
                        sqlite3.connect(
                            path,
                            timeout=busy,
                            isolation_level=None,
                            check_same_thread=False,
                            factory=RecordingConnection,
                        )
                    )
                )
                for pragma in safe:
                    database.execute(f"PRAGMA {pragma}")
            # Only a write transaction shows whether the file may be written.
            database.executescript("BEGIN IMMEDIATE; COMMIT;")
            reading = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise translate(path, error) from error
        with closing(reading):
            try:
                reading.execute("PRAGMA query_only = ON")
            except sqlite3.Error as error:
                raise translate(path, error) from error
            if file is None or file_id(path) != file:
                raise gone(path)
            yield Store(path, database, reading, clock, file)


def instance_lock(path: Path) -> AbstractContextManager[None]:
    """Lock the journal against a second bot for the length of the block. Raises `JournalError`."""
    problem = "is in use by another Atelier: stop that one first, or give this one a folder of its own"
    return exclusive(path.with_name(f"{path.name}-owner"), f"The journal {path} {problem} (ATELIER_DATA).")
