"""The journal's SQLite file, opened once for writing and once for reading. Synchronous."""

from __future__ import annotations

import math
import sqlite3
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import msgspec

from app.boundary import log_failure
from app.core.cost import Run
from app.core.job import Job, OperatorRequest, Transition
from app.core.journal_port import MOST_RUNS, JournalError
from app.core.limits import DAY, Origin, Use
from app.core.moderation import AuditEntry, Ban, Decision, Decisions, GuildLimits, Unban
from app.events import JobId, ServerName
from app.journal import serialization
from app.journal.errors import damaged, gone, translate
from app.journal.migrations import NEWEST, migrate, version_of
from app.journal.reader import Reader
from app.ports import Json

BUSY = 5.0
"""Seconds to wait for another process that writes (`jobs cancel`, a backup); such writes take milliseconds."""

RUNS_KEPT = 31 * 86_400.0
"""Seconds for which every run is kept: a month is the longest time over which somebody's GPU-seconds are added up.
The newest `MOST_RUNS` are kept for longer, because estimates are made from them."""

MOST_RUNS_DELETED = 10
"""Old runs that a commit with new ones deletes at most. A turn of the registry measures only a few, so this is enough
to keep up, and the commit takes no longer."""

ACTIONS: dict[type[Decision], str] = {Ban: "ban", Unban: "unban", GuildLimits: "limits"}
"""How decisions are called in the audit."""

MAGIC = b"SQLite format 3\0"
"""The first bytes of every SQLite file."""


FileId: TypeAlias = tuple[int, int]
"""What the system identifies a file by: its device and its number there."""


