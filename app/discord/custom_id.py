"""What a button remembers: a verb, and the job it is about. Nothing else, so that it works for ever."""

from __future__ import annotations

from msgspec import Struct

from app.events import JobId

LONGEST = 100
"""Characters that Discord keeps for us."""


class Press(Struct, frozen=True):
    """`verb` is what to do, `workflow` which follow-up it starts, `job` what it is about.

    `number` tells several ways into one workflow apart, from 1, in the order of the manifest.
    """

    verb: str
    job: JobId
    workflow: str = ""
    number: int = 1


def write(verb: str, job: str, workflow: str = "", number: int = 1) -> str:
    """The id of a button or a form. Raises `ValueError` if it gets too long."""
    written = f"{verb}{f'-{number}' if number > 1 else ''}{'.' if workflow else ''}{workflow}:{job}"
    if len(written) > LONGEST:
        raise ValueError(f"“{written}” is longer than {LONGEST} characters")
    return written


def read(custom_id: str) -> Press | None:
    """What was pressed; None if it is none of ours."""
    # A file may have colons and dots in its name, and so may the workflow; jobs and verbs have none.
    left, _, job = custom_id.rpartition(":")
    told, _, workflow = left.partition(".")
    verb, dash, number = told.partition("-")
    if len(custom_id) > LONGEST or not verb or not job or (dash and not (number.isascii() and number.isdecimal())):
        return None
    return Press(verb, JobId(job), workflow, int(number) if dash else 1)
