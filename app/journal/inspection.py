"""Looks at a journal without changing it, also while a bot has it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec import Struct

from app.core.journal_port import JournalError
from app.journal.errors import damaged, translate
from app.journal.migrations import NEWEST, version_of


class Inspection(Struct, frozen=True):
    """What a sound journal has."""

    version: int
    jobs: int
    unfinished: int


def inspect(path: Path, *, thorough: bool = False) -> Inspection:
    """Check the file; if `thorough`, also that each index has what its table has, which takes three times as long.

    Raises `JournalError` if it is damaged, newer than this program, or cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            if (version := version_of(database)) > NEWEST:
                raise JournalError(f"The journal {path} is of a newer version: update Atelier.")
            check = "PRAGMA integrity_check(1)" if thorough else "PRAGMA quick_check(1)"
            damage: tuple[str] = database.execute(check).fetchone()
            if damage[0] != "ok":
                raise damaged(path, damage[0])
            if not version:
                return Inspection(0, 0, 0)
            jobs: tuple[int] = database.execute("SELECT count(*) FROM jobs").fetchone()
            unfinished: tuple[int] = database.execute("SELECT count(*) FROM jobs WHERE told = 0").fetchone()
            return Inspection(version, jobs[0], unfinished[0])
    except sqlite3.Error as error:
        raise translate(path, error) from error