class Store(Reader):
    """Owns both connections: the inherited one reads, its own one writes. Each may be used by one thread at a time.

    Every method raises `JournalError` with a sentence, and `JournalUnavailable` if the same call may succeed later.
    """

    def __init__(
        self,
        path: Path,
        database: sqlite3.Connection,
        reading: sqlite3.Connection,
        clock: Callable[[], float],
        file: FileId,
    ) -> None:
        super().__init__(path, reading)
        self._database = database
        self._clock = clock
        self._file = file

    def write(
        self, batches: Iterable[tuple[Sequence[Job], Sequence[Transition]]], runs: Sequence[Run] = ()
    ) -> list[dict[JobId, Exception]]:
        """Write the records of many callers, and the runs of them all, in one transaction: durability is then cheap.

        Returns, for each batch, the jobs that were left out because they cannot be encoded. Runs that cannot be encoded
        are left out and logged.
        """
        now = self._clock()
        rows: list[tuple[object, ...]] = []
        lines: list[tuple[object, ...]] = []
        refused: list[dict[JobId, Exception]] = []
        for jobs, transitions in batches:
            batch_rows, batch_lines, batch_refused = _encode(jobs, transitions, now)
            rows += batch_rows
            lines += batch_lines
            refused.append(batch_refused)
        measured, odd = _encode_runs(runs, now)
        with self._transaction():
            self._database.executemany(
                "INSERT INTO jobs (id, owner, workflow, accepted, changed, state, told, version, server, prompt,"
                " lead, parent, wish, record) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET"
                " changed = excluded.changed, state = excluded.state, told = excluded.told,"
                " version = excluded.version, server = excluded.server, prompt = excluded.prompt,"
                " record = excluded.record, wish = CASE WHEN ? THEN excluded.wish ELSE wish END",
                rows,
            )
            self._database.executemany(
                "INSERT INTO transitions (job, at, version, state, server, prompt, cause) VALUES (?, ?, ?, ?, ?, ?, ?)",
                lines,
            )
            if measured:
                self._write_runs(measured, now)
        # Only now, because a transaction that fails is tried again.
        for run, error in odd:
            log_failure(error, "a measured run could not be recorded", job=run.job)
        return refused

    def _write_runs(self, rows: Sequence[tuple[object, ...]], now: float) -> None:
        """Add these runs, and delete some that nobody needs any more."""
        self._database.executemany(
            "INSERT INTO runs (at, job, person, workflow, server, work, seconds, loading, completed, waited,"
            " expected_wait, overtaken, guild, channel) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )
        # The inner limit comes before the time is compared, so that no more rows than these are looked at.
        self._database.execute(
            "DELETE FROM runs WHERE number IN (SELECT number FROM (SELECT number, at FROM runs"
            " WHERE number <= (SELECT max(number) FROM runs) - ? ORDER BY number LIMIT ?) WHERE at < ?)",
            (MOST_RUNS, MOST_RUNS_DELETED, now - RUNS_KEPT),
        )

    def uses(self) -> list[Use]:
        """The GPU seconds that were measured within the last `app.core.limits.DAY`, oldest first."""
        now = self._clock()
        rows = self._rows("SELECT person, guild, channel, seconds, at FROM runs WHERE at > ? ORDER BY at", now - DAY)
        return [Use(Origin(person, guild, channel), seconds, now - at) for person, guild, channel, seconds, at in rows]

    def add_request(self, verb: str, job: str) -> None:
        """Add an operator request for the bot."""
        with self._transaction():
            self._database.execute("INSERT INTO requests (at, verb, job) VALUES (?, ?, ?)", (self._clock(), verb, job))

    def done(self, request: OperatorRequest) -> None:
        """Delete an operator request."""
        with self._transaction():
            self._database.execute("DELETE FROM requests WHERE number = ?", (request.number,))

    def client_id(self) -> str:
        """The id under which servers know the bot of this journal; made by the first call.

        A copy of the file gets an id of its own, because two bots with the same one would take each other's frames.
        """
        file = str(self._file[1])
        with self._transaction():
            row: tuple[str] | None = self._database.execute("SELECT id FROM clients WHERE file = ?", (file,)).fetchone()
            if row is not None:
                return row[0]
            made = str(uuid.uuid4())
            self._database.execute("DELETE FROM clients")
            self._database.execute("INSERT INTO clients (file, id) VALUES (?, ?)", (file, made))
        return made

    def drain(self, server: ServerName, person: str, *, drained: bool) -> None:
        """Record whether a server is drained from now on, and who wants that."""
        with self._transaction():
            self._database.execute(
                "INSERT INTO servers (name, drained, at, person) VALUES (?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " drained = excluded.drained, at = excluded.at, person = excluded.person",
                (server, int(drained), self._clock(), person),
            )

    def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        """Replace the owner's preferences for a workflow; empty `values` delete them."""
        with self._transaction():
            self._database.execute("DELETE FROM preferences WHERE owner = ? AND workflow = ?", (owner, workflow))
            if values:
                row = (owner, workflow, msgspec.json.encode(values))
                self._database.execute("INSERT INTO preferences (owner, workflow, told) VALUES (?, ?, ?)", row)

    def decisions(self) -> Decisions:
        """What moderators have decided, as far as it is not over."""
        bans = self._rows(
            "SELECT guild, banned, id, reason, until FROM bans WHERE until IS NULL OR until > ?", self._clock()
        )
        limits = self._rows("SELECT guild, jobs, seconds FROM guild_limits")
        return Decisions(
            tuple(Ban(guild=g, banned=b, id=i, reason=reason, until=until) for g, b, i, reason, until in bans),
            tuple(GuildLimits(guild=guild, jobs=jobs, seconds=seconds) for guild, jobs, seconds in limits),
        )

    def decide(self, decision: Decision, person: str) -> None:
        """Record a decision and a row of the audit, and delete bans that are over."""
        now = self._clock()
        with self._transaction():
            execute = self._database.execute
            match decision:
                case Ban(guild=guild, banned=banned, id=ident, reason=reason, until=until):
                    row = (guild, banned, ident, reason, until)
                    execute(
                        "INSERT OR REPLACE INTO bans (guild, banned, id, reason, until) VALUES (?, ?, ?, ?, ?)", row
                    )
                case Unban(guild=guild, banned=banned, id=ident):
                    execute("DELETE FROM bans WHERE guild = ? AND banned = ? AND id = ?", (guild, banned, ident))
                case GuildLimits(guild=guild, jobs=jobs, seconds=seconds):
                    row = (guild, jobs, seconds)
                    execute("INSERT OR REPLACE INTO guild_limits (guild, jobs, seconds) VALUES (?, ?, ?)", row)
            execute("DELETE FROM bans WHERE until <= ?", (now,))
            action, details = ACTIONS[type(decision)], msgspec.json.encode(decision).decode()
            entry = (now, decision.guild, person, action, details)
            execute("INSERT INTO audit (at, guild, person, action, details) VALUES (?, ?, ?, ?, ?)", entry)

    def audit(self) -> list[AuditEntry]:
        """All decisions of moderators, oldest first."""
        rows = self._rows("SELECT at, guild, person, action, details FROM audit ORDER BY number")
        return [AuditEntry(*row) for row in rows]

    @contextmanager
    def _transaction(self) -> Generator[None]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._check_file()
                self._database.execute("COMMIT")
            finally:
                # Only after an error: a commit that fails leaves its transaction open.
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
        except sqlite3.Error as error:
            # SQLite itself may notice it first, and reports an I/O error.
            self._check_file()
            raise translate(self._path, error) from error

    def _check_file(self) -> None:
        """Raise `JournalError` if the path no longer leads to the open file: what is written now would be lost."""
        if _file_id(self._path) != self._file:
            raise gone(self._path)


def _file_id(path: Path) -> FileId | None:
    """The identity of the file at this path; None if there is none. Raises `JournalError`."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise translate(path, error) from error
    return status.st_dev, status.st_ino


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(MAGIC))


@contextmanager
def open_store(path: Path, *, clock: Callable[[], float], durable: bool = True, busy: float = BUSY) -> Generator[Store]:
    """Open the file, and create or migrate it if needed. Raises `JournalError`.

    If not `durable`, the last transactions stay in the operating system's cache: they survive the end of the process,
    but not a crash of the machine. Each call waits `busy` seconds for another process that holds the file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and _beginning(path) not in {b"", MAGIC}:
            # SQLite treats a small file of another kind as an empty one of its own.
            raise damaged(path, "file is not a database")
        database = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as error:
        raise translate(path, error) from error
    with closing(database):
        file = _file_id(path)
        try:
            # WAL lets others read while we write; FULL puts every commit on the disk before it returns.
            for pragma in ("journal_mode = WAL", f"synchronous = {'FULL' if durable else 'OFF'}"):
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
            if file is None or _file_id(path) != file:
                raise gone(path)
            yield Store(path, database, reading, clock, file)


@contextmanager
def instance_lock(path: Path) -> Generator[None]:
    """Lock the journal against a second bot for the length of the block. Raises `JournalError`.

    The lock is SQLite's own, on a file beside the journal: it works on every system, and is released when its holder
    dies, however suddenly.
    """
    lock = path.with_name(f"{path.name}-owner")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False)
    except (sqlite3.Error, OSError) as error:
        raise translate(lock, error) from error
    with closing(database):
        try:
            database.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY":
                raise translate(lock, error) from error
            problem = "is in use by another Atelier: stop that one first, or give this one a folder of its own"
            raise JournalError(f"The journal {path} {problem} (ATELIER_DATA).") from error
        except sqlite3.Error as error:
            raise translate(lock, error) from error
        yield


