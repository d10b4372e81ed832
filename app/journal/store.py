"""The journal's file: SQLite, opened once, touched by one thread at a time. Synchronous."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from app.archive import JournalError
from app.jobs import Entry, Job, Line, Request, Transition
from app.journal import records
from app.journal.schema import NEWEST, migrate, version_of
from app.ports import Json

BUSY = 5.0
"""Seconds to wait for another process that writes (`jobs cancel`, a backup): they take milliseconds."""


MAGIC = b"SQLite format 3\0"
"""How each file of SQLite begins."""


class Store:
    """Owns the database connection. Every verb raises `JournalError` with a sentence."""

    def __init__(self, path: Path, database: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._path = path
        self._database = database
        self._clock = clock

    def write(self, batches: Iterable[tuple[Sequence[Job], Sequence[Transition]]]) -> None:
        """Write many callers' records in one transaction: what makes durability cheap."""
        now = self._clock()
        with self._transaction():
            for jobs, story in batches:
                self._database.executemany(
                    "INSERT INTO jobs (id, owner, workflow, accepted, changed, state, told, version, server, prompt,"
                    " wish, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                    " changed = excluded.changed, state = excluded.state, told = excluded.told,"
                    " version = excluded.version, server = excluded.server, prompt = excluded.prompt,"
                    " record = excluded.record",
                    (_row(job, now) for job in jobs),
                )
                self._database.executemany(
                    "INSERT INTO transitions (job, at, version, state, server, prompt, cause)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    ((t.job, now, t.version, t.state, t.server, t.prompt, t.cause) for t in story),
                )

    def unfinished(self) -> list[Job]:
        """All jobs whose last word nobody heard yet, oldest first."""
        return [entry.job for entry in self._entries("WHERE told = 0 ORDER BY number")]

    def find(self, told: str) -> Entry | None:
        """A job by its id, or by a beginning of it that fits no other."""
        pattern = told.lower().replace("%", "").replace("_", "")
        found = self._entries("WHERE id LIKE ? || '%' LIMIT 2", pattern) if pattern else []
        return found[0] if len(found) == 1 else None

    def jobs_of(self, owner: str, limit: int) -> list[Job]:
        """Somebody's jobs, newest first."""
        entries = self._entries("WHERE owner = ? ORDER BY number DESC LIMIT ?", owner, limit)
        return [entry.job for entry in entries]

    def newest(self, state: str, limit: int) -> list[Entry]:
        """The newest jobs, newest first; of one state, unless `state` is ""."""
        return self._entries("WHERE ? IN ('', state) ORDER BY number DESC LIMIT ?", state, limit)

    def story(self, job: str) -> list[Line]:
        """What happened to a job, in order."""
        with self._explained():
            rows = self._database.execute(
                "SELECT at, job, version, state, cause, server, prompt FROM transitions WHERE job = ? ORDER BY number",
                (job,),
            ).fetchall()
        return [Line(at, Transition(*row)) for at, *row in rows]

    def ask(self, verb: str, job: str) -> None:
        """Leave a request for the bot."""
        with self._transaction():
            self._database.execute("INSERT INTO requests (at, verb, job) VALUES (?, ?, ?)", (self._clock(), verb, job))

    def requests(self) -> list[Request]:
        """What was asked and not yet done, oldest first."""
        with self._explained():
            rows = self._database.execute("SELECT number, verb, job FROM requests ORDER BY number").fetchall()
        return [Request(*row) for row in rows]

    def done(self, request: Request) -> None:
        """Forget a request."""
        with self._transaction():
            self._database.execute("DELETE FROM requests WHERE number = ?", (request.number,))

    def preferences(self, owner: str) -> dict[str, dict[str, Json]]:
        """Somebody's own settings, by workflow and slot."""
        with self._explained():
            rows = self._database.execute(
                "SELECT workflow, told FROM preferences WHERE owner = ? ORDER BY workflow", (owner,)
            ).fetchall()
            return {workflow: msgspec.json.decode(told, type=dict[str, Json]) for workflow, told in rows}

    def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        """Make these somebody's own settings, in the place of those before; none are forgotten."""
        with self._transaction():
            self._database.execute("DELETE FROM preferences WHERE owner = ? AND workflow = ?", (owner, workflow))
            if values:
                row = (owner, workflow, msgspec.json.encode(values))
                self._database.execute("INSERT INTO preferences (owner, workflow, told) VALUES (?, ?, ?)", row)

    def _entries(self, where: str, *values: object) -> list[Entry]:
        query = f"SELECT wish, record, accepted, changed FROM jobs {where}"  # noqa: S608  all of it is written above
        with self._explained():
            rows = self._database.execute(query, values).fetchall()
            return [Entry(records.decode(wish, told), accepted, changed) for wish, told, accepted, changed in rows]

    @contextmanager
    def _transaction(self) -> Generator[None]:
        with self._explained():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            finally:
                # Only where something went wrong: a commit that failed keeps its transaction open.
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise JournalError(explain(self._path, error)) from error


