"""The journal's SQLite file, opened once for writing and once for reading. Synchronous."""

from __future__ import annotations

import math
import sqlite3
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import TypeAlias

import msgspec

from app.boundary import log_failure
from app.core.drafts import LIFETIME, MOST_DRAFTS, StoredDraft
from app.core.gallery import Hidden
from app.core.jobs.cost import Run
from app.core.jobs.job import Job, OperatorRequest, State, Transition
from app.core.journal_port import MOST_RUNS, JournalError, Notice, RemovedJobs
from app.core.limits.moderation import AuditEntry, Ban, Decision, Decisions, GuildLimits, Unban
from app.core.limits.spending import WINDOWS, Spent
from app.core.limits.usage import DAY, Origin, Use
from app.core.scheduling.fair_queue import NOTHING_SERVED, Served
from app.core.servers.power import OnPeriod, PowerRecord
from app.events import JobId, ServerName
from app.journal import gallery_tables, recording, serialization
from app.journal.errors import damaged, gone, translate
from app.journal.lock import exclusive
from app.journal.migrations import NEWEST, migrate, version_of
from app.journal.reader import MOST_PERIODS, Reader, encodable
from app.journal.recording import Outbox, RecordingConnection
from app.ports import Json

BUSY = 5.0
"""Seconds to wait for another process that writes (`jobs cancel`, a backup); such writes take milliseconds."""

RUNS_KEPT = 31 * 86_400.0
"""Seconds for which every run is kept: a month is the longest time over which somebody's GPU-seconds are added up.
The newest `MOST_RUNS` are kept for longer, because estimates are made from them."""

SERVED_KEPT = 86_400.0
"""Seconds after which it no longer counts at a start what somebody was served."""

PERSON, SERVER, LARGEST = "person", "server", "largest"
"""Whose served seconds a row of `served` has."""

MOST_RUNS_DELETED = 10
"""Old runs that a commit with new ones deletes at most. A turn of the registry measures only a few, so this is enough
to keep up, and the commit takes no longer."""

POWER_KEPT = 31 * 86_400.0
"""Seconds for which it is kept when servers were on, and longer for the newest `MOST_PERIODS`: what was billed is
looked up within a month."""

ACTIONS: dict[type[Decision], str] = {Ban: "ban", Unban: "unban", GuildLimits: "limits"}
"""How decisions are called in the audit."""

UNUSED_SHARE = 0.1
"""The share of the file that may be free pages. They are used again, so giving back the last ones gains nothing."""

