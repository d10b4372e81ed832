"""What each command does: arguments and configuration in, exit code out."""

from __future__ import annotations

import errno
import os
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import anyio
from rich.console import Console

from app import logging, signals
from app.application import Services, open_clients, run
from app.cli.check import check
from app.cli.generate import draw, refusals, rows_of
from app.cli.jobs import list_jobs, show_job
from app.cli.output.renderers import choose
from app.cli.parser import Arguments, parse
from app.cli.workflows.commands import open_filled
from app.cli.workflows.dispatch import workflows
from app.config import Config, ConfigError, load_config
from app.core.job import JobRequest
from app.core.journal_port import JournalError
from app.events import JobId
from app.journal.crash_points import crash_point
from app.journal.sqlite import JOURNAL, open_journal
from app.journal.store import open_store
from app.standard_streams import complain, finish, lose
from app.texts.reasons import reason_text
from app.workflows.bind import bind
from app.workflows.model import WorkflowError

OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG, errno.EBADF})
"""Errno values that, in an error without a file name, mean that stdout cannot be written."""


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
    arguments = parse(argv)
    logging.configure(debug=arguments.debug)
    try:
        config = load_config(os.environ, Path.cwd(), servers=arguments.server)
        if arguments.command == "jobs":
            return _jobs(arguments, config, _Console())
        return anyio.run(_until_stopped, partial(_command, arguments, config), backend=arguments.backend)
    except BrokenPipeError as error:
        return lose(error)
    except (ConfigError, WorkflowError, OSError) as error:
        if arguments.debug:
            raise
        if isinstance(error, OSError) and error.filename is None and error.errno in OUTPUT_ERRORS:
            return lose(error)
        complain(reason_text(error.reason) if isinstance(error, WorkflowError) else str(error))
        return 2
    except (JournalError, ExceptionGroup) as error:
        # From the registry's task group it comes as a group.
        if arguments.debug or (reason := _journal_error(error)) is None:
            raise
        complain(str(reason))
        return 1


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
        found = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return next(filter(None, map(_journal_error, found)), None)
    return error if isinstance(error, JournalError) else None


async def _command(arguments: Arguments, config: Config) -> int:
    console = _Console()
    match arguments.command:
        case "demo":
            from app.cli.demo import demo

            _writable(arguments.out)
            return await demo(config, arguments.out, console)
        case "generate":
            return await _generate(arguments, config, console)
        case "simulate":
            return await _simulate(arguments)
        case "workflows":
            values, sets = _told(arguments)
            async with open_clients(config) as clients:
                ways = {name: server_clients.comfy for name, server_clients in clients.items()}
                verb, told, folder = arguments.verb, arguments.workflow, config.workflows
                return await workflows(console, verb, told, folder, ways, values, sets, arguments.preset)
        case "check":
            async with open_clients(config) as clients:
                ways = {
                    name: (server_clients.comfy, server_clients.connect) for name, server_clients in clients.items()
                }
                return await check(console, config.source, config.workflows, ways)
        case _:
            return await _run(config, drain=arguments.drain)


async def _run(config: Config, *, drain: bool) -> int:
    if not config.discord_token:
        complain("no DISCORD_TOKEN is set; try “python -m app demo”, or “generate”.")
        return 2
    # Imported only here: hikari takes half a second, which no other command needs.
    from app.discord.app import DiscordApp

    async with open_journal(config.data / JOURNAL, crash=crash_point(os.environ)) as journal:
        door = DiscordApp(config, journal)

        async def frontend(services: Services) -> int:
            servers = {name: server_clients.comfy for name, server_clients in services.clients.items()}
            return await door.run(services.registry, servers, services.draining, services.shutdown)

        return await run(config, frontend, journal=journal, drain=drain)


def _jobs(arguments: Arguments, config: Config, console: Console) -> int:
    """Read the journal, even while a bot writes it, or leave a request for the bot in it."""
    path = config.data / JOURNAL
    if not path.exists():
        complain(f"there is no journal at {path}: the bot has not run here yet.")
        return 1
    with open_store(path, clock=time.time) as store:
        if arguments.verb == "list":
            list_jobs(console, store.newest(arguments.state, arguments.limit), json=arguments.json)
            return 0
        if (entry := store.find(arguments.job)) is None:
            complain(f"no job, or more than one, begins with “{arguments.job}”: see jobs.")
            return 1
        job = entry.job
        if arguments.verb == "show":
            show_job(console, entry, store.transitions(job.id), json=arguments.json)
            return 0
        if (arguments.verb == "cancel") == (job.terminal_update is not None):
            done = (
                f"has ended: {job.state.name.lower()}" if job.terminal_update else "has not ended yet; cancel it first"
            )
            complain(f"job {job.id[:8]} {done}.")
            return 1
        store.add_request(arguments.verb, job.id)
    console.print(f"The bot will {arguments.verb} {job.id[:8]}, as soon as it runs.", highlight=False)
    return 0


async def _generate(arguments: Arguments, config: Config, console: Console) -> int:
    values, sets = _told(arguments)
    async with open_clients(config) as clients:
        ways = {name: server_clients.comfy for name, server_clients in clients.items()}
        workflow, definitions = await open_filled(config.workflows, arguments.workflow, values, ways)
    _writable(arguments.out)
    fill = partial(bind, workflow, preset=arguments.preset, definitions=definitions)
    rng = random.SystemRandom()
    requests: list[JobRequest] = []
    for number in range(arguments.count):
        job = JobId(str(uuid.uuid4()))
        owner = f"#{number + 1}"
        requests.append(fill(job, values, sets, rng=rng, folder=str(arguments.out), owner=owner))
    rows = rows_of(requests)

    async def frontend(services: Services) -> int:
        refused = await refusals({name: server_clients.comfy for name, server_clients in services.clients.items()})
        for reason in refused.values():
            complain(f"{reason}")
        if len(refused) == len(services.clients):
            return 2
        show = choose(console, rows, json=arguments.json)
        return await draw(requests, rows, show, services.registry, services.shutdown, limit=arguments.timeout)

    return await run(config, frontend)


async def _simulate(arguments: Arguments) -> int:
    from app.simulator.engine.simulator import Simulator
    from app.simulator.http.application import serve

    with TemporaryDirectory(prefix="atelier-") as folder:
        simulator = Simulator(
            Path(folder),
            steps=arguments.steps,
            step_time=arguments.step_time,
            previews=arguments.previews,
            any_node=arguments.any_node,
            seed=arguments.seed,
            clock=lambda: time.time_ns() // 1_000_000,
        )
        async with anyio.create_task_group() as tasks:
            try:
                port = await tasks.start(serve, simulator, arguments.host, arguments.port)
            except OSError as error:
                complain(f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror}.")
                return 1
            host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
            print(f"listening on http://{host}:{port}", flush=True)
    return 0


def _told(arguments: Arguments) -> tuple[dict[str, str], list[tuple[str, str]]]:
    values = dict(_pair(told, "slot=value") for told in arguments.slots)
    return values, [_pair(told, "NODE.INPUT=VALUE") for told in arguments.sets]


def _pair(told: str, form: str) -> tuple[str, str]:
    name, equals, value = told.partition("=")
    if not equals or not name:
        raise WorkflowError(f"“{told}” is not of the form {form}.")
    return name, value


def _writable(folder: Path) -> None:
    """Create the output folder before any job is submitted. Raises `ConfigError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except OSError as error:
        raise ConfigError(f"--out {folder} cannot be made: {error.strerror}.") from error
    if not usable:
        raise ConfigError(f"--out {folder} cannot be written to.")
