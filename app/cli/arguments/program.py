"""The program, and how a record becomes one of its commands."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cyclopts import App, Group, Parameter

from app import __version__
from app.cli.arguments.values import ARGUMENTS, GENERAL
from app.cli.output.help import HelpFormatter

COMPLETED = "atelier"
"""The name of the program once it is installed, and the one by which a shell completes its command lines."""

PROGRAM = COMPLETED if Path(sys.argv[0]).stem == COMPLETED else "python -m app"
"""How people start the program: as they did just now."""

T = TypeVar("T")

app = App(
    PROGRAM,
    help="Make pictures and videos with ComfyUI.",
    version=f"{COMPLETED} {__version__}",
    help_format="plaintext",
    help_formatter=HelpFormatter(),
    default_parameter=Parameter(
        negative="", allow_repeating=True, json_list=False, show_default=lambda default: default or None
    ),
    group_commands=Group("Commands", sort_key=0),
    group_arguments=ARGUMENTS,
    group_parameters=Group("Options", sort_key=2),
    exit_on_error=False,
    print_error=False,
    result_action="return_value",
)
app["--help"].group = app["--version"].group = GENERAL
ORDER = itertools.count()
"""The places of commands in --help."""


def command_group(name: str, explanation: str) -> App:
    """A command that has commands of its own."""
    return app.command(App(name, help=explanation, sort_key=next(ORDER)))


def command(usage: str, *examples: str, group: App = app, also: str = "") -> Callable[[type[T]], type[T]]:
    """Make a record a command, `also` by another name. Its docstring is the help, its fields are what it takes."""
    prefix = " ".join((PROGRAM, *(() if group is app else group.name)))
    epilogue = "\n".join(("Examples:", *(f"  {PROGRAM} {example}" for example in examples)))

    def register(record: type[T]) -> type[T]:
        name = [usage.split()[0], *filter(None, [also])]
        group.command(
            record, name=name, sort_key=next(ORDER), usage=f"{prefix} {usage} [OPTIONS]", help_epilogue=epilogue
        )
        return record

    return register
