"""Runs a command as a process: configuration, signals and errors; an exit code comes out.

What only some commands need is imported in their branches: clients, journal and renderers take a third of the time in
which `workflows list` is done.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import cast

import anyio
from rich.console import Console

from app.backup.errors import BackupError
from app.cli.arguments.commands import (
    AddWorker,
    BackupCommand,
    Check,
    Command,
    Demo,
    Generate,
    JournalCommand,
    ListWorkers,
    MakeBackup,
    OnServers,
    RestoreBackup,
    RevokeWorker,
    Run,
    RunFront,
    Setup,
    Simulate,
    Work,
    WorkersCommand,
    WorkflowsCommand,
)
from app.cli.parser import Invocation
from app.config.load import load_config
from app.config.settings import Config
from app.config.toml_table import ConfigError
from app.core.journal_port import JournalError
from app.system import logging, signals
from app.system.standard_streams import complain, lose
from app.texts.reasons.text import reason_text
from app.workflows.model import WorkflowError

OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG, errno.EBADF})
"""Errno values that, in an error without a file name, mean that stdout cannot be written."""


def execute(invocation: Invocation, console: Console) -> int:
    """Run the command; return the exit code. Errors are reported in one sentence on stderr."""
    command, backend, debug = invocation
    logging.configure(debug=debug)
    try:
        if isinstance(command, Setup):
            from app.cli.setup import set_up, this_terminal

            # Before the configuration is loaded: it may be missing, or wrong.
            return set_up(command, console, os.environ, Path.cwd(), backend, this_terminal())
        servers = command.server if isinstance(command, OnServers) else ()
        if isinstance(command, Work):
            config = load_config(os.environ, Path.cwd(), servers=servers, engine=command.engine, worker=command.name)
        elif isinstance(command, RunFront | WorkersCommand):
            config = load_config(os.environ, Path.cwd(), engine=command.engine)
        else:
            config = load_config(os.environ, Path.cwd(), servers=servers)
        logging.configure(debug=debug, json=config.log.format == "json", is_service=_is_service(command))
        if isinstance(command, JournalCommand):
            from app.cli.journal import execute as journal

            return journal.execute(command, config, console, backend)
        return anyio.run(_until_stopped, partial(_run_command, command, config, console), backend=backend)
    except BrokenPipeError as error:
        return lose(error)
    except (ConfigError, WorkflowError, OSError) as error:
        if debug:
            raise
        if isinstance(error, OSError) and error.filename is None and error.errno in OUTPUT_ERRORS:
            return lose(error)
        complain(reason_text(error.reason) if isinstance(error, WorkflowError) else str(error))
        return 2
    except BackupError as error:
        complain(str(error))
        return 1
    except (JournalError, ExceptionGroup) as error:
        # From the registry's task group it comes as a group.
        if debug or (reason := _journal_error(error)) is None:
            raise
        complain(str(reason))
        return 1


def _is_service(command: Command) -> bool:
    return isinstance(command, Run | Work) or (isinstance(command, RunFront) and not command.status)


async def _until_stopped(command: Callable[[], Awaitable[int]]) -> int:
    """Run a command until it ends or a signal stops it; return the exit code. Its exceptions are raised unwrapped."""
    stopped: int | None = None
    code = 0
    failure: BaseException | None = None
    with signals.listen() as receiver:
        async with anyio.create_task_group() as tasks:

            async def stop() -> None:
                nonlocal stopped
                async for signum in receiver:
                    if signals.stops(signum):
                        stopped = stopped or signum
                        tasks.cancel_scope.cancel()

            tasks.start_soon(stop, name="signals")
            try:
                code = await command()
            except (Exception, SystemExit) as error:  # noqa: BLE001  raised again below
                # Raised in here, the task group would wrap it.
                failure = error
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return code if stopped is None else receiver.exit_code(stopped)


def _journal_error(error: BaseException) -> JournalError | None:
    if isinstance(error, BaseExceptionGroup):
        errors = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return next(filter(None, map(_journal_error, errors)), None)
    return error if isinstance(error, JournalError) else None


async def _run_command(
    command: (
        Run | RunFront | Demo | Generate | Simulate | Work | Check | BackupCommand | WorkersCommand | WorkflowsCommand
    ),
    config: Config,
    console: Console,
) -> int:
    match command:
        case Run():
            from app.cli.run import run_bot

            return await run_bot(config, drain=command.drain)
        case RunFront():
            from app.cli.front import run_front

            return await run_front(command, config, console)
        case Demo():
            from app.cli.demo.command import demo

            return await demo(config, command.out, console, command.page)
        case Generate():
            from app.cli.generate.command import generate

            return await generate(command, config, console)
        case Simulate():
            from app.cli.simulate import simulate

            return await simulate(command)
        case Work():
            from app.cli.work import work

            return await work(config)
        case MakeBackup() | RestoreBackup():
            from app.cli.backups import back_up_or_restore

            return await back_up_or_restore(command, config, console)
        case ListWorkers() | AddWorker() | RevokeWorker():
            from app.cli.workers import execute as workers

            return await workers.execute(command, config, console)
        case Check():
            from app.cli.check import execute as check

            return await check.execute(command, config, console)
        case _:
            from app.cli.workflows import execute as workflows

            return await workflows.execute(command, config, console)
