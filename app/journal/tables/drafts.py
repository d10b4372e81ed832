"""The table of drafts: what people began to ask for and have not sent."""

from __future__ import annotations

import sqlite3

from app.core.drafts import LIFETIME, MOST_DRAFTS, StoredDraft
from app.journal.tables.rows import ReadRows


def keep(database: sqlite3.Connection, draft: StoredDraft, now: float) -> None:
    """Keep a draft, and delete those that are too old and those of its person that are too many."""
    execute = database.execute
    row = (draft.id, draft.person, now, draft.content)
    execute("INSERT OR REPLACE INTO drafts (id, person, changed, content) VALUES (?, ?, ?, ?)", row)
    execute("DELETE FROM drafts WHERE changed < ?", (now - LIFETIME,))
    execute(
        "DELETE FROM drafts WHERE person = ? AND id NOT IN"
        " (SELECT id FROM drafts WHERE person = ? ORDER BY changed DESC LIMIT ?)",
        (draft.person, draft.person, MOST_DRAFTS),
    )


def find(rows: ReadRows, draft_id: str, now: float) -> StoredDraft | None:
    """A draft that is not too old; None if there is none."""
    kept = rows("SELECT person, content FROM drafts WHERE id = ? AND changed >= ?", draft_id, now - LIFETIME)
    return StoredDraft(draft_id, *kept[0]) if kept else None


def drop(database: sqlite3.Connection, draft_id: str) -> None:
    """Delete a draft."""
    database.execute("DELETE FROM drafts WHERE id = ?", (draft_id,))
