"""Reasons that hold a finished sentence, or another reason and the place where it applies."""

from __future__ import annotations

from typing import TypeAlias

from app.events import ServerName
from app.reasons import Reason


class PlainText(Reason, frozen=True):
    """A finished sentence about the syntax of a text file, from `app.text_file`, which has no reasons."""

    text: str


class InFile(Reason, frozen=True):
    """Something is wrong in a file; `line` counts from 1, 0 is the whole file."""

    file: str
    problem: Reason
    line: int = 0


class InPreset(Reason, frozen=True):
    """A preset has a value that its slot refuses."""

    preset: str
    problem: Reason


class RunsOnNoServer(Reason, frozen=True):
    """No server can run the workflow; `errors` are pairs of a server and what it lacks first."""

    workflow: str
    errors: tuple[tuple[ServerName, Reason], ...]


WrappedReason: TypeAlias = PlainText | InFile | InPreset | RunsOnNoServer
