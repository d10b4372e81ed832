"""What a button remembers: a verb, and the job it is about. Nothing else, so that it works for ever."""

from __future__ import annotations

from msgspec import Struct

from app.events import JobId

LONGEST = 100
"""Characters that Discord keeps for us."""


class Press(Struct, frozen=True):
    """`verb` is what to do, `workflow` which follow-up it starts, `job` what it is about."""

    verb: str
    job: JobId
    workflow: str = ""


def write(verb: str, job: str, workflow: str = "") -> str:
    """The id of a button or a form. Raises `ValueError` if it gets too long."""
    written = f"{verb}{'.' if workflow else ''}{workflow}:{job}"
    if len(written) > LONGEST:
        raise ValueError(f"“{written}” is longer than {LONGEST} characters")
    return written


def read(custom_id: str) -> Press | None:
    """What was pressed; None if it is none of ours."""
    left, colon, job = custom_id.partition(":")
    verb, _, workflow = left.partition(".")
    return Press(verb, JobId(job), workflow) if colon and verb and job else None
