"""Runs the command line as a process."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from rich.console import Console

from app.cli.parser import parse
from app.system import signals
from app.system.standard_streams import finish, lose


class _Console(Console):
    """A console that raises `BrokenPipeError` when nobody reads any more; rich itself would end the process."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def start(argv: Sequence[str]) -> int:
    """Run a command as this process; return the exit code once all output is written."""
    try:
        code = main(argv)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except OSError as error:
        code = lose(error)
    code = finish(code)
    signals.ignore()
    return code


def main(argv: Sequence[str]) -> int:
    """Run the command; return the exit code. Errors are reported in one sentence on stderr.

    Raises `SystemExit` for a wrong command line and after --help, and `OSError` if that cannot be shown.
    """
    console = _Console()
    invocation = parse(argv, console)
    # Imported only here: this takes longer than everything that --help needs.
    from app.cli.execute import execute

    return execute(invocation, console)
