"""The table of when servers that the bot starts and stops were on."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from app.core.servers.power import OnPeriod, PowerRecord
from app.journal.tables.rows import ReadRows

MOST_PERIODS = 1_000
"""Times for which servers were on that are read: a day of ten servers that are each started every 15 minutes."""

POWER_KEPT = 31 * 86_400.0
"""Seconds for which it is kept when servers were on, and longer for the newest `MOST_PERIODS`: what was billed is
looked up within a month."""


def record(database: sqlite3.Connection, records: Sequence[PowerRecord], now: float) -> None:
    """Record that servers were started or stopped just now, and delete periods that nobody needs any more."""
    for each in records:
        _record(database, each, now)
    database.execute(
        "DELETE FROM on_periods WHERE stopped < ?"
        " AND number <= (SELECT max(number) FROM on_periods WHERE number > 0) - ?",
        (now - POWER_KEPT, MOST_PERIODS),
    )


def _record(database: sqlite3.Connection, record: PowerRecord, now: float) -> None:
    execute, server = database.execute, record.server
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


def newest(rows: ReadRows, now: float) -> list[OnPeriod]:
    """The newest `MOST_PERIODS` times for which servers were on, oldest first.

    They are seen from `now`, in seconds since 1970. Clocks may be set back, so nothing is later than now.
    """
    # The comparison makes SQLite search the primary key from its end.
    query = (
        "SELECT server, starter, started, answered, stopping, stopped FROM on_periods WHERE number > 0"
        " ORDER BY number DESC LIMIT ?"
    )
    return [
        OnPeriod(server, starter, *(None if at is None else max(0.0, now - at) for at in times))  # pyright: ignore[reportArgumentType]
        for server, starter, *times in rows(query, MOST_PERIODS)[::-1]
    ]
