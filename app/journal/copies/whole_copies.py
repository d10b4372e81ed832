"""Whole copies of a journal for other fronts: what a file is, how a copy is made, and put in its place. Synchronous."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from app.core.journal_port import JournalError
from app.core.replication import Position, Standing
from app.journal.copies.copying import copy_journal, relocate, sync
from app.journal.errors import translate
from app.journal.migrations import NEWEST, version_of
from app.journal.opening import open_store
from app.journal.recording import batches_behind, is_replicated, position_of

REPLACED = "-replaced"
"""Added to the name of a journal whose place was taken by a copy of another one."""

LEFT = ("-wal", "-shm")
"""What SQLite puts beside a file in WAL mode."""


def standing_of(path: Path) -> Standing:
    """What the journal is. Raises `JournalError`."""
    if not path.exists():
        return Standing()
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            version = version_of(database)
            is_empty = not (version and database.execute("SELECT 1 FROM jobs LIMIT 1").fetchall())
            if not is_replicated(database):
                return Standing(version, is_empty)
            position = position_of(database)
            role, epoch = database.execute("SELECT role, epoch FROM replication").fetchone()
            batches = batches_behind(database, 0)
    except sqlite3.Error as error:
        raise translate(path, error) from error
    sealed = [Position(position.lineage, batch.number, batch.chain) for batch in batches]
    if batches:
        sealed.insert(0, Position(position.lineage, batches[0].number - 1, batches[0].previous))
    return Standing(version, is_empty, role, epoch, position, (*sealed, position))


def take_over(path: Path, epoch: int) -> Position:
    """Make this journal the one that is written, from this epoch on; made or migrated if needed. How far it is.

    Raises `JournalError`.
    """
    standing = standing_of(path)
    if standing.position is None or standing.version != NEWEST:
        with open_store(path, clock=time.time, replicated=True):
            pass
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("UPDATE replication SET role = 'active', epoch = ?", (epoch,))
            return position_of(database)
    except sqlite3.Error as error:
        raise translate(path, error) from error


def export(path: Path, target: Path, breathe: Callable[[], None]) -> Position:
    """Copy the journal as it is at one moment to a new file for a front; how far it is. Raises `JournalError`."""
    copy_journal(path, target, breathe)
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as database:
            database.execute("UPDATE replication SET role = 'standby'")
            database.execute("DELETE FROM outbox")
            return position_of(database)
    except sqlite3.Error as error:
        raise translate(target, error) from error


def install(copy: Path, path: Path, former: str, *, keep: bool) -> Position:
    """Put a copy, made in the data folder `former`, in the place of the journal, which nobody uses; how far it is.

    With `keep`, the journal that was there is kept beside it. Raises `JournalError`.
    """
    folder = str(path.parent.absolute())
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as database:
            version = version_of(database)
            if version > NEWEST:
                problem = f"has a newer Atelier (journal format {version}, this one knows {NEWEST}): update this one."
                raise JournalError(f"The active front {problem}")
            damage: tuple[str] = database.execute("PRAGMA quick_check(1)").fetchone()
            if damage[0] != "ok" or not is_replicated(database):
                raise JournalError(
                    f"The copy of the active front's journal is damaged ({damage[0]}): it is taken again."
                )
            if former != folder:
                relocate(database, former, folder)
            position = position_of(database)
        sync(copy)
        _set_aside(path, keep=keep)
        copy.replace(path)
        sync(path.parent)
    except (sqlite3.Error, OSError) as error:
        raise translate(path, error) from error
    return position


def _set_aside(path: Path, *, keep: bool) -> None:
    if keep and path.exists():
        # Its last statements may still be in the log beside it.
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        path.replace(path.with_name(path.name + REPLACED))
    path.unlink(missing_ok=True)
    for suffix in LEFT:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
