"""Parses a command line into the record of its command, or says in one sentence what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    Token,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from app.cli.arguments.commands import Command
from app.cli.arguments.program import PROGRAM, app
from app.cli.arguments.values import GENERAL
from app.system.standard_streams import complain

if TYPE_CHECKING:
    from rich.console import Console

TAKE_VALUES = frozenset({"--engine", "--limit", "--preset", "--server", "--set", "--state"})
"""The options of `jobs`, `workers` and `workflows` that are followed by a value."""

VERBS = frozenset({"--stuck"})
"""Verbs that are written like options."""


class Invocation(NamedTuple):
    """A parsed command line: the command, and the options that every command has."""

    command: Command
    backend: Literal["trio", "asyncio"]
    debug: bool


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    backend: Annotated[Literal["trio", "asyncio"], Parameter(group=GENERAL, help="Event loop")] = "trio",
    debug: Annotated[bool, Parameter(group=GENERAL, help="Show logs and tracebacks")] = False,
) -> Invocation | None:
    command: Command | None = app(_with_port(_verb_first(tokens)))
    return Invocation(command, backend, debug) if command else None


def _verb_first(tokens: Sequence[str]) -> Sequence[str]:
    """Add a missing `run`, and move a verb that follows options (`jobs --json show ID`) directly behind its command."""
    if not tokens or tokens[0].startswith("-"):
        return "run", *tokens
    command, *arguments = tokens
    if command in ("jobs", "workers", "workflows"):
        for index, token in enumerate(arguments):
            is_verb = not token.startswith("-") or token in VERBS
            if is_verb and not (index and arguments[index - 1] in TAKE_VALUES):
                return command, token, *arguments[:index], *arguments[index + 1 :]
    return tokens


def _with_port(tokens: Sequence[str]) -> Sequence[str]:
    """Add the port, any free one, if `demo --page` names none."""
    if tokens[0] != "demo" or "--page" not in tokens:
        return tokens
    after = tokens.index("--page") + 1
    has_port = after < len(tokens) and not tokens[after].startswith("-")
    return tokens if has_port else (*tokens[:after], "0", *tokens[after:])


def parse(argv: Sequence[str], console: Console) -> Invocation:
    """Parse a command line. Raises `SystemExit`: 2 for an error, 0 after --help, --version and `completion`."""
    try:
        invocation: Invocation | None = app.meta(list(argv), console=console)
    except CycloptsError as error:
        complain(_sentence(error))
        raise SystemExit(2) from None
    if invocation is None:
        raise SystemExit(0)
    return invocation


def _sentence(error: CycloptsError) -> str:
    """What is wrong with the command line, for the person who wrote it."""
    command = " ".join(error.command_chain or ())
    usage = f"see {' '.join((PROGRAM, *(error.command_chain or ())))} --help."
    argument = error.argument
    label = argument.name or argument.parameter.metavar if argument else ""
    match error:
        case UnknownOptionError(token=token):
            option = (token.keyword or token.value).partition("=")[0]
            names = [name for known in error.argument_collection for name in known.names if name]
            hint = _similar(option, [*names, "--backend", "--debug"]) or usage
            return f"there is no option “{option}”; {hint}"
        case UnknownCommandError(unused_tokens=[word, *_]) | UnusedCliTokensError(unused_tokens=[word, *_]):
            names = [name for name in error.app or () if not name.startswith("-")]
            if not names:
                return f"“{word}” is one argument too many; {usage}"
            hint = _similar(word, names) or f"choose {', '.join(names)}."
            return f"there is no command “{f'{command} {word}'.lstrip()}”; {hint}"
        case MissingArgumentError():
            needs = f"{label} needs a value" if argument and argument.name else f"{command} needs {label}"
            return f"{needs}; {usage}"
        case CoercionError(msg=str(problem)):
            return f"{label}: {problem}; {usage}"
        case CoercionError(token=Token(value=value)):
            choices = argument.get_choices() if argument else None
            hint = _similar(value, choices) or f"choose {', '.join(choices)}." if choices else usage
            return f"{label} cannot be “{value}”; {hint}"
        case _:
            return f"{str(error).rstrip('.')}; {usage}"


def _similar(text: str, names: Sequence[str]) -> str:
    similar = difflib.get_close_matches(text, names, n=1)
    return f"did you mean “{similar[0]}”?" if similar else ""
