"""What people filled into forms that came too late, for the next form."""

from __future__ import annotations

from collections.abc import Mapping

from app.events import JobId

MOST_DRAFTS = 256
"""Forms that are kept; older ones are dropped. Their people still have the text in the answer that they got."""


class Drafts:
    """Keeps the last form of each person about each job that could not be used, as long as the process lives."""

    def __init__(self) -> None:
        self._fields: dict[tuple[JobId, str], Mapping[str, str]] = {}

    def keep(self, job: JobId, person: str, fields: Mapping[str, str]) -> None:
        """Keep what a person filled in."""
        self._fields.pop((job, person), None)
        self._fields[job, person] = fields
        if len(self._fields) > MOST_DRAFTS:
            del self._fields[next(iter(self._fields))]

    def of(self, job: JobId, person: str) -> Mapping[str, str]:
        """What this person filled in last; empty if that is not known any more."""
        return self._fields.get((job, person), {})