def _encode(
    jobs: Sequence[Job], transitions: Sequence[Transition], now: float
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]], dict[JobId, Exception]]:
    """The rows of jobs and of transitions, and the jobs that cannot be encoded, each with the reason."""
    rows: dict[JobId, tuple[object, ...]] = {}
    lines: list[tuple[JobId, tuple[object, ...]]] = []
    refused: dict[JobId, Exception] = {}
    for job in jobs:
        try:
            rows[job.id] = _row(job, now)
        except Exception as error:  # noqa: BLE001  whatever is wrong with one job is reported as its own
            refused[job.id] = error
    for step in transitions:
        line = (step.job, now, step.version, step.state, step.server, step.prompt, step.cause)
        try:
            "".join((step.state, step.server, step.prompt, step.cause)).encode()
        except Exception as error:  # noqa: BLE001  as above
            refused[step.job] = error
        lines.append((step.job, line))
    kept = [line for job_id, line in lines if job_id not in refused]
    return [row for job_id, row in rows.items() if job_id not in refused], kept, refused


def _encode_runs(runs: Sequence[Run], now: float) -> tuple[list[tuple[object, ...]], list[tuple[Run, Exception]]]:
    """The rows of runs, and the runs that cannot be encoded, each with the reason."""
    rows: list[tuple[object, ...]] = []
    refused: list[tuple[Run, Exception]] = []
    for run in runs:
        try:
            rows.append(_run_row(run, now))
        except Exception as error:  # noqa: BLE001  whatever is wrong with one run is no matter of the others
            refused.append((run, error))
    return rows, refused


def _run_row(run: Run, now: float) -> tuple[object, ...]:
    texts = (run.job, run.person, run.workflow, run.server)
    place = (run.guild, run.channel)
    "".join((*texts, *place)).encode()
    if not all(map(math.isfinite, (run.work, run.seconds, run.waited or 0.0, run.expected_wait or 0.0))):
        # SQLite takes what is no number for NULL, and would refuse the whole transaction.
        raise ValueError(f"a run of {run.seconds} s with {run.work} units of work")
    measured = (run.work, run.seconds, int(run.loading), int(run.completed))
    return (now, *texts, *measured, run.waited, run.expected_wait, int(run.overtaken), *place)


def _row(job: Job, now: float) -> tuple[object, ...]:
    attempt = job.attempt
    server, prompt = (attempt.server, attempt.prompt) if attempt else ("", "")
    request = job.request
    # The column `told` is 1 once nothing is left to do: neither for the job's owner, nor at a server.
    state, done = job.state.name.lower(), int(job.notified and not job.leftovers)
    known = (request.job, request.owner, request.workflow, now, now, state, done, job.version, server, prompt)
    # The request is only written again if it was edited, so that no other change can damage it.
    texts = (request.lead, request.parent)
    return (*known, *texts, serialization.encode_request(request), serialization.encode(job), job.edits > 0)
