"""The table of measured runs: estimates and charges are made from it."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

import msgspec

from app.core.jobs.cost import Run
from app.core.journal_port import MOST_RUNS
from app.core.limits.usage import DAY, Origin, Use
from app.journal.tables.rows import ReadRows

RUNS_KEPT = 31 * 86_400.0
"""Seconds for which every run is kept: a month is the longest time over which somebody's GPU-seconds are added up.
The newest `MOST_RUNS` are kept for longer, because estimates are made from them."""

MOST_RUNS_DELETED = 10
"""Old runs that a commit with new ones deletes at most. A turn of the registry measures only a few, so this is enough
to keep up, and the commit takes no longer."""


def encode(runs: Sequence[Run], now: float) -> tuple[list[tuple[object, ...]], list[tuple[Run, Exception]]]:
    """The rows of runs, and the runs that cannot be encoded, each with the reason."""
    rows: list[tuple[object, ...]] = []
    refused: list[tuple[Run, Exception]] = []
    for run in runs:
        try:
            rows.append(_row(run, now))
        except Exception as error:  # noqa: BLE001  whatever is wrong with one run is no matter of the others
            refused.append((run, error))
    return rows, refused


def _row(run: Run, now: float) -> tuple[object, ...]:
    texts = (run.job, run.person, run.workflow, run.server)
    place = (run.guild, run.channel)
    "".join((*texts, *place)).encode()
    if not all(map(math.isfinite, (run.work, run.seconds, run.waited or 0.0, run.expected_wait or 0.0))):
        # SQLite takes what is no number for NULL, and would refuse the whole transaction.
        raise ValueError(f"a run of {run.seconds} s with {run.work} units of work")
    measured = (run.work, run.seconds, int(run.loading), int(run.completed))
    return (now, *texts, *measured, run.waited, run.expected_wait, int(run.overtaken), *place)


def write(database: sqlite3.Connection, rows: Sequence[tuple[object, ...]], now: float) -> None:
    """Add these runs, and delete some that nobody needs any more."""
    database.executemany(
        "INSERT INTO runs (at, job, person, workflow, server, work, seconds, loading, completed, waited,"
        " expected_wait, overtaken, guild, channel) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    # The inner limit comes before the time is compared, so that no more rows than these are looked at.
    database.execute(
        "DELETE FROM runs WHERE number IN (SELECT number FROM (SELECT number, at FROM runs"
        " WHERE number <= (SELECT max(number) FROM runs) - ? ORDER BY number LIMIT ?) WHERE at < ?)",
        (MOST_RUNS, MOST_RUNS_DELETED, now - RUNS_KEPT),
    )


def newest(rows: ReadRows) -> list[Run]:
    """The most recent runs, oldest first, at most `MOST_RUNS`."""
    columns = Run.__struct_fields__
    # The comparison makes SQLite search the primary key from its end.
    query = f"SELECT {', '.join(columns)} FROM runs WHERE number > 0 ORDER BY number DESC LIMIT ?"  # noqa: S608  names of fields
    # SQLite has no booleans: not strict, 0 and 1 are taken for them.
    return [
        msgspec.convert(dict(zip(columns, row, strict=True)), Run, strict=False) for row in rows(query, MOST_RUNS)[::-1]
    ]


def uses(rows: ReadRows, now: float) -> list[Use]:
    """The GPU seconds that were measured within the last `app.core.limits.usage.DAY`, oldest first."""
    query = "SELECT person, guild, channel, seconds, at FROM runs WHERE at > ? ORDER BY at"
    return [
        Use(Origin(person, guild, channel), seconds, now - at)
        for person, guild, channel, seconds, at in rows(query, now - DAY)
    ]
