"""What all tables keep about one person, and how that is removed."""

from __future__ import annotations

import sqlite3

from app.core.journal_port import KeptAbout
from app.journal.tables import served
from app.journal.tables.rows import ReadRows


def kept_about(rows: ReadRows, owner: str) -> KeptAbout:
    """How much is kept about a person."""
    sources = {
        "jobs": "jobs WHERE owner = ?",
        "unfinished": "jobs WHERE told = 0 AND number > 0 AND owner = ?",
        "settings": "preferences WHERE owner = ?",
        "drafts": "drafts WHERE person = ?",
        "hints": "notices WHERE kind = 'hint' AND subject = ?",
        "runs": "runs WHERE person = ?",
        # These have no index by person. The comparison makes SQLite go through the one by time.
        "payments": "payments WHERE at > 0 AND person = ?",
        "bans": "bans WHERE banned = 'person' AND id = ?",
        "decisions": "audit WHERE person = ?",
    }
    counts = {name: rows(f"SELECT count(*) FROM {source}", owner)[0][0] for name, source in sources.items()}  # noqa: S608  constant
    return KeptAbout(**counts)


def forget(database: sqlite3.Connection, owner: str) -> None:
    """See `app.core.journal_port.PersonRecords.forget_person`."""
    execute = database.execute
    execute("DELETE FROM preferences WHERE owner = ?", (owner,))
    execute("DELETE FROM drafts WHERE person = ?", (owner,))
    execute("DELETE FROM notices WHERE kind = 'hint' AND subject = ?", (owner,))
    execute("DELETE FROM served WHERE kind = ? AND name = ?", (served.PERSON, owner))
    # Outside of a Discord server, the channel is the person's own.
    execute("UPDATE runs SET person = '', job = '', channel = iif(guild = '', '', channel) WHERE person = ?", (owner,))
    # See `kept_about` for the comparison. The id of a job is in the buttons of its message.
    execute("UPDATE payments SET person = '', job = 'forgotten ' || rowid WHERE at > 0 AND person = ?", (owner,))
