"""A request of the queue as people see it on the page: in full, as its own person, or without what it is about."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from app.core.scheduling.line.ahead import Ahead
from app.events import JobId, Progressed
from app.reasons.jobs import JobReason

Kind: TypeAlias = Literal["full", "own", "hidden"]
"""Who looks: somebody who may read the place of the request, its own person, or anybody else."""

LONGEST_PROMPT = 300
"""Characters of a prompt: it is cut on the page after a few lines."""

STEADY, STEADY_SHARE = 5.0, 0.1
"""Seconds, and the share of the time until then, by which an expected time may move before it is shown anew."""


class QueueRow(Struct, frozen=True, kw_only=True):
    """One request, as one kind of person may see it.

    `key` identifies the row, and says nothing about the job. `place` is its place in line, from 1, 0 once it runs.
    `expected` is when it starts or ends, in seconds since 1970, None if that is not known. `server` is the public name
    of the server that has it, "" if none has.

    If it is `hidden`, this is all. Otherwise `person` is the name of its `owner`, "" if it is not known, `title` is
    that of its workflow, `ready` of its `pictures` have arrived, and `note` and `ahead` are why it waits.
    """

    key: str
    place: int
    server: str = ""
    expected: int | None = None
    hidden: bool = True
    own: bool = False
    job: JobId = JobId("")
    owner: str = ""
    person: str = ""
    title: str = ""
    prompt: str = ""
    pictures: int = 1
    ready: int = 0
    note: JobReason | None = None
    ahead: Ahead | None = None


class RowProgress(Struct, frozen=True, kw_only=True):
    """How far a request is that runs: `fraction` is 0 to 1, and it is at `step` of `steps`, 0 of 0 if it has none.

    `preview` is the version of its preview, 0 if there is none.
    """

    key: str
    fraction: float = 0.0
    step: int = 0
    steps: int = 0
    preview: int = 0


def hidden(row: QueueRow) -> QueueRow:
    """What everybody may see of a request."""
    return QueueRow(key=row.key, place=row.place, server=row.server, expected=row.expected)


def own(row: QueueRow) -> QueueRow:
    """What its own person sees of a request."""
    return replace(row, own=True)


def short_prompt(prompt: object) -> str:
    """A prompt on one line, shortened; "" if there is none."""
    line = " ".join(prompt[: 4 * LONGEST_PROMPT].split()) if isinstance(prompt, str) else ""
    return line if len(line) <= LONGEST_PROMPT else f"{line[: LONGEST_PROMPT - 1]}…"


def steady(shown: int | None, seconds: float | None, now: float) -> int | None:
    """When something is expected that happens in so many seconds: what is `shown` already, if it is about the same."""
    if seconds is None:
        return None
    expected = round(now + seconds)
    if shown is not None and abs(shown - expected) <= max(STEADY, STEADY_SHARE * seconds):
        return shown
    return expected


def progress_of(key: str, progress: Progressed | None, preview: int) -> RowProgress:
    """The progress of a row, as exactly as a bar can show it."""
    if progress is None:
        return RowProgress(key=key, preview=preview)
    return RowProgress(
        key=key, fraction=round(progress.fraction, 2), step=progress.step, steps=progress.steps, preview=preview
    )
