"""The table of what people were served: who is next depends on it."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

from app.core.scheduling.queue.fair_queue import Served
from app.events import ServerName
from app.journal.tables.rows import ReadRows, is_encodable

SERVED_KEPT = 86_400.0
"""Seconds after which it no longer counts at a start what somebody was served."""

PERSON, SERVER, LARGEST = "person", "server", "largest"
"""Whose served seconds a row has."""


def encode(served: Served, now: float) -> list[tuple[object, ...]]:
    """The rows of what changed, without what SQLite would refuse, because no job depends on it."""
    rows = [(PERSON, name, seconds, now) for name, seconds in served.people.items()]
    rows += [(SERVER, name, seconds, now) for name, seconds in served.levels.items()]
    rows += [(LARGEST, "", served.largest, now)] if served.largest else []
    return [row for row in rows if math.isfinite(row[2]) and is_encodable(row[1])]


def write(database: sqlite3.Connection, rows: Sequence[tuple[object, ...]], now: float) -> None:
    """Keep these served seconds, and delete those that are too old to be read."""
    database.executemany(
        "INSERT INTO served (kind, name, seconds, at) VALUES (?, ?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET"
        " seconds = excluded.seconds, at = excluded.at",
        rows,
    )
    database.execute("DELETE FROM served WHERE at < ?", (now - SERVED_KEPT,))


def load(rows: ReadRows, now: float) -> Served:
    """What people were served, as far as it changed within `SERVED_KEPT`."""
    kept: dict[str, dict[str, float]] = {PERSON: {}, SERVER: {}, LARGEST: {}}
    for kind, name, seconds in rows(
        "SELECT kind, name, seconds FROM served WHERE at >= ? ORDER BY at", now - SERVED_KEPT
    ):
        kept.setdefault(kind, {})[name] = seconds
    levels = {ServerName(name): seconds for name, seconds in kept[SERVER].items()}
    return Served(kept[PERSON], levels, kept[LARGEST].get("", 0.0))
