"""Records what each transaction writes, so that copies of the journal can write the same. Synchronous.

The tables of replication are only in the journals of fronts. What is sealed stands in `outbox`, written in the same
transaction, until every copy can find it elsewhere.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from app.core.journal_port import JournalError
from app.core.replication import START, Position, SealedBatch, chained
from app.journal.errors import translate

TABLES = """
    CREATE TABLE replication (
        lineage TEXT PRIMARY KEY,
        number INTEGER NOT NULL,
        chain BLOB NOT NULL,
        role TEXT NOT NULL,
        epoch INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE outbox (
        number INTEGER PRIMARY KEY,
        previous BLOB NOT NULL,
        content BLOB NOT NULL
    ) STRICT;
"""

BREAK = "UPDATE replication SET number = number + 1, chain = randomblob(16); DELETE FROM outbox;"
"""What follows a change that is in no batch, so that every copy notices that it needs a new one of the whole file."""


class Statement(Struct, frozen=True, array_like=True):
    """A statement, with its values once or many times, and how many rows it changed. Triggers are not counted."""

    text: str
    values: tuple[tuple[Any, ...], ...]
    changed: int


class Batch(Struct, frozen=True, array_like=True):
    """The statements of one transaction, without those that changed nothing; `folder` is the writer's data folder."""

    folder: str
    statements: tuple[Statement, ...]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Batch)


class RecordingConnection(sqlite3.Connection):
    """A connection that keeps what it writes until that is sealed. Statements that change nothing are left out."""

    published = 0
    """The number up to which every copy can find the batches elsewhere."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._written: list[Statement] = []

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """See `sqlite3.Connection`."""
        cursor = super().execute(sql, parameters)
        if cursor.rowcount > 0:
            self._written.append(Statement(sql, (tuple(parameters),), cursor.rowcount))
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """See `sqlite3.Connection`."""
        rows = tuple(map(tuple[Any, ...], parameters))
        cursor = super().executemany(sql, rows)
        if cursor.rowcount > 0:
            self._written.append(Statement(sql, rows, cursor.rowcount))
        return cursor

    def forget(self) -> None:
        """Forget what the transaction wrote: it ended, or it is over."""
        self._written.clear()

    def seal(self, path: Path) -> None:
        """Write what this transaction wrote as the next batch; at its end, before the commit.

        Raises `JournalError` if this journal is a copy, which only its front writes.
        """
        if not self._written:
            return
        execute = super().execute
        number, previous, role = execute("SELECT number, chain, role FROM replication").fetchone()
        if role != "active":
            raise JournalError(
                f"The journal {path} is the copy of a front on standby: run this at the front that is active."
            )
        content = _ENCODER.encode(Batch(str(path.parent.absolute()), tuple(self._written)))
        row = (number + 1, chained(previous, content))
        execute("UPDATE replication SET number = ?, chain = ?", row)
        execute("INSERT INTO outbox (number, previous, content) VALUES (?, ?, ?)", (number + 1, previous, content))
        execute("DELETE FROM outbox WHERE number <= ?", (self.published,))


def decode(content: bytes) -> Batch:
    """The batch that was encoded. Raises `msgspec.MsgspecError`."""
    return _DECODER.decode(content)


def is_replicated(database: sqlite3.Connection) -> bool:
    """Whether a journal has the tables of replication."""
    return bool(database.execute("SELECT 1 FROM sqlite_master WHERE name = 'replication'").fetchall())


def begin(database: sqlite3.Connection) -> None:
    """Make a journal of its own the first of a lineage, unless it belongs to one."""
    if not is_replicated(database):
        database.executescript(f"BEGIN IMMEDIATE; {TABLES}")
        database.execute("INSERT INTO replication VALUES (?, 0, ?, 'active', 0)", (str(uuid.uuid4()), START))
        database.execute("COMMIT")


def leave(database: sqlite3.Connection) -> None:
    """Make a journal one that nobody copies, and that is no copy."""
    if is_replicated(database):
        database.executescript("BEGIN IMMEDIATE; DROP TABLE replication; DROP TABLE outbox; COMMIT;")


def position_of(database: sqlite3.Connection) -> Position:
    """How far a replicated journal is."""
    return Position(*database.execute("SELECT lineage, number, chain FROM replication").fetchone())


class Outbox:
    """The batches that were not published yet. Uses the writer's connection, so by its thread."""

    def __init__(self, path: Path, database: RecordingConnection) -> None:
        self._path = path
        self._database = database

    @property
    def lineage(self) -> str:
        """See `Position`. Raises `JournalError`."""
        try:
            return position_of(self._database).lineage
        except sqlite3.Error as error:
            raise translate(self._path, error) from error

    def unpublished(self) -> Sequence[SealedBatch]:
        """The batches, in order. Raises `JournalError`."""
        try:
            return batches_behind(self._database, self._database.published)
        except sqlite3.Error as error:
            raise translate(self._path, error) from error

    def published(self, number: int) -> None:
        """Remember that copies find the batches up to this number elsewhere; the next transaction deletes them."""
        self._database.published = number


def batches_behind(database: sqlite3.Connection, number: int) -> Sequence[SealedBatch]:
    """The batches in the outbox behind this number, in order."""
    query = "SELECT number, previous, content FROM outbox WHERE number > ? ORDER BY number"
    return [SealedBatch(*row) for row in database.execute(query, (number,))]
