"""The journal's SQLite file, open once for writing and once for reading. Synchronous.

The statements of tables with rules of their own are in `app.journal.tables`; each runs in a transaction of the store.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import msgspec

from app.boundary import log_failure
from app.core.drafts import StoredDraft
from app.core.gallery import Hidden
from app.core.jobs.cost import Run
from app.core.jobs.job import Job, OperatorRequest, State, Transition
from app.core.journal_port import Notice, RemovedJobs
from app.core.limits.moderation import AuditEntry, Decision, Decisions
from app.core.limits.spending import Spent
from app.core.limits.usage import Use
from app.core.scheduling.queue.fair_queue import NOTHING_SERVED, Served
from app.core.servers.power import OnPeriod, PowerRecord
from app.events import JobId, ServerName
from app.journal.errors import gone, translate
from app.journal.migrations import NEWEST
from app.journal.reader import Reader
from app.journal.recording import Outbox, RecordingConnection
from app.journal.tables import drafts, gallery, moderation, on_periods, payments, people
from app.journal.tables import jobs as jobs_table
from app.journal.tables import runs as runs_table
from app.journal.tables import served as served_table
from app.ports import Json

UNUSED_SHARE = 0.1
"""The share of the file that may be free pages. They are used again, so giving back the last ones gains nothing."""

INCREMENTAL = 2
"""SQLite's number of the mode in which a file can give back free pages in steps."""

LATE_EDIT = "late edit"
"""The kind of notice of `expect_late_edits`."""

