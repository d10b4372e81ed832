"""What is kept of drafts, and for how long."""

from __future__ import annotations

from pathlib import Path

from app.core.drafts import LIFETIME, MOST_DRAFTS, StoredDraft
from app.journal.opening import open_store

# pyright: reportPrivateUsage=false


def test_drafts_are_kept_for_a_while_and_a_person_has_only_a_few(tmp_path: Path) -> None:
    now = 1000.0
    with open_store(tmp_path / "j.db", clock=lambda: now, durable=False) as store:
        for number in range(MOST_DRAFTS + 2):
            now += 1
            store.keep_draft(StoredDraft(f"ada {number}", "ada", b"x"))
            store.keep_draft(StoredDraft(f"ben {number % 2}", "ben", b"y"))
        assert [store.draft(f"ada {number}") is not None for number in range(3)] == [False, False, True]
        assert store.draft("ben 0") == StoredDraft("ben 0", "ben", b"y")
        store.keep_draft(StoredDraft("ben 0", "ben", b"z"))
        assert store.draft("ben 0") == StoredDraft("ben 0", "ben", b"z")
        store.drop_draft("ben 0")
        assert store.draft("ben 0") is None
        store.forget_person("ben")
        assert store.draft("ben 1") is None
        now += LIFETIME + 1
        assert store.draft("ada 10") is None
        store.keep_draft(StoredDraft("new", "cy", b"x"))
        assert store._database.execute("SELECT id FROM drafts").fetchall() == [("new",)]
