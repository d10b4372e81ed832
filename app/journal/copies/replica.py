"""A copy of a journal: applies the batches of the original in order, and notices a gap or a difference. Synchronous.

What people delete is deleted here, too: the files of a result that nobody may see any more, and of a job that leaves
the journal after that. Files of jobs that leave it only because they are old stay, as they do where it is written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path, PurePath

import msgspec

from app.core.replication import OutOfStep, Position, SealedBatch
from app.journal import serialization
from app.journal.copies.copying import relocation
from app.journal.errors import translate
from app.journal.reader import Reader
from app.journal.recording import decode, position_of
from app.journal.serialization import UNREADABLE
from app.retention.files import delete_with_thumbnails, files_of, is_own, names_in_use

_relocation = cache(relocation)

ROWS_ONLY = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_INSERT,
        sqlite3.SQLITE_UPDATE,
        sqlite3.SQLITE_DELETE,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
"""What the statements of a batch may do: change rows. Whoever can write to the engine must not open or make other files
here. https://www.sqlite.org/c3ref/c_alter_table.html"""

REMOVALS = """
    CREATE TEMP TRIGGER removed_jobs BEFORE DELETE ON jobs
        WHEN EXISTS (SELECT 1 FROM gallery WHERE number = old.number AND hidden = 2)
        BEGIN SELECT removed(old.wish, old.record, 1); END;
    CREATE TEMP TRIGGER deleted_results AFTER UPDATE OF hidden ON gallery WHEN new.hidden = 2 AND old.hidden < 2
        BEGIN SELECT removed(wish, record, 0) FROM jobs WHERE number = new.number; END;
    CREATE TEMP TRIGGER results_deleted_early AFTER INSERT ON gallery WHEN new.hidden = 2
        BEGIN SELECT removed(wish, record, 0) FROM jobs WHERE number = new.number; END;
"""
"""Triggers of this connection alone: they report whose files are to be deleted, and whether also what it started from.
"""


class Replica:
    """Owns the connection to a copy. Every method raises `JournalError` if the file cannot be used."""

    def __init__(self, path: Path, database: sqlite3.Connection, position: Position) -> None:
        self._path = path
        self._database = database
        self._folder = str(path.parent.absolute())
        self._removed: list[tuple[bytes, bytes, int]] = []
        """The requests and records of jobs whose files are to be deleted, and whether with their inputs."""
        if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'gallery'").fetchall():
            database.create_function("removed", 3, lambda *row: self._removed.append(row))
            database.executescript(REMOVALS)
        database.set_authorizer(_only_rows)
        self.position = position
        """How far this copy is."""

    def apply(self, batch: SealedBatch) -> None:
        """Write what the batch has, in one transaction; nothing, if it was applied before. Raises `OutOfStep`."""
        here = self.position
        if batch.number < here.number or (batch.number, batch.chain) == (here.number, here.chain):
            return
        if batch.number == here.number:
            raise OutOfStep(f"batch {batch.number} is another one here")
        if batch.number > here.number + 1:
            raise OutOfStep(f"batches {here.number + 1} to {batch.number - 1} are missing", behind=True)
        if batch.previous != here.chain:
            raise OutOfStep(f"batch {here.number} was another one")
        try:
            self._write(batch)
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(("SQLITE_AUTH", "SQLITE_CONSTRAINT", "SQLITE_ERROR", "SQLITE_MISMATCH")):
                raise OutOfStep(f"batch {batch.number} cannot be applied: {error}") from error
            raise translate(self._path, error) from error
        self.position = Position(here.lineage, batch.number, batch.chain)

    def _write(self, batch: SealedBatch) -> None:
        try:
            content = decode(batch.content)
        except msgspec.MsgspecError as error:
            raise OutOfStep(f"batch {batch.number} cannot be read: {error}") from error
        moved = _relocation(content.folder, self._folder) if content.folder != self._folder else None
        execute = self._database.execute
        self._removed.clear()
        execute("BEGIN IMMEDIATE")
        try:
            for statement in content.statements:
                rows = statement.values if moved is None else [_moved(row, moved) for row in statement.values]
                changed = self._database.executemany(statement.text, rows).rowcount
                if changed != statement.changed:
                    raise OutOfStep(f"batch {batch.number} changes {changed} rows instead of {statement.changed}")
            execute("UPDATE replication SET number = ?, chain = ?", (batch.number, batch.chain))
            # Before the commit: whoever is interrupted does it again.
            if self._removed:
                self._delete_files()
            execute("COMMIT")
        finally:
            if self._database.in_transaction:
                execute("ROLLBACK")

    def _delete_files(self) -> None:
        in_use = names_in_use(Reader(self._path, self._database).unfinished())
        for request, record, with_inputs in self._removed:
            try:
                job = serialization.decode(request, record)
            except UNREADABLE:
                continue
            files = files_of(job)
            ids = {job.id, job.request.lead}
            own = [
                path
                for path in (*files.results, *(files.inputs if with_inputs else ()))
                if is_own(PurePath(path).name, ids, self._is_known) and PurePath(path).name not in in_use
            ]
            delete_with_thumbnails(Path(self._folder), own)

    def _is_known(self, job: str) -> bool:
        return bool(self._database.execute("SELECT 1 FROM jobs WHERE id = ?", (job,)).fetchall())


def _moved(row: tuple[object, ...], moved: Callable[[bytes], bytes]) -> tuple[object, ...]:
    return tuple(moved(value) if isinstance(value, bytes) else value for value in row)


def _only_rows(action: int, first: str | None, *_: str | None) -> int:
    # The index of prompts looks by this pragma whether it is current.
    allowed = action in ROWS_ONLY or (action == sqlite3.SQLITE_PRAGMA and first == "data_version")
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


@contextmanager
def open_replica(path: Path) -> Generator[Replica]:
    """Open a journal that has copies, of this program's version or an earlier one; it is a copy itself from now on.

    Raises `JournalError`.
    """
    try:
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise translate(path, error) from error
    with closing(database):
        try:
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
                database.execute(f"PRAGMA {pragma}")
            database.execute("UPDATE replication SET role = 'standby'")
            database.execute("DELETE FROM outbox")
            position = position_of(database)
        except sqlite3.Error as error:
            raise translate(path, error) from error
        yield Replica(path, database, position)
