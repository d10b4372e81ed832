"""What the lists of jobs say. Names and values that come in are already escaped for Discord."""

from __future__ import annotations

JOBS = "Your jobs"
QUEUE = "Queue"
RUNNING = "Being made"
WAITING = "Waiting"
"""Headings."""

OLDER = "Older"
NEWER = "Newer"
REFRESH = "Refresh"
CANCEL = "Cancel"
"""Labels of buttons."""

ALL = "All jobs"
UNFINISHED = "In progress"
FINISHED = "Finished"
FAILED = "Failed"
CANCELLED = "Cancelled"
"""What a list of jobs can be limited to."""

SHOW = "Show: all jobs"
"""What the list asks in which that is chosen."""

NO_JOBS = "You have not made anything yet."
NO_SUCH_JOBS = "You have no such jobs."
END = "You have no older jobs."
EMPTY_QUEUE = "Nothing is being made, and nothing is waiting."
PRIVATE = "A private request"
MESSAGE = "Open"
"""The text of a link to a message."""


def try_examples(help_command: str) -> str:
    """What to do for a first picture."""
    return f"{help_command} has examples to press."


def state_line(state: str, when: str, made_with: str, link: str) -> str:
    """What became of a job; `when` is a Discord timestamp, `made_with` and `link` are "" if there is none."""
    return " · ".join(filter(None, [state, when, made_with, link]))


def counts(running: int, waiting: int) -> str:
    """How many requests there are."""
    return f"{running} being made · {waiting} waiting"


def pictures(count: int) -> str:
    """How many pictures a request is."""
    return f"{count} pictures"


def place(number: int) -> str:
    """A place in line, counted from 1."""
    return f"`{number}`"


def on_server(server: str) -> str:
    """Where something is made."""
    return f"on {server}"


def done(when: str) -> str:
    """The expected end, as a Discord timestamp."""
    return f"done {when}"


def starts(when: str) -> str:
    """The expected start, as a Discord timestamp."""
    return f"starts {when}"


def further(count: int) -> str:
    """How many requests wait that are not shown."""
    return f"… and {count} more"