INCREMENTAL = 2
"""SQLite's number of the mode in which a file can give back free pages in steps."""

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
        self._recording = database if isinstance(database, RecordingConnection) else None
        self.outbox = Outbox(path, self._recording) if self._recording is not None else None
        """What is still to be published, if this journal has copies."""
        self._clock = clock
        self._file = file
        self.gallery_additions = 0
        """How many results were added to the gallery because their jobs ended."""
        self._unmerged: int | None = 0
        """Pages of the index of prompts that are to be written anew, because jobs were removed; None if all are."""

    def write(
        self,
        batches: Iterable[tuple[Sequence[Job], Sequence[Transition]]],
        runs: Sequence[Run] = (),
        served: Served = NOTHING_SERVED,
    ) -> list[dict[JobId, Exception]]:
        """Write the records, runs and served seconds of many callers in one transaction: durability is then cheap.

        Returns, for each batch, the jobs that were left out because they cannot be encoded. Runs that cannot be encoded
        are left out and logged.
        """
        now = self._clock()
        rows: list[tuple[object, ...]] = []
        lines: list[tuple[object, ...]] = []
        payments: list[tuple[object, ...]] = []
        entries: list[gallery_tables.NewEntry] = []
        withdrawn: list[JobId] = []
        refused: list[dict[JobId, Exception]] = []
        for jobs, transitions in batches:
            batch_rows, batch_lines, batch_refused = _encode(jobs, transitions, now)
            payments += [
                (job.id, now, job.request.owner, job.spent) for job in jobs if job.spent and job.id not in batch_refused
            ]
            entries += [
                entry
                for job in jobs
                if job.id not in batch_refused and (entry := gallery_tables.entry_of(job, now)) is not None
            ]
            # A job can be cancelled until its result was shown.
            withdrawn += [job.id for job in jobs if job.state in {State.FAILED, State.CANCELLED, State.LOST}]
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
            if payments:
                # A job that has ended is written again when that was shown: the first time counts.
                self._database.executemany(
                    "INSERT INTO payments (job, at, person, amount) VALUES (?, ?, ?, ?) ON CONFLICT (job) DO NOTHING",
                    payments,
                )
            if sums := _served_rows(served, now):
                self._write_served(sums, now)
            gallery_tables.add(self._database, entries)
            gallery_tables.withdraw(self._database, withdrawn)
        self.gallery_additions += len(entries)
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

    def check(self) -> None:
        """Write the version of the file once more, and commit: it shows whether anything can be written now."""
        with self._transaction():
            self._database.execute(f"PRAGMA user_version = {NEWEST}")

    def remove_jobs(self, before: float, position: int, limit: int) -> RemovedJobs:
        """See `app.core.journal_port.OldJobs`. What is removed is overwritten in the file."""
        with self._transaction():
            execute = self._database.execute
            needed: set[str] = set()
            for job_id, lead in execute("SELECT id, lead FROM jobs WHERE told = 0 AND number > 0"):
                needed |= {job_id, lead}
            rows = execute(
                "SELECT number, id, lead, accepted, changed FROM jobs WHERE number > ? ORDER BY number LIMIT ?",
                (position, limit),
            ).fetchall()
            old = [
                (number, job_id)
                for number, job_id, lead, _, changed in rows
                if changed < before and job_id not in needed and (not lead or lead not in needed)
            ]
            self._delete_jobs(old)
        # Jobs are numbered in the order in which they were accepted, and none changes before that.
        over = len(rows) < limit or rows[-1][3] >= before
        return RemovedJobs(len(old), None if over else rows[-1][0])

    def forget_jobs(self, owner: str, limit: int) -> int:
        """See `app.core.journal_port.PersonRecords`. What is removed is overwritten in the file."""
        with self._transaction():
            query = "SELECT number, id FROM jobs WHERE owner = ? AND told = 1 AND number > 0 ORDER BY number LIMIT ?"
            jobs = self._database.execute(query, (owner, limit)).fetchall()
            for _, job_id in jobs if self._recording is not None else ():
                # So that copies of the journal know that their files are to be deleted as well.
                gallery_tables.hide(self._database, job_id, "everybody")
            self._delete_jobs(jobs)
        return len(jobs)

    def forget_person(self, owner: str) -> None:
        """See `app.core.journal_port.PersonRecords`."""
        with self._transaction():
            execute = self._database.execute
            execute("DELETE FROM preferences WHERE owner = ?", (owner,))
            execute("DELETE FROM drafts WHERE person = ?", (owner,))
            execute("DELETE FROM notices WHERE kind = 'hint' AND subject = ?", (owner,))
            execute("DELETE FROM drafts WHERE person = ?", (owner,))
            execute("DELETE FROM served WHERE kind = ? AND name = ?", (PERSON, owner))
            # Outside of a Discord server, the channel is the person's own.
            execute(
                "UPDATE runs SET person = '', job = '', channel = iif(guild = '', '', channel) WHERE person = ?",
                (owner,),
            )
            # See `Reader.kept_about` for the comparison. The id of a job is in the buttons of its message.
            execute(
                "UPDATE payments SET person = '', job = 'forgotten ' || rowid WHERE at > 0 AND person = ?", (owner,)
            )

    def _delete_jobs(self, jobs: Sequence[tuple[int, str]]) -> None:
        """Delete jobs, by number and id, with their transitions; a trigger deletes their entries of the gallery."""
        self._database.executemany("DELETE FROM transitions WHERE job = ?", [(job_id,) for _, job_id in jobs])
        self._database.executemany("DELETE FROM jobs WHERE number = ?", [(number,) for number, _ in jobs])
        self._unmerged = None if jobs else self._unmerged

    def give_back(self, pages: int) -> bool:
        """See `app.core.journal_port.OldJobs`. A file of an earlier version only uses its free pages again."""
        if self._merge_prompts():
            return True
        mode, free, whole = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("auto_vacuum", "freelist_count", "page_count")
        )
        if mode == INCREMENTAL and free > whole * UNUSED_SHARE:
            with self._transaction():
                self._database.execute(f"PRAGMA incremental_vacuum({int(pages)})").fetchall()
            return True
        # What was removed is also in the log of writes, until that begins anew.
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return False

    def _merge_prompts(self) -> bool:
        """Remove the words of removed prompts from a part of their index; False if there are none."""
        left = self._unmerged
        if left is None:
            pages: tuple[int] = self._database.execute("SELECT count(*) FROM gallery_prompts_data").fetchone()
            left = pages[0]
        if left <= 0:
            return False
        with self._transaction():
            more = gallery_tables.merge_prompts(self._database)
        # New prompts come meanwhile, so this must not wait until there is nothing left to merge.
        self._unmerged = left - gallery_tables.MERGED_AT_ONCE if more else 0
        return True

    def hide_from_gallery(self, job: JobId, hidden: Hidden) -> None:
        """See `app.core.gallery.GalleryRecords`; `hidden` is from whom."""
        with self._transaction():
            row = self._database.execute("SELECT wish, record, changed FROM jobs WHERE id = ?", (job,)).fetchone()
            if row is not None and (entry := self._entry_of(job, *row)) is not None:
                gallery_tables.add(self._database, [entry])
            gallery_tables.hide(self._database, job, hidden)

    def add_to_gallery(self, backlog: gallery_tables.Backlog) -> None:
        """Add entries of an earlier version, and remember which jobs were looked at."""
        with self._transaction():
            gallery_tables.add(self._database, backlog.entries)
            self._database.execute("UPDATE gallery_filled SET number = ?", (backlog.position,))

    def try_thumbnails_again(self, job: JobId) -> None:
        """See `app.core.gallery.GalleryRecords`."""
        with self._transaction():
            self._database.execute(
                "UPDATE gallery SET width = NULL WHERE number = (SELECT number FROM jobs WHERE id = ?) AND width > 0",
                (job,),
            )

    def keep_dimensions(self, job: JobId, width: int, height: int) -> None:
        """See `app.core.gallery.GalleryRecords`."""
        with self._transaction():
            self._database.execute(
                "UPDATE gallery SET width = ?, height = ? WHERE number = (SELECT number FROM jobs WHERE id = ?)",
                (width, height, job),
            )

    def _write_served(self, rows: Sequence[tuple[object, ...]], now: float) -> None:
        """Keep these served seconds, and delete those that are too old to be read."""
        self._database.executemany(
            "INSERT INTO served (kind, name, seconds, at) VALUES (?, ?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET"
            " seconds = excluded.seconds, at = excluded.at",
            rows,
        )
        self._database.execute("DELETE FROM served WHERE at < ?", (now - SERVED_KEPT,))

    def served(self) -> Served:
        """What people were served, as far as it changed within `SERVED_KEPT`."""
        rows = self._rows(
            "SELECT kind, name, seconds FROM served WHERE at >= ? ORDER BY at", self._clock() - SERVED_KEPT
        )
        kept: dict[str, dict[str, float]] = {PERSON: {}, SERVER: {}, LARGEST: {}}
        for kind, name, seconds in rows:
            kept.setdefault(kind, {})[name] = seconds
        levels = {ServerName(name): seconds for name, seconds in kept[SERVER].items()}
        return Served(kept[PERSON], levels, kept[LARGEST].get("", 0.0))

    def uses(self) -> list[Use]:
        """The GPU seconds that were measured within the last `app.core.limits.DAY`, oldest first."""
        now = self._clock()
        rows = self._rows("SELECT person, guild, channel, seconds, at FROM runs WHERE at > ? ORDER BY at", now - DAY)
        return [Use(Origin(person, guild, channel), seconds, now - at) for person, guild, channel, seconds, at in rows]

    def spent(self) -> list[Spent]:
        """What was spent within the longest of `app.core.limits.spending.WINDOWS`, oldest first."""
        now = self._clock()
        query = "SELECT person, amount, at FROM payments WHERE at > ? ORDER BY at"
        return [
            Spent(person, amount, now - at) for person, amount, at in self._rows(query, now - max(WINDOWS.values()))
        ]

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

        A copy of the file gets an id of its own, because two bots with the same one would take each other's frames. The
        copies of fronts keep it, because only one of them runs a bot at a time.
        """
        with self._transaction():
            file = str(self._file[1]) if self.outbox is None else self.outbox.lineage
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

    def on_periods(self) -> list[OnPeriod]:
        """See `app.core.journal_port.Journal`."""
        return self.on_periods_at(self._clock())

    def record_power(self, records: Sequence[PowerRecord]) -> None:
        """Record that servers were started or stopped just now, and delete periods that nobody needs any more."""
        now = self._clock()
        with self._transaction():
            for record in records:
                self._record_power(record, now)
            self._database.execute(
                "DELETE FROM on_periods WHERE stopped < ?"
                " AND number <= (SELECT max(number) FROM on_periods WHERE number > 0) - ?",
                (now - POWER_KEPT, MOST_PERIODS),
            )

    def _record_power(self, record: PowerRecord, now: float) -> None:
        execute, server = self._database.execute, record.server
        present = "WHERE number = (SELECT max(number) FROM on_periods WHERE server = ?) AND stopped IS NULL"
        match record.change:
            case "started":
                execute(f"UPDATE on_periods SET stopped = ? {present}", (now, server))  # noqa: S608  constant
                row = (server, record.starter, now)
                execute("INSERT INTO on_periods (server, starter, started) VALUES (?, ?, ?)", row)
            case "answered":
                row = (now, server)
                execute(f"UPDATE on_periods SET answered = ifnull(answered, ?), stopping = NULL {present}", row)  # noqa: S608  constant
            case "stopping":
                execute(f"UPDATE on_periods SET stopping = ? {present}", (now, server))  # noqa: S608  constant
            case "stopped":
                execute(f"UPDATE on_periods SET stopped = ? {present}", (now, server))  # noqa: S608  constant

    def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        """Replace the owner's preferences for a workflow; empty `values` delete them."""
        with self._transaction():
            self._database.execute("DELETE FROM preferences WHERE owner = ? AND workflow = ?", (owner, workflow))
            if values:
                row = (owner, workflow, msgspec.json.encode(values))
                self._database.execute("INSERT INTO preferences (owner, workflow, told) VALUES (?, ?, ?)", row)

    def keep_draft(self, draft: StoredDraft) -> None:
        """See `app.core.drafts.DraftRecords`."""
        now = self._clock()
        with self._transaction():
            execute = self._database.execute
            row = (draft.id, draft.person, now, draft.content)
            execute("INSERT OR REPLACE INTO drafts (id, person, changed, content) VALUES (?, ?, ?, ?)", row)
            execute("DELETE FROM drafts WHERE changed < ?", (now - LIFETIME,))
            execute(
                "DELETE FROM drafts WHERE person = ? AND id NOT IN"
                " (SELECT id FROM drafts WHERE person = ? ORDER BY changed DESC LIMIT ?)",
                (draft.person, draft.person, MOST_DRAFTS),
            )

    def draft(self, draft_id: str) -> StoredDraft | None:
        """See `app.core.drafts.DraftRecords`."""
        query = "SELECT person, content FROM drafts WHERE id = ? AND changed >= ?"
        rows = self._rows(query, draft_id, self._clock() - LIFETIME)
        return StoredDraft(draft_id, *rows[0]) if rows else None

    def drop_draft(self, draft_id: str) -> None:
        """See `app.core.drafts.DraftRecords`."""
        with self._transaction():
            self._database.execute("DELETE FROM drafts WHERE id = ?", (draft_id,))

    def say_once(self, notice: Notice, subject: str) -> bool:
        """See `app.core.journal_port.JobHistory`."""
        with self._transaction():
            row = (notice, subject, self._clock())
            query = "INSERT INTO notices (kind, subject, at) VALUES (?, ?, ?) ON CONFLICT (kind, subject) DO NOTHING"
            return self._database.execute(query, row).rowcount == 1

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
                if self._recording is not None:
                    self._recording.seal(self._path)
                self._database.execute("COMMIT")
            finally:
                # Only after an error: a commit that fails leaves its transaction open.
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                if self._recording is not None:
                    self._recording.forget()
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
        file = _file_id(path)
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
            if file is None or _file_id(path) != file:
                raise gone(path)
            yield Store(path, database, reading, clock, file)


def instance_lock(path: Path) -> AbstractContextManager[None]:
    """Lock the journal against a second bot for the length of the block. Raises `JournalError`."""
    problem = "is in use by another Atelier: stop that one first, or give this one a folder of its own"
    return exclusive(path.with_name(f"{path.name}-owner"), f"The journal {path} {problem} (ATELIER_DATA).")


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


def _served_rows(served: Served, now: float) -> list[tuple[object, ...]]:
    """The rows of what changed, without what SQLite would refuse, because no job depends on it."""
    rows = [(PERSON, name, seconds, now) for name, seconds in served.people.items()]
    rows += [(SERVER, name, seconds, now) for name, seconds in served.levels.items()]
    rows += [(LARGEST, "", served.largest, now)] if served.largest else []
    return [row for row in rows if math.isfinite(row[2]) and encodable(row[1])]


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