KEEP_NOTICE = "INSERT INTO notices (kind, subject, at) VALUES (?, ?, ?) ON CONFLICT (kind, subject) DO NOTHING"

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
        paid: list[tuple[object, ...]] = []
        entries: list[gallery.NewEntry] = []
        withdrawn: list[JobId] = []
        refused: list[dict[JobId, Exception]] = []
        for jobs, transitions in batches:
            batch_rows, batch_lines, batch_refused = jobs_table.encode(jobs, transitions, now)
            paid += [
                (job.id, now, job.request.owner, job.spent) for job in jobs if job.spent and job.id not in batch_refused
            ]
            entries += [
                entry
                for job in jobs
                if job.id not in batch_refused and (entry := gallery.entry_of(job, now)) is not None
            ]
            # A job can be cancelled until its result was shown.
            withdrawn += [job.id for job in jobs if job.state in {State.FAILED, State.CANCELLED, State.LOST}]
            rows += batch_rows
            lines += batch_lines
            refused.append(batch_refused)
        measured, odd = runs_table.encode(runs, now)
        with self._transaction():
            jobs_table.write(self._database, rows, lines)
            if measured:
                runs_table.write(self._database, measured, now)
            if paid:
                payments.write(self._database, paid)
            if sums := served_table.encode(served, now):
                served_table.write(self._database, sums, now)
            gallery.add(self._database, entries)
            gallery.withdraw(self._database, withdrawn)
        self.gallery_additions += len(entries)
        # Only now, because a transaction that fails is tried again.
        for run, error in odd:
            log_failure(error, "a measured run could not be recorded", job=run.job)
        return refused

    def check(self) -> None:
        """Write the version of the file once more, and commit: it shows whether anything can be written now."""
        with self._transaction():
            self._database.execute(f"PRAGMA user_version = {NEWEST}")

    def remove_jobs(self, before: float, position: int, limit: int) -> RemovedJobs:
        """See `app.core.journal_port.OldJobs`. What is removed is overwritten in the file."""
        with self._transaction():
            removed = jobs_table.remove_old(self._database, before, position, limit)
        self._note_removed(removed.removed)
        return removed

    def forget_jobs(self, owner: str, limit: int) -> int:
        """See `app.core.journal_port.PersonRecords`. What is removed is overwritten in the file."""
        with self._transaction():
            jobs = jobs_table.ended_of(self._database, owner, limit)
            for _, job_id in jobs if self._recording is not None else ():
                # So that copies of the journal know that their files are to be deleted as well.
                gallery.hide(self._database, job_id, "everybody")
            jobs_table.delete(self._database, jobs)
        self._note_removed(len(jobs))
        return len(jobs)

    def forget_person(self, owner: str) -> None:
        """See `app.core.journal_port.PersonRecords`."""
        with self._transaction():
            people.forget(self._database, owner)

    def _note_removed(self, jobs: int) -> None:
        """Remember that the words of removed prompts are still to leave their index."""
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
            more = gallery.merge_prompts(self._database)
        # New prompts come meanwhile, so this must not wait until there is nothing left to merge.
        self._unmerged = left - gallery.MERGED_AT_ONCE if more else 0
        return True

    def hide_from_gallery(self, job: JobId, hidden: Hidden) -> None:
        """See `app.core.gallery.GalleryRecords`; `hidden` is from whom."""
        with self._transaction():
            row = self._database.execute("SELECT wish, record, changed FROM jobs WHERE id = ?", (job,)).fetchone()
            if row is not None and (entry := self._entry_of(job, *row)) is not None:
                gallery.add(self._database, [entry])
            gallery.hide(self._database, job, hidden)

    def add_to_gallery(self, backlog: gallery.Backlog) -> None:
        """Add entries of an earlier version, and remember which jobs were looked at."""
        with self._transaction():
            gallery.add(self._database, backlog.entries)
            gallery.note_filled(self._database, backlog.position)

    def try_thumbnails_again(self, job: JobId) -> None:
        """See `app.core.gallery.GalleryRecords`."""
        with self._transaction():
            gallery.try_thumbnails_again(self._database, job)

    def keep_dimensions(self, job: JobId, width: int, height: int) -> None:
        """See `app.core.gallery.GalleryRecords`."""
        with self._transaction():
            gallery.keep_dimensions(self._database, job, width, height)

    def served(self) -> Served:
        """See `app.core.journal_port.Journal`."""
        return served_table.load(self._rows, self._clock())

    def uses(self) -> list[Use]:
        """See `app.core.journal_port.Journal`."""
        return runs_table.uses(self._rows, self._clock())

    def spent(self) -> list[Spent]:
        """See `app.core.journal_port.Journal`."""
        return payments.spent(self._rows, self._clock())

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
        """See `app.core.journal_port.Journal`."""
        with self._transaction():
            on_periods.record(self._database, records, self._clock())

    def prefer(self, owner: str, workflow: str, values: Mapping[str, Json]) -> None:
        """Replace the owner's preferences for a workflow; empty `values` delete them."""
        with self._transaction():
            self._database.execute("DELETE FROM preferences WHERE owner = ? AND workflow = ?", (owner, workflow))
            if values:
                row = (owner, workflow, msgspec.json.encode(values))
                self._database.execute("INSERT INTO preferences (owner, workflow, told) VALUES (?, ?, ?)", row)

    def keep_draft(self, draft: StoredDraft) -> None:
        """See `app.core.drafts.DraftRecords`."""
        with self._transaction():
            drafts.keep(self._database, draft, self._clock())

    def draft(self, draft_id: str) -> StoredDraft | None:
        """See `app.core.drafts.DraftRecords`."""
        return drafts.find(self._rows, draft_id, self._clock())

    def drop_draft(self, draft_id: str) -> None:
        """See `app.core.drafts.DraftRecords`."""
        with self._transaction():
            drafts.drop(self._database, draft_id)

    def say_once(self, notice: Notice, subject: str) -> bool:
        """See `app.core.journal_port.JobHistory`."""
        with self._transaction():
            return self._database.execute(KEEP_NOTICE, (notice, subject, self._clock())).rowcount == 1

    def expect_late_edits(self, jobs: Sequence[JobId]) -> None:
        """See `app.core.journal_port.JobHistory`."""
        with self._transaction():
            now = self._clock()
            self._database.executemany(KEEP_NOTICE, [(LATE_EDIT, job, now) for job in jobs])

    def late_edits(self) -> list[JobId]:
        """See `app.core.journal_port.JobHistory`."""
        return [JobId(job) for (job,) in self._rows("SELECT subject FROM notices WHERE kind = ?", LATE_EDIT)]

    def expect_no_late_edit(self, job: JobId) -> None:
        """See `app.core.journal_port.JobHistory`."""
        with self._transaction():
            self._database.execute("DELETE FROM notices WHERE kind = ? AND subject = ?", (LATE_EDIT, job))

    def decisions(self) -> Decisions:
        """See `app.core.journal_port.JobHistory`."""
        return moderation.decisions(self._rows, self._clock())

    def decide(self, decision: Decision, person: str) -> None:
        """See `app.core.journal_port.JobHistory`."""
        with self._transaction():
            moderation.decide(self._database, decision, person, self._clock())

    def audit(self) -> list[AuditEntry]:
        """All decisions of moderators, oldest first."""
        return moderation.audit(self._rows)

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
        if file_id(self._path) != self._file:
            raise gone(self._path)


def file_id(path: Path) -> FileId | None:
    """The identity of the file at this path; None if there is none. Raises `JournalError`."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise translate(path, error) from error
    return status.st_dev, status.st_ino
