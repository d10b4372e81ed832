"""A lock that one process has at a time, on a file of its own.

The lock is SQLite's own: it works on every system, and is released when its holder dies, however suddenly.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path

from app.core.journal_port import JournalError
from app.journal.errors import translate


@contextmanager
def exclusive(file: Path, held: str) -> Generator[None]:
    """Hold the lock on this file for the length of the block. Raises `JournalError`: `held` if another process has it.

    The file is created, with its folder, and stays.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as error:
        raise translate(file, error) from error
    with closing(database):
        try:
            database.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY":
                raise translate(file, error) from error
            raise JournalError(held) from error
        except sqlite3.Error as error:
            raise translate(file, error) from error
        yield
