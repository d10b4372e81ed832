"""What a person has filled in and not yet asked for: kept for a while, so that nothing is typed twice."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

MOST_DRAFTS = 10
"""Drafts of one person; the oldest ones are dropped."""

LIFETIME = 12 * 3600.0
"""Seconds after its last change for which a draft is kept. The addresses of files that people send to Discord are valid
for a day."""


class StoredDraft(Struct, frozen=True):
    """A draft of a person; `content` is for whoever wrote it."""

    id: str
    person: str
    content: bytes


class DraftRecords(Protocol):
    """The part of the journal that keeps drafts. Every method may raise `JournalUnavailable`."""

    async def keep_draft(self, draft: StoredDraft) -> None:
        """Keep a draft, in place of the former one with its id; drop the oldest of the person beyond `MOST_DRAFTS`.

        Drafts that are older than `LIFETIME` are dropped as well, whoever wrote them.
        """
        ...

    async def draft(self, draft_id: str) -> StoredDraft | None:
        """A draft; None if there is none, or if it is older than `LIFETIME`."""
        ...

    async def drop_draft(self, draft_id: str) -> None:
        """Delete a draft, if there is one."""
        ...
