"""The statements that read and write the tables of the gallery."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from app.core.gallery import (
    Audience,
    GalleryEntry,
    GalleryOrigin,
    GalleryQuery,
    GalleryRow,
    Hidden,
    is_shown,
    model_of,
    prompt_of,
)
from app.core.jobs.job import Job
from app.events import JobId
from app.journal.serialization import LAST

HIDDEN: tuple[Hidden, ...] = ("", "others", "everybody")
"""What the numbers in the column `hidden` mean."""

LAST_NUMBER = 2**63 - 1
"""The highest number that a job can have."""

MOST_WORDS = 16
"""Words of a search that count."""

SHORTEST_BEGINNING = 2
"""Characters of the last word from which on it may be the beginning of a word: nearly all prompts have one that begins
with a given letter, which takes long to find and helps nobody."""

MERGED_AT_ONCE = 64
"""Pages of the index of prompts that are written anew in one transaction."""

_SEEN = "g.hidden < 2 AND g.ended IS NOT NULL"
_ENTRY = "g.number, j.id, g.owner, g.guild, g.channel, g.workflow, g.model, ifnull(p.prompt, ''), ifnull(g.ended, 0.0)"
_ROW = f"{_ENTRY}, g.width, g.height, g.hidden, j.record"

# The order of the tables is that in which they are read: the entries, and only of these their jobs and prompts.
_LISTED = "gallery g CROSS JOIN jobs j ON j.number = g.number CROSS JOIN gallery_prompts p ON p.rowid = g.number"
_MATCHING = "gallery_prompts p CROSS JOIN gallery g ON g.number = p.rowid CROSS JOIN jobs j ON j.number = g.number"


class NewEntry(Struct, frozen=True):
    """An entry to be added; `ended` is in seconds since 1970. `shown` is the proof that it was shown, once it was."""

    job: JobId
    owner: str
    guild: str
    channel: str
    workflow: str
    model: str
    ended: float
    prompt: str
    hidden: Hidden = ""
    shown: str = ""


class Backlog(Struct, frozen=True):
    """Entries of an earlier version, oldest first, and the lowest number of the jobs that were looked at."""

    entries: tuple[NewEntry, ...]
    position: int


class _Files(Struct):
    files: tuple[str, ...] = ()


class Result(Struct, rename={"last": LAST}):
    """The part of a job's record that says where it is shown, and which files it has."""

    place: str = ""
    last: _Files | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of the files."""
        return self.last.files if self.last is not None else ()


_RESULTS = msgspec.json.Decoder(Result)


def entry_of(job: Job, ended: float, *, public: bool = True) -> NewEntry | None:
    """The entry of a job, None if it is none; unless `public`, only its owner sees it."""
    if not is_shown(job):
        return None
    request = job.request
    place = (request.guild, request.shown_in)
    hidden: Hidden = "" if public else "others"
    return NewEntry(
        job.id,
        request.owner,
        *place,
        request.workflow,
        model_of(job),
        ended,
        prompt_of(request.values),
        hidden,
        job.receipt,
    )


def add(database: sqlite3.Connection, entries: Iterable[NewEntry]) -> None:
    """Add entries whose jobs are in the journal; of those that were added before, only record that they were shown."""
    for entry in entries:
        added = database.execute(
            "INSERT INTO gallery (number, owner, guild, channel, workflow, model, ended, hidden)"
            " SELECT number, ?, ?, ?, ?, ?, ?, ? FROM jobs WHERE id = ?"
            # One that was hidden before it had a result stays hidden.
            " ON CONFLICT (number) DO UPDATE SET guild = excluded.guild, channel = excluded.channel,"
            " workflow = excluded.workflow, model = excluded.model, ended = excluded.ended, width = NULL"
            " WHERE ended IS NULL",
            (
                entry.owner,
                entry.guild,
                entry.channel,
                entry.workflow,
                entry.model,
                entry.ended,
                HIDDEN.index(entry.hidden),
                entry.job,
            ),
        ).rowcount
        if added:
            database.execute(
                "INSERT INTO gallery_prompts (rowid, prompt) SELECT number, ? FROM jobs WHERE id = ?",
                (entry.prompt, entry.job),
            )
        if entry.shown:
            database.execute(
                "UPDATE gallery SET shown = ? WHERE number = (SELECT number FROM jobs WHERE id = ?) AND shown <> ?",
                (entry.shown, entry.job, entry.shown),
            )


def withdraw(database: sqlite3.Connection, jobs: Iterable[JobId]) -> None:
    """Remove the entries of jobs that have no result any more; a request to hide them stays."""
    for job in jobs:
        removed = database.execute(
            "UPDATE gallery SET ended = NULL, width = 0"
            " WHERE number = (SELECT number FROM jobs WHERE id = ?) AND ended IS NOT NULL",
            (job,),
        ).rowcount
        if removed:
            remove_prompt(database, job)


def remove_prompt(database: sqlite3.Connection, job: JobId) -> None:
    """Remove the prompt of a job from what is searched."""
    database.execute("DELETE FROM gallery_prompts WHERE rowid = (SELECT number FROM jobs WHERE id = ?)", (job,))


def hide(database: sqlite3.Connection, job: JobId, hidden: Hidden) -> None:
    """See `app.core.gallery.GalleryRecords.hide_from_gallery`; also remembers it of a job that has no result yet."""
    database.execute(
        "INSERT INTO gallery (number, owner, guild, channel, workflow, model, ended, hidden, width)"
        " SELECT number, owner, '', '', '', '', NULL, ?, 0 FROM jobs WHERE id = ?"
        " ON CONFLICT (number) DO UPDATE SET hidden = max(hidden, excluded.hidden)",
        (HIDDEN.index(hidden), job),
    )
    if hidden == "everybody":
        remove_prompt(database, job)


def note_filled(database: sqlite3.Connection, number: int) -> None:
    """Remember that the jobs of an earlier version were looked at, down to this number."""
    database.execute("UPDATE gallery_filled SET number = ?", (number,))


def keep_dimensions(database: sqlite3.Connection, job: JobId, width: int, height: int) -> None:
    """See `app.core.gallery.GalleryRecords`."""
    database.execute(
        "UPDATE gallery SET width = ?, height = ? WHERE number = (SELECT number FROM jobs WHERE id = ?)",
        (width, height, job),
    )


def try_thumbnails_again(database: sqlite3.Connection, job: JobId) -> None:
    """See `app.core.gallery.GalleryRecords`."""
    database.execute(
        "UPDATE gallery SET width = NULL WHERE number = (SELECT number FROM jobs WHERE id = ?) AND width > 0", (job,)
    )


def merge_prompts(database: sqlite3.Connection) -> bool:
    """Write a part of the index of prompts anew, without what was removed; False if there is nothing to do.

    Until this is done, the index still has the words of removed prompts (https://sqlite.org/fts5.html#the_merge_command).
    """
    before = database.total_changes
    database.execute("INSERT INTO gallery_prompts (gallery_prompts, rank) VALUES ('merge', ?)", (-MERGED_AT_ONCE,))
    return database.total_changes - before >= 2


def page(
    query: GalleryQuery, audience: Audience, before: int | None, limit: int, after: int | None = None
) -> tuple[str, list[object]]:
    """The statement for entries and its values: newest first, or those `after` a key, oldest first."""
    conditions, values = [_SEEN], list[object]()
    if query.text:
        conditions.append("p.gallery_prompts MATCH ?")
        values.append(search_of(query.text))
    for column in ("owner", "workflow", "model", "guild"):
        if value := getattr(query, column):
            conditions.append(f"g.{column} = ?")
            values.append(value)
    for time, comparison in ((query.since, ">="), (query.until, "<")):
        if time is not None:
            conditions.append(f"g.ended {comparison} ?")
            values.append(time)
    whom, theirs = _visible_to(audience)
    number = "p.rowid" if query.text else "g.number"
    comparison, order = ("<", "DESC") if after is None else (">", "ASC")
    conditions += [*whom, f"{number} {comparison} ?"]
    key = after if after is not None else LAST_NUMBER if before is None else before
    values += [*theirs, key, limit]
    tables = _MATCHING if query.text else _LISTED
    statement = f"SELECT {_ROW} FROM {tables} WHERE {' AND '.join(conditions)} ORDER BY {number} {order} LIMIT ?"  # noqa: S608  constants and marks
    return statement, values


def entry(job: JobId) -> tuple[str, list[object]]:
    """The statement for the entry of a job, also if it is hidden, and its values."""
    tables = "jobs j CROSS JOIN gallery g ON g.number = j.number LEFT JOIN gallery_prompts p ON p.rowid = g.number"
    return f"SELECT {_ROW} FROM {tables} WHERE j.id = ?", [job]  # noqa: S608  constants


def origins(audience: Audience, limit: int) -> tuple[str, list[object]]:
    """The statement for where the newest entries come from, and its values."""
    columns = "g.owner, g.guild, g.channel, g.workflow, g.model"
    whom, values = _visible_to(audience)
    conditions = " AND ".join([_SEEN, *whom, "g.number > 0"])
    return f"SELECT {columns} FROM gallery g WHERE {conditions} ORDER BY g.number DESC LIMIT ?", [*values, limit]  # noqa: S608  constants


SHOWN_AS = """
    SELECT j.id FROM gallery g CROSS JOIN jobs j ON j.number = g.number WHERE g.shown = ? AND g.shown <> ''
"""
"""The statement for the job of an entry, by the proof that it was shown."""

UNMADE = """
    SELECT j.id, j.record FROM gallery g CROSS JOIN jobs j ON j.number = g.number
    WHERE g.width IS NULL AND g.hidden < 2 AND g.ended IS NOT NULL AND g.number > 0 ORDER BY g.number DESC LIMIT 1
"""
"""The statement for the newest entry without thumbnails."""


def read_row(row: Sequence[Any], result: Result) -> GalleryRow:
    """A row of `page` or `entry`, with what is in its last column."""
    *columns, width, height, hidden, _ = row
    number: int = hidden
    return GalleryRow(
        entry=GalleryEntry(**dict(zip(GalleryEntry.__struct_fields__, columns, strict=True))),
        files=result.files,
        place=result.place,
        width=width,
        height=height,
        hidden=HIDDEN[number],
    )


def read_result(record: bytes) -> Result:
    """The part of a job's record that the gallery needs. Raises one of `app.journal.serialization.UNREADABLE`."""
    return _RESULTS.decode(record)


def read_origin(row: Sequence[Any]) -> GalleryOrigin:
    """A row of `origins`."""
    owner, guild, channel, workflow, model = row
    return GalleryOrigin(owner=owner, guild=guild, channel=channel, workflow=workflow, model=model)


def search_of(text: str) -> str:
    """What people type, as a search of FTS5 for all these words (https://sqlite.org/fts5.html#full_text_query_syntax).

    Each word is quoted, so that nothing in it has a meaning. FTS5 reads a search only up to a NUL.
    """
    clean = text.replace("\0", " ").encode(errors="replace").decode()
    words = [word.replace('"', '""') for word in clean.split()][:MOST_WORDS]
    quoted = [f'"{word}"' for word in words]
    if words and len(words[-1]) >= SHORTEST_BEGINNING:
        quoted[-1] += " *"
    return " ".join(quoted) or '""'


def _visible_to(audience: Audience) -> tuple[list[str], list[object]]:
    if audience.everything:
        return [], []
    hidden = msgspec.json.encode(sorted(audience.without)).decode()
    others = "g.hidden = 0 AND g.guild > '' AND g.channel NOT IN (SELECT value FROM json_each(?))"
    return [f"((g.owner = ? AND g.owner > '') OR ({others}))"], [audience.person, hidden]
