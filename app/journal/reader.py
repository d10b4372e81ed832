"""Reads the journal over a connection of its own, so that no commit waits for a reader. Synchronous.

In WAL mode readers and the writer do not block each other (https://sqlite.org/wal.html#concurrency). No statement scans
the whole table of jobs, of transitions or of runs; a test checks the query plan of each statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.boundary import log_failure
from app.core.gallery import Audience, GalleryOrigin, GalleryQuery, GalleryRow, Unmade
from app.core.jobs.cost import Run
from app.core.jobs.job import Entry, Job, OperatorRequest, Transition, TransitionRow
from app.core.journal_port import DrainedServer, JobPage, KeptAbout, RecordDamaged
from app.core.servers.power import OnPeriod
from app.events import JobId
from app.journal import serialization
from app.journal.errors import translate
from app.journal.serialization import UNREADABLE
from app.journal.tables import gallery, on_periods, people
from app.journal.tables import runs as runs_table
from app.journal.tables.gallery import LAST_NUMBER
from app.journal.tables.rows import is_encodable
from app.ports import Json
from app.reasons.jobs import InternalError

LAST_LETTER = "\U0010ffff"
"""The highest code point: every text that begins with a prefix sorts before the prefix followed by this character."""


class Reader:
    """Owns a read-only connection. Every method raises `JournalError` with a sentence."""

    def __init__(self, path: Path, reading: sqlite3.Connection) -> None:
        self._path = path
        self._reading = reading
        # A damaged character then spoils only its own text, and not the whole list of rows.
        self._reading.text_factory = _text
        self._reported: dict[str, InternalError] = {}

    def unfinished(self) -> list[Job]:
        """All jobs whose terminal update nobody has seen, or whose prompt a server may still have, oldest first.

        A job whose record is damaged is returned as failed, or left out if it is not known where to show that.
        """
        jobs: list[Job] = []
        # The comparison lets SQLite search the index of unfinished jobs; every number is greater than 0.
        query = (
            "SELECT id, owner, workflow, version, wish, record FROM jobs WHERE told = 0 AND number > 0 ORDER BY number"
        )
        for job_id, owner, workflow, version, request, record in self._rows(query):
            try:
                jobs.append(serialization.decode(request, record))
            except UNREADABLE as error:
                reason = self._report(job_id, error)
                job = serialization.salvage(job_id, owner, workflow, version, request, record, reason)
                if job is not None:
                    jobs.append(job)
        return jobs

    def find(self, id_or_prefix: str) -> Entry | None:
        """A job by its id, or by a prefix of it that matches no other job; else None. Raises `RecordDamaged`."""
        prefix = id_or_prefix.lower()
        if not prefix or not is_encodable(prefix):
            return None
        query = "SELECT id, wish, record, accepted, changed FROM jobs WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"
        rows = self._rows(query, prefix, prefix + LAST_LETTER)
        if not rows or (len(rows) > 1 and rows[0][0] != prefix):
            return None
        job_id, request, record, accepted, changed = rows[0]
        try:
            return Entry(serialization.decode(request, record), accepted, changed)
        except UNREADABLE as error:
            raise RecordDamaged(f"The record of job {job_id} in {self._path} cannot be read.") from error

    def jobs_of(self, owner: str, limit: int) -> list[Job]:
        """The owner's jobs, newest first, without parts of batches and those whose record is damaged."""
        entries = self._entries("lead = '' AND owner = ?", owner, limit)
        return [entry.job for entry in entries]

    def page_of(
        self, owner: str, limit: int, states: Sequence[str] = (), key: int | None = None, newer: bool = False
    ) -> JobPage:
        """See `app.core.journal_port.JobHistory`; `states` are names. Leaves out jobs whose record is damaged."""
        marks = ", ".join("?" * len(states))
        condition = f"owner = ? AND number {'>' if newer else '<'} ?{f' AND state IN ({marks})' if states else ''}"
        order = "ASC" if newer else "DESC"
        columns = "number, id, wish, record, accepted, changed"
        # The state is compared before `lead`, which is stored behind the request and the record.
        query = f"SELECT {columns} FROM jobs WHERE {condition} AND lead = '' ORDER BY number {order} LIMIT ?"  # noqa: S608  constants and marks
        rows = self._rows(query, owner, LAST_NUMBER if key is None else key, *states, limit + 1)
        more, rows = len(rows) > limit, rows[:limit]
        rows = rows[::-1] if newer else rows
        if not rows:
            return JobPage()
        entries = tuple(entry for _, *row in rows if (entry := self._entry(row)) is not None)
        is_older, is_newer = (key is not None, more) if newer else (more, key is not None)
        return JobPage(entries, rows[-1][0] if is_older else None, rows[0][0] if is_newer else None)

    def made_from(self, job: str, limit: int) -> list[Job]:
        """The jobs that were made from this one, newest first, without parts of batches and those that are damaged."""
        return [entry.job for entry in self._entries("parent > '' AND lead = '' AND parent = ?", job, limit)]

    def newest(self, state: str, limit: int) -> list[Entry]:
        """The newest jobs, newest first, without those whose record is damaged; only those of `state` unless ""."""
        if state:
            return self._entries("state = ?", state, limit)
        # Numbers begin at 1. The comparison makes SQLite search the primary key from its end.
        return self._entries("number > ?", 0, limit)

    def unfinished_entries(self) -> list[Entry]:
        """The jobs of `unfinished`, oldest first, without those whose record is damaged."""
        # See `unfinished` for the second condition.
        return self._entries("told = 0 AND number > ?", 0, -1)[::-1]

    def transitions(self, job: str) -> list[TransitionRow]:
        """The transitions of a job, in order."""
        rows = self._rows(
            "SELECT at, job, version, state, cause, server, prompt FROM transitions WHERE job = ? ORDER BY number", job
        )
        return [TransitionRow(at, Transition(*row)) for at, *row in rows]

    def runs(self) -> list[Run]:
        """See `app.core.journal_port.Journal`."""
        return runs_table.newest(self._rows)

    def requests(self) -> list[OperatorRequest]:
        """The operator requests that have not been carried out, oldest first."""
        return [OperatorRequest(*row) for row in self._rows("SELECT number, verb, job FROM requests ORDER BY number")]

    def drained(self) -> list[DrainedServer]:
        """The drained servers, by name. The table has only a few rows."""
        rows = self._rows("SELECT name, at, person FROM servers WHERE drained = 1 AND name > '' ORDER BY name")
        return [DrainedServer(*row) for row in rows]

    def on_periods_at(self, now: float) -> list[OnPeriod]:
        """When servers that the bot starts and stops were on, oldest first, seen from `now`, in seconds since 1970."""
        return on_periods.newest(self._rows, now)

    def preferences(self, owner: str) -> dict[str, dict[str, Json]]:
        """The owner's preferences, by workflow and slot, without those that are damaged."""
        settings: dict[str, dict[str, Json]] = {}
        query = "SELECT workflow, told FROM preferences WHERE owner = ? ORDER BY workflow"
        for workflow, values in self._rows(query, owner):
            try:
                settings[workflow] = msgspec.json.decode(values, type=dict[str, Json])
            except UNREADABLE as error:
                self._report(f"{owner}/{workflow}", error)
        return settings

    def kept_about(self, owner: str) -> KeptAbout:
        """How much is kept about a person."""
        return people.kept_about(self._rows, owner)

    def jobs_since(self, owner: str, position: int, limit: int) -> list[tuple[int, JobId, Job | None]]:
        """The owner's jobs with numbers above `position`, oldest first: number, id, and None for a damaged record."""
        query = "SELECT number, id, wish, record FROM jobs WHERE owner = ? AND number > ? ORDER BY number LIMIT ?"
        jobs: list[tuple[int, JobId, Job | None]] = []
        for number, job_id, request, record in self._rows(query, owner, position, limit):
            try:
                job = serialization.decode(request, record)
            except UNREADABLE as error:
                self._report(job_id, error)
                job = None
            jobs.append((number, JobId(job_id), job))
        return jobs

    def is_known(self, job: str) -> bool:
        """Whether there is a job with this id, whoever asked for it."""
        return bool(self._rows("SELECT 1 FROM jobs WHERE id = ?", job))

    def gallery(
        self, query: GalleryQuery, audience: Audience, before: int | None, limit: int, after: int | None = None
    ) -> list[GalleryRow]:
        """See `app.core.gallery.GalleryRecords`. An entry whose record is damaged has no files."""
        statement, values = gallery.page(query, audience, before, limit, after)
        return self._gallery_rows(statement, values)

    def gallery_row(self, job: JobId) -> GalleryRow | None:
        """See `app.core.gallery.GalleryRecords`."""
        rows = self._gallery_rows(*gallery.entry(job)) if is_encodable(job) else []
        return rows[0] if rows else None

    def shown_as(self, receipt: str) -> JobId | None:
        """See `app.core.gallery.GalleryRecords`."""
        rows = self._rows(gallery.SHOWN_AS, receipt) if is_encodable(receipt) else []
        return JobId(rows[0][0]) if rows else None

    def gallery_origins(self, audience: Audience, limit: int) -> list[GalleryOrigin]:
        """See `app.core.gallery.GalleryRecords`."""
        statement, values = gallery.origins(audience, limit)
        return [gallery.read_origin(row) for row in dict.fromkeys(self._rows(statement, *values))]

    def gallery_backlog(self, limit: int, is_public: Callable[[Job], bool]) -> gallery.Backlog | None:
        """The entries of the next jobs of an earlier version, newest first; None if all were looked at."""
        rows = self._rows(
            "SELECT number, id, state, lead, changed, wish, record FROM jobs"
            " WHERE number < (SELECT number FROM gallery_filled) ORDER BY number DESC LIMIT ?",
            limit,
        )
        entries = [
            self._entry_of(job_id, request, record, changed, is_public)
            for _, job_id, state, lead, changed, request, record in reversed(rows)
            if state in {"finished", "delivered"} and not lead
        ]
        return gallery.Backlog(tuple(filter(None, entries)), rows[-1][0]) if rows else None

    def without_thumbnails(self) -> Unmade | None:
        """The newest entry for which nobody has tried to make thumbnails; None if there is none."""
        rows = self._rows(gallery.UNMADE)
        return Unmade(JobId(rows[0][0]), self._result(*rows[0]).files) if rows else None

    def _gallery_rows(self, statement: str, values: Sequence[object]) -> list[GalleryRow]:
        rows = self._rows(statement, *values)
        return [gallery.read_row(row, self._result(row[1], row[-1])) for row in rows]

    def _result(self, job_id: str, record: bytes) -> gallery.Result:
        """Where a result is shown and its files; nothing of both if the record is damaged."""
        try:
            return gallery.read_result(record)
        except UNREADABLE as error:
            self._report(job_id, error)
            return gallery.Result()

    def _entry_of(
        self,
        job_id: str,
        request: bytes,
        record: bytes,
        ended: float,
        is_public: Callable[[Job], bool] | None = None,
    ) -> gallery.NewEntry | None:
        """The entry of the gallery for a stored job; None if it is none, or if its record is damaged."""
        try:
            job = serialization.decode(request, record)
        except UNREADABLE as error:
            self._report(job_id, error)
            return None
        return gallery.entry_of(job, ended, public=is_public is None or is_public(job))

    def _entries(self, condition: str, value: str | int, limit: int) -> list[Entry]:
        columns = "id, wish, record, accepted, changed"
        query = f"SELECT {columns} FROM jobs WHERE {condition} ORDER BY number DESC LIMIT ?"  # noqa: S608  constant
        return [entry for row in self._rows(query, value, limit) if (entry := self._entry(row)) is not None]

    def _entry(self, row: Sequence[Any]) -> Entry | None:
        """A row with id, request, record and both times as an entry; None if its record is damaged."""
        job_id, request, record, accepted, changed = row
        try:
            return Entry(serialization.decode(request, record), accepted, changed)
        except UNREADABLE as error:
            self._report(job_id, error)
            return None

    def _report(self, record: str, error: Exception) -> InternalError:
        """Log a damaged record once, however often it is read."""
        if record not in self._reported:
            identifier = log_failure(error, "a record of the journal cannot be read", record=record)
            self._reported[record] = InternalError(identifier)
        return self._reported[record]

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._reading.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise translate(self._path, error) from error


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