def explain(path: Path, error: Exception) -> str:
    """One sentence about what is wrong with a journal, and what to do."""
    told = error.strerror if isinstance(error, OSError) else str(error)
    code = "SQLITE_CANTOPEN" if isinstance(error, OSError) else getattr(error, "sqlite_errorname", "")
    if code.startswith("SQLITE_FULL"):
        return f"The journal {path} cannot grow, because its disk is full: make room, and start again."
    if code.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        return f"The journal {path} cannot be written ({told}): look at its path and its permissions."
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"The journal {path} is held by another program for more than {BUSY:g} s: close that first."
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")) or not code:
        return f"The journal {path} is damaged ({told}): put a backup in its place. It was left as it is."
    return f"The journal {path} cannot be used: {told}."


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(MAGIC))


@contextmanager
def open_store(path: Path, *, clock: Callable[[], float], durable: bool = True) -> Generator[Store]:
    """Open the file, made and brought up to date where needed. Raises `JournalError`.

    Not `durable` leaves the last transactions to the system's cache: they survive the end of the process,
    not that of the machine.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and _beginning(path) not in {b"", MAGIC}:
            # SQLite takes a small file of another kind for an empty one of its own.
            raise JournalError(explain(path, sqlite3.DatabaseError("file is not a database")))
        database = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as error:
        raise JournalError(explain(path, error)) from error
    with closing(database):
        try:
            # WAL lets others read while we write; FULL has every commit on the disk before it returns.
            for pragma in ("journal_mode = WAL", f"synchronous = {'FULL' if durable else 'OFF'}"):
                database.execute(f"PRAGMA {pragma}")
            version = version_of(database)
            if version > NEWEST:
                told = f"was written by a newer Atelier (format {version}, this one knows {NEWEST}): update this one."
                raise JournalError(f"The journal {path} {told}")
            damage: tuple[str] = database.execute("PRAGMA quick_check(1)").fetchone()
            if damage[0] != "ok":
                raise JournalError(explain(path, sqlite3.DatabaseError(damage[0])))
            migrate(database)
            # Only writing tells whether one may write.
            database.executescript("BEGIN IMMEDIATE; COMMIT;")
        except sqlite3.Error as error:
            raise JournalError(explain(path, error)) from error
        yield Store(path, database, clock)


@contextmanager
def sole_owner(path: Path) -> Generator[None]:
    """Hold the journal against a second bot for the length of the block. Raises `JournalError`.

    The lock is SQLite's own, on a file beside the journal: it works on every system, and the death of its
    holder, however sudden, sets it free.
    """
    lock = path.with_name(f"{path.name}-owner")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as error:
        raise JournalError(explain(lock, error)) from error
    with closing(database):
        try:
            database.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY":
                raise JournalError(explain(lock, error)) from error
            told = "is in use by another Atelier: stop that one first, or give this one a folder of its own"
            raise JournalError(f"The journal {path} {told} (ATELIER_DATA).") from error
        except sqlite3.Error as error:
            raise JournalError(explain(lock, error)) from error
        yield


def _row(job: Job, now: float) -> tuple[object, ...]:
    attempt = job.attempt
    server, prompt = (attempt.server, attempt.prompt) if attempt else ("", "")
    wish = job.wish
    state, told = job.state.name.lower(), int(job.told)
    known = (wish.job, wish.owner, wish.workflow, now, now, state, told, job.version, server, prompt)
    return (*known, records.encode_wish(wish), records.encode(job))
