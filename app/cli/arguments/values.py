"""The kinds of values that arguments and options take: how each is read, and what completes it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from cyclopts import Group, Parameter, Token

TaskName: TypeAlias = Literal["imagine", "edit", "upscale", "animate", "film", "describe", "sound", "sculpt"]
"""`app.workflows.task.TASKS`, which --help needs without the rest of that package."""


def _whole_number(low: int, high: int) -> Parameter:
    def convert(_: object, tokens: Sequence[Token]) -> int:
        text = tokens[0].value
        if not text.isdecimal() or len(text) > 18 or not low <= int(text) <= high:
            raise ValueError(f"“{text}” is not a whole number between {low} and {high}")
        return int(text)

    return Parameter(converter=convert)


def _seconds(_: object, tokens: Sequence[Token]) -> float:
    text = tokens[0].value
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"“{text}” is not a number of seconds")
    return seconds


def _discord_id(_: object, tokens: Sequence[Token]) -> int:
    text = tokens[0].value
    if not (text.isascii() and text.isdecimal() and 17 <= len(text) <= 19):
        raise ValueError(f"“{text}” is not an id of Discord, such as 123456789012345678")
    return int(text)


def _workflow_names(_: object) -> Sequence[str]:
    # Imported only here: this runs when somebody presses Tab, and --help needs neither.
    from app.config.load import load_config
    from app.workflows.files import list_names

    return list_names(load_config(os.environ, Path.cwd()).workflow_folders)


def _server_names(_: object) -> Sequence[str]:
    # Imported only here, as above.
    from app.config.load import load_config

    return [server.label for server in load_config(os.environ, Path.cwd()).servers]


ARGUMENTS = Group("Arguments", sort_key=1)
GENERAL = Group("General options", sort_key=3)


def argument(name: str, explanation: str) -> Parameter:
    """A positional argument: the empty name keeps it from being an option, too."""
    return Parameter(name="", metavar=name, group=ARGUMENTS, help=explanation)


Count: TypeAlias = Annotated[int, _whole_number(1, 1000), Parameter(metavar="N")]
PORT = _whole_number(0, 65535)
Port: TypeAlias = Annotated[int, PORT, Parameter(metavar="N")]
DiscordId: TypeAlias = Annotated[int, Parameter(converter=_discord_id)]
Seconds: TypeAlias = Annotated[float, Parameter(converter=_seconds, metavar="S")]
WorkflowName: TypeAlias = Annotated[str, Parameter(completer=_workflow_names)]
ServerLabel: TypeAlias = Annotated[
    str, Parameter(name="", metavar="NAME", group=ARGUMENTS, help="A server's name", completer=_server_names)
]
JobPrefix: TypeAlias = Annotated[str, argument("ID", "A job's id, or its first characters")]
JobState: TypeAlias = Literal[
    "accepted", "submitting", "queued", "running", "finished", "delivered", "failed", "cancelled", "lost"
]
Json: TypeAlias = Annotated[bool, Parameter(help="Print one JSON object per line")]
