"""The custom id of a button: a verb and the job it is about. It holds nothing else, so that it never expires."""

from __future__ import annotations

from msgspec import Struct

from app.events import JobId

LONGEST = 100
"""Characters in a custom id (Discord's limit)."""


TRY_AGAIN = "resubmit"
"""The verb of the button below a refusal: ask once more for what was over a limit, under the id of that request."""


ADJUST = "adjust"
"""The verb of the button that opens the card of all settings of a job."""

NOTIFY = "notify"
"""The verb of the buttons by which people choose how they are notified: `workflow` is the way, and `job` is "me"."""


class Press(Struct, frozen=True):
    """A parsed custom id: `verb` is what to do, `workflow` the follow-up's workflow, `job` the job it is about.

    `number` tells several follow-ups into one workflow apart, counted from 1 in the order of the manifest. `result` is
    the result that it is about, counted from 1; 0 if the button is about all. For the verb "delete", `workflow` is the
    id of the message to delete; "" is the one with the button. A button of no job has another word in its place.
    """

    verb: str
    job: JobId
    workflow: str = ""
    number: int = 1
    result: int = 0


def write(verb: str, job: str, workflow: str = "", number: int = 1, result: int = 0) -> str:
    """The custom id of a button or a form. Raises `ValueError` if it gets too long."""
    action = f"{verb}{f'-{number}' if number > 1 else ''}{f'+{result}' if result else ''}"
    written = f"{action}{'.' if workflow else ''}{workflow}:{job}"
    if len(written) > LONGEST:
        raise ValueError(f"“{written}” is longer than {LONGEST} characters")
    return written


def read(custom_id: str) -> Press | None:
    """Parse a custom id; None if it is not one of this bot's."""
    # A workflow may have colons and dots in its name (it is a file name); job ids and verbs have neither.
    left, _, job = custom_id.rpartition(":")
    action, _, workflow = left.partition(".")
    verb_and_number, _, result = action.partition("+")
    verb, _, number = verb_and_number.partition("-")
    if len(custom_id) > LONGEST or not verb or not job or action != _action(verb, number, result):
        return None
    return Press(verb, JobId(job), workflow, int(number or 1), int(result or 0))


def _action(verb: str, number: str, result: str) -> str:
    """What precedes the workflow in a custom id, if both numbers are numbers; else ""."""
    numbers = [text for text in (number, result) if text]
    if not all(text.isascii() and text.isdecimal() for text in numbers):
        return ""
    return f"{verb}{'-' if number else ''}{number}{'+' if result else ''}{result}"
