"""The state of each job, as the terminal shows it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import assert_never

import msgspec
from msgspec import Struct

from app.events import (
    AnyUpdate,
    Arrived,
    Cancelled,
    Edited,
    Failed,
    Finished,
    JobId,
    Lost,
    NotAccepted,
    Previewed,
    Progressed,
    Queued,
    Started,
    TerminalUpdate,
)
from app.ports import Json
from app.reasons import Reason
from app.reasons.jobs import JobReason, PictureMissed, ResultsMissing, ResultUnwritable, TooManyResults, kind_of
from app.reasons.servers import ResultGone, ResultTooLarge
from app.texts.reasons.text import reason_text

UNITS = (("s", 1, 90), ("min", 60, 90), ("h", 3600, float("inf")))
"""Short names of units, their seconds, and how many of them are written in the next unit."""


class Row(Struct):
    """One job's line. `starts_at` is when it is expected to start, in seconds of `clock`; None if that is unknown."""

    job: JobId
    owner: str
    workflow: str
    position: int | None = None
    note: JobReason | None = None
    progress: Progressed | None = None
    started: bool = False
    terminal_update: TerminalUpdate | None = None
    starts_at: float | None = None
    clock: Callable[[], float] = time.monotonic
    """Not the event loop's clock: the live table is drawn in another thread."""

    def handle(self, update: AnyUpdate) -> bool:
        """Apply an update; return whether it is a milestone, worth a line of its own."""
        match update:
            case Queued():
                milestone = self.position is None or update.note != self.note
                self.position, self.note = update.position, update.note
                self.starts_at = None if update.starts_in is None else self.clock() + update.starts_in
                self.started, self.progress = False, None
                return milestone
            case Started():
                self.started, self.note = True, None
                return True
            case Progressed():
                self.progress, self.note = update, update.note
                return update.note is not None
            case Previewed() | Edited() | Arrived():
                return False
            case Finished() | Failed() | Cancelled() | Lost():
                self.terminal_update = update
                return True
            case NotAccepted(reason=reason):
                self.terminal_update = Failed(job=update.job, reason=text_of(reason))
                return True
            case _:
                assert_never(update)


class Tally(Struct, frozen=True):
    """How many jobs ended how. `incomplete` of the finished ones lack a result."""

    jobs: int
    finished: int
    failed: int
    cancelled: int
    lost: int
    incomplete: int = 0

    @property
    def code(self) -> int:
        """The exit code: 0 if all finished with all of their results, else 1."""
        return 0 if self.finished == self.jobs and not self.incomplete else 1

    def __str__(self) -> str:
        parts = {
            "finished": self.finished,
            "incomplete": self.incomplete,
            "failed": self.failed,
            "cancelled": self.cancelled,
            "lost": self.lost,
        }
        parts_text = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
        return f"{self.jobs} jobs: {parts_text or 'none ended'}" if self.jobs != 1 else f"1 job: {parts_text}"


def tally(rows: Sequence[Row]) -> Tally:
    """Count the jobs; one without a final update counts as cancelled, because nothing follows it any more."""
    updates = [row.terminal_update for row in rows]
    counts = {kind: sum(isinstance(update, kind) for update in updates) for kind in (Finished, Failed, Lost)}
    cancelled = len(rows) - sum(counts.values())
    incomplete = sum(isinstance(update, Finished) and _lacks_a_result(update) for update in updates)
    return Tally(len(rows), counts[Finished], counts[Failed], cancelled, counts[Lost], incomplete)


def _lacks_a_result(finished: Finished) -> bool:
    lacking = (ResultUnwritable, ResultsMissing, ResultGone, ResultTooLarge, TooManyResults, PictureMissed)
    return any(isinstance(note, lacking) for note in finished.notes)


def sentence(row: Row) -> str:
    """The final update, or the current state, as plain text."""
    match row.terminal_update:
        case Finished(files=files, texts=texts, notes=notes):
            made = ", ".join([*files, *texts])
            return " ".join([f"finished: {made}" if made else "finished.", *map(text_of, notes)])
        case Failed(reason=reason, files=files):
            kept = f" These files are kept: {', '.join(files)}" if files else ""
            return f"failed: {text_of(reason)}{kept}"
        case Lost(reason=reason):
            return f"lost: {text_of(reason)}"
        case Cancelled(reason=reason):
            return f"cancelled: {text_of(reason)}" if reason else "cancelled"
        case None if row.started:
            return text_of(row.note) or "started"
        case None:
            return f"queued, {place_text(row)}" + (f". {text_of(row.note)}" if row.note else "")


def place_text(row: Row) -> str:
    """The place of a waiting job, and when it is expected to start: "3 ahead, starts in 2 min"."""
    return ", ".join(filter(None, [f"{row.position or 0} ahead", start_text(row)]))


def start_text(row: Row) -> str:
    """When a waiting job is expected to start: "starts in 2 min"; "" if that is unknown or the time has passed."""
    starts_at = row.starts_at
    seconds = 0 if starts_at is None else math.ceil(starts_at - row.clock())
    if seconds <= 0:
        return ""
    length = next(f"{count} {unit}" for unit, each, most in UNITS if (count := round(seconds / each)) < most)
    return f"starts in {length}"


def text_of(reason: Reason | str | None) -> str:
    """The sentence for the operator; "" for none."""
    return reason_text(reason, operator=True) if reason is not None else ""


def json_fields(update: AnyUpdate) -> dict[str, Json]:
    """The fields of an update for JSON: reasons and notes as sentences, and `reason_kind`, the kind of the reason."""
    fields: dict[str, Json] = msgspec.to_builtins(update, builtin_types=(bytes,))
    match update:
        case Queued(note=note) | Progressed(note=note):
            fields["note"] = text_of(note)
        case Finished(notes=notes):
            fields["notes"] = [text_of(note) for note in notes]
        case Failed(reason=reason) | Cancelled(reason=reason) | Lost(reason=reason):
            fields["reason"] = text_of(reason)
            fields["reason_kind"] = "" if isinstance(reason, str) else kind_of(reason)
        case NotAccepted(reason=reason):
            fields["reason"], fields["reason_kind"] = text_of(reason), kind_of(reason)
        case Started() | Previewed() | Edited() | Arrived():
            pass
        case _:
            assert_never(update)
    return fields
