"""The state of each job, as the terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from msgspec import Struct

from app.events import (
    AnyUpdate,
    Cancelled,
    Failed,
    Finished,
    JobId,
    Lost,
    Previewed,
    Progressed,
    Queued,
    Started,
    TerminalUpdate,
)


class Row(Struct):
    """One job's line."""

    job: JobId
    owner: str
    workflow: str
    position: int | None = None
    note: str = ""
    progress: Progressed | None = None
    started: bool = False
    terminal_update: TerminalUpdate | None = None

    def handle(self, update: AnyUpdate) -> bool:
        """Apply an update; return whether it is a milestone, worth a line of its own."""
        match update:
            case Queued():
                milestone = self.position is None or update.note != self.note
                self.position, self.note = update.position, update.note
                self.started, self.progress = False, None
                return milestone
            case Started():
                self.started, self.note = True, ""
                return True
            case Progressed():
                self.progress, self.note = update, update.note
                return bool(update.note)
            case Previewed():
                return False
            case Finished() | Failed() | Cancelled() | Lost():
                self.terminal_update = update
                return True
            case _:
                assert_never(update)


class Tally(Struct, frozen=True):
    """How many jobs ended how."""

    jobs: int
    finished: int
    failed: int
    cancelled: int
    lost: int

    @property
    def code(self) -> int:
        """The exit code: 0 if all finished, else 1."""
        return 0 if self.finished == self.jobs else 1

    def __str__(self) -> str:
        parts = {
            "finished": self.finished,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "lost": self.lost,
        }
        told = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
        return f"{self.jobs} jobs: {told or 'none ended'}" if self.jobs != 1 else f"1 job: {told}"


def tally(rows: Sequence[Row]) -> Tally:
    """Count the jobs; one without a final update counts as cancelled, because nothing follows it any more."""
    words = [row.terminal_update for row in rows]
    counts = {kind: sum(isinstance(word, kind) for word in words) for kind in (Finished, Failed, Lost)}
    left = len(rows) - sum(counts.values())
    return Tally(len(rows), counts[Finished], counts[Failed], left, counts[Lost])


def sentence(row: Row) -> str:
    """The final update, or the current state, as plain text."""
    match row.terminal_update:
        case Finished(files=files, texts=texts, notes=notes):
            made = ", ".join([*files, *texts])
            return " ".join([f"finished: {made}" if made else "finished.", *notes])
        case Failed(reason=reason):
            return f"failed: {reason}"
        case Lost(reason=reason):
            return f"lost: {reason}"
        case Cancelled(reason=reason):
            return f"cancelled: {reason}" if reason else "cancelled"
        case None if row.started:
            return row.note or "started"
        case None:
            return f"queued, {row.position or 0} ahead" + (f" ({row.note})" if row.note else "")
