"""The table of what was spent on paid services."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from app.core.limits.spending import WINDOWS, Spent
from app.journal.tables.rows import ReadRows


def write(database: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Add what jobs cost, each with its id, the time, the person and the amount."""
    # A job that has ended is written again when that was shown: the first time counts.
    database.executemany(
        "INSERT INTO payments (job, at, person, amount) VALUES (?, ?, ?, ?) ON CONFLICT (job) DO NOTHING", rows
    )


def spent(rows: ReadRows, now: float) -> list[Spent]:
    """What was spent within the longest of `app.core.limits.spending.WINDOWS`, oldest first."""
    query = "SELECT person, amount, at FROM payments WHERE at > ? ORDER BY at"
    return [Spent(person, amount, now - at) for person, amount, at in rows(query, now - max(WINDOWS.values()))]
