"""Why a server could not be started or stopped, as data."""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason
from app.reasons.jobs import InternalError


class CommandNotRun(Reason, frozen=True):
    """The program of a command cannot be run; `message` is the system's."""

    program: str
    message: str


class CommandFailed(Reason, frozen=True):
    """A command ended with this exit code; `output` is the last line that it wrote, "" if it wrote none."""

    program: str
    code: int
    output: str = ""


class CommandTooLong(Reason, frozen=True):
    """A command had not ended after so many seconds, and was killed."""

    program: str
    seconds: float


class NotAnswering(Reason, frozen=True):
    """A server that was started does not answer after so many seconds."""

    seconds: float


class StillAnswering(Reason, frozen=True):
    """A server that was stopped still answers after so many seconds."""

    seconds: float


CommandReason: TypeAlias = CommandNotRun | CommandFailed | CommandTooLong | InternalError
"""Why a command did not do what it should."""

PowerReason: TypeAlias = CommandReason | NotAnswering | StillAnswering
