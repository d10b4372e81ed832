"""What each command does: arguments and configuration in, exit code out.

What only some commands need is imported in their functions: clients, journal and renderers take a third of the time in
which `workflows list` is done.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import anyio
import msgspec
import structlog
from anyio import to_thread
from msgspec import structs
from rich.console import Console

from app import logging, signals
from app.backup.errors import BackupError
from app.cli.arguments import (
    PROGRAM,
    BackupCommand,
    CancelJob,
    Check,
    CheckWorkflows,
    Demo,
    DrainServer,
    Filling,
    FillWorkflow,
    ForgetPerson,
    Generate,
    JournalCommand,
    ListJobs,
    ListServers,
    ListStuckJobs,
    ListWorkflows,
    MakeBackup,
    NewWorkflow,
    OnServers,
    PrintSchema,
    RestoreBackup,
    ResumeServer,
    Run,
    ServersCommand,
    Setup,
    ShowJob,
    ShowWorkflow,
    Simulate,
    StartServer,
    Stats,
    StopServer,
    WorkflowsCommand,
)
from app.cli.parser import Invocation
from app.config.load import load_config, reload_config
from app.config.settings import Config
from app.config.toml_table import ConfigError
from app.core.journal_port import JournalError
from app.events import JobId, ServerName
from app.ports import Json
from app.service.reasons import AllowedNowhere, PaidFromTerminal
from app.standard_streams import complain, lose
from app.texts.reasons.text import reason_text
from app.workflows.model import WorkflowError
from app.workflows.reasons.binding import NotAPair

if TYPE_CHECKING:
    from app.application import Services
    from app.core.jobs.job import Entry, JobRequest
    from app.core.journal_port import DrainedServer
    from app.core.servers.power import PowerView
    from app.journal.store import Store

logger = structlog.stdlib.get_logger(__name__)

LAST_LOOK = 0.5
"""Seconds for a look at the journal when the bot ends: it may be held by another program."""

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
        config = load_config(os.environ, Path.cwd(), servers=servers)
        logging.configure(debug=debug, json=config.log.format == "json", is_service=isinstance(command, Run))
        if isinstance(command, JournalCommand):
            return _journal(command, config, console, backend)
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
    command: Run | Demo | Generate | Simulate | Check | BackupCommand | WorkflowsCommand,
    config: Config,
    console: Console,
) -> int:
    match command:
        case Run():
            return await _run(config, drain=command.drain)
        case Demo():
            from app.cli.demo import demo

            _writable(command.out)
            return await demo(config, command.out, console)
        case Generate():
            return await _generate(command, config, console)
        case Simulate():
            return await _simulate(command)
        case MakeBackup() | RestoreBackup():
            from app.cli.backups import back_up, restore_backup

            # As for the bot: only this user reads what is created from here on.
            os.umask(0o077)
            if isinstance(command, MakeBackup):
                return await back_up(console, _journal_path(config).parent, command.to or config.backups)
            target = command.to or config.data
            return await restore_backup(console, command.backup, target, skip_damaged=command.skip_damaged)
        case Check(live=guild, channel=channel, wait=wait) if guild:
            from app.cli.check import check_live

            return await check_live(console, config, guild, channel, wait)
        case Check(channel=channel) if channel:
            raise ConfigError("--channel needs --live and the id of a server.")
        case Check():
            from app.application import open_clients
            from app.cli.check import check
            from app.cli.doctor import examine

            async with open_clients(config) as clients:
                connections = {
                    name: (server_clients.comfy, server_clients.connect) for name, server_clients in clients.items()
                }
                allowed = {server.label: server.workflows for server in config.servers}
                machine = await examine(config, _journal_or_error(config))
                started = {server.label: server.power for server in config.servers if server.power is not None}
                source, folders, paying = config.source, config.workflow_folders, config.paying_servers
                return await check(console, source, folders, connections, allowed, machine, paying, started)
        case _:
            return await _workflows(command, config, console)


async def _workflows(command: WorkflowsCommand, config: Config, console: Console) -> int:
    from app.cli.workflows.commands import check_workflows, fill_in, list_workflows, show_workflow

    folders = config.workflow_folders
    if isinstance(command, ListWorkflows):
        return list_workflows(console, folders)
    if isinstance(command, PrintSchema):
        from app.workflows.manifest.schema import schema

        print(msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode())
        return 0
    from app.application import comfies, open_clients

    async with open_clients(config) as clients:
        servers = comfies(clients)
        match command:
            case ShowWorkflow():
                return await show_workflow(console, folders, command.workflow, servers)
            case NewWorkflow():
                from app.cli.workflows.new import new_workflow

                await new_workflow(console, folders, command.file, servers, config.paying_servers)
            case CheckWorkflows():
                return await check_workflows(console, folders, command.workflow, servers, config.paying_servers)
            case FillWorkflow():
                values, sets = _values(command)
                graph, notes = await fill_in(folders, command.workflow, values, sets, command.preset, servers)
                print(graph)
                for note in notes:
                    complain(note)
    return 0


async def _run(config: Config, *, drain: bool) -> int:
    if not config.discord_token:
        complain(f"no DISCORD_TOKEN is set; try “{PROGRAM} demo”, or “generate”.")
        return 2
    # hikari alone takes half a second.
    from app.application import comfies, open_alerts, open_http, open_upkeep, run
    from app.core.servers.power import left_on
    from app.discord.app import DiscordApp
    from app.http.sources import Sources
    from app.journal.crash_points import crash_point
    from app.journal.sqlite import open_journal
    from app.retention.files import delete_unfinished
    from app.systemd import ServiceManager

    path = _journal_path(config)
    # The journal and the results are what people asked for: only this user reads what is created from here on.
    os.umask(0o077)
    sources, manager = Sources(), ServiceManager(os.environ)
    async with (
        open_http(config, sources),
        open_alerts(config.alerts) as alerts,
        open_journal(path, crash=crash_point(os.environ), alerts=alerts) as journal,
    ):
        # Only now: the journal is locked, so no other bot writes there.
        await to_thread.run_sync(delete_unfinished, config.data)
        bot = DiscordApp(config, journal, alerts)
        sources.journal, sources.discord = journal, bot

        async def frontend(services: Services) -> int:
            sources.work, sources.configured = services.work, services.configured
            sources.draining = services.draining
            code = 0
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(manager.run, bot.opened, services.draining, name="service manager")
                code = await bot.run(
                    services.registry,
                    comfies(services.clients),
                    services.nodes,
                    services.draining,
                    services.shutdown,
                    services.configured,
                    services.off,
                )
                tasks.cancel_scope.cancel()
            return code

        load = partial(reload_config, config, os.environ, Path.cwd())
        # ComfyUI sends the frames of a job to the id that submitted it, also if the bot was restarted since.
        client_id = await journal.client_id()
        async with open_upkeep(config, journal, alerts):
            code = await run(
                config,
                frontend,
                journal=journal,
                client_id=client_id,
                drain=drain,
                alerts=alerts,
                load=load,
                reloaded=bot.reloaded,
                reloading=manager.reloading,
                asked=True,
            )
        with anyio.move_on_after(LAST_LOOK):
            if left := left_on(await journal.on_periods()):
                # To stop them takes minutes, and whoever ends the bot waits only for seconds.
                logger.warning("servers stay on, and nobody stops them until the bot runs again", servers=left)
        return code


def _journal_path(config: Config) -> Path:
    """The path of the journal. Raises `ConfigError` if version 0.2 left one in another folder, or if it is incomplete.

    A second journal would start empty, and the jobs in the first one would be lost without a word.
    """
    from app.journal.sqlite import JOURNAL, RESTORING

    former = config.former_data
    if former is not None and former.resolve() != config.data.resolve() and (former / JOURNAL).exists():
        raise ConfigError(
            f"the journal is in {former}, where an earlier version put it, but the data folder is now {config.data}:"
            f" move the folder there, or set ATELIER_DATA={former}."
        )
    if (config.data / RESTORING).exists():
        raise ConfigError(f"{config.data} was not restored completely: run “{PROGRAM} restore” again with that backup.")
    return config.data / JOURNAL


def _journal_or_error(config: Config) -> Path | JournalError:
    try:
        return _journal_path(config)
    except ConfigError as error:
        return JournalError(str(error))


def _journal(command: JournalCommand, config: Config, console: Console, backend: str) -> int:
    """Read the journal, even while a bot writes it, or leave a request for the bot in it."""
    from app.cli.jobs import list_jobs, list_stuck_jobs, show_job
    from app.cli.statistics import show_statistics
    from app.journal.store import open_store

    path = _journal_path(config)
    if not path.exists() and isinstance(command, ListServers):
        return _list_servers(command, config, console, backend, (), (), {})
    if not path.exists():
        complain(f"there is no journal at {path}: the bot has not run here yet.")
        return 1
    with open_store(path, clock=time.time) as store:
        if isinstance(command, ListJobs):
            list_jobs(console, store.newest(command.state or "", command.limit), json=command.json)
            return 0
        if isinstance(command, ListStuckJobs):
            entries = store.unfinished_entries()
            away = anyio.run(_servers_away, config, backend=backend) if entries else set[ServerName]()
            # The bot starts these when jobs need them.
            away -= {name for name, view in _power(config, store).items() if view.state != "on"}
            drained = {server.name for server in store.drained()}
            configured = [server.label for server in config.servers]
            list_stuck_jobs(console, entries, configured, away, drained, json=command.json)
            return 0
        if isinstance(command, ServersCommand):
            return _servers(command, config, console, backend, store)
        if isinstance(command, Stats):
            show_statistics(console, store.runs(), json=command.json)
            return 0
        if isinstance(command, ForgetPerson):
            from app.cli.forget import forget_person

            return forget_person(console, store, config.data, command.user, yes=command.yes)
        if (entry := store.find(command.job)) is None:
            complain(f"no job, or more than one, begins with “{command.job}”: see jobs.")
            return 1
        job = entry.job
        if isinstance(command, ShowJob):
            show_job(console, entry, store.transitions(job.id), json=command.json)
            return 0
        verb = "cancel" if isinstance(command, CancelJob) else "retry"
        refusal = ""
        if verb == "cancel" and job.notified:
            refusal = f"has ended: {job.state.name.lower()}"
        elif verb == "retry" and job.terminal_update is None:
            refusal = "has not ended yet; cancel it first"
        if refusal:
            complain(f"job {job.id[:8]} {refusal}.")
            return 1
        store.add_request(verb, job.id)
    console.print(f"The bot will {verb} {job.id[:8]}, as soon as it runs.", highlight=False)
    return 0


def _servers(command: ServersCommand, config: Config, console: Console, backend: str, store: Store) -> int:
    """List the servers, record in the journal which of them are drained, or leave a request to start or stop one."""
    from app.cli.servers import drain, request_power, resume

    configured = [server.label for server in config.servers]
    match command:
        case ListServers():
            drained, unfinished, power = store.drained(), store.unfinished_entries(), _power(config, store)
            return _list_servers(command, config, console, backend, drained, unfinished, power)
        case DrainServer():
            return drain(console, store, configured, command.server)
        case ResumeServer():
            return resume(console, store, configured, command.server)
        case StartServer() | StopServer():
            known = {server.label: server.power for server in config.servers}
            return request_power(console, store, known, command.server, on=isinstance(command, StartServer))


def _power(config: Config, store: Store) -> dict[ServerName, PowerView]:
    """What the journal says about the servers that the bot starts and stops."""
    from app.core.servers.power import view_of

    periods = store.on_periods()
    return {server.label: view_of(server.label, periods) for server in config.servers if server.power is not None}


def _list_servers(
    command: ListServers,
    config: Config,
    console: Console,
    backend: str,
    drained: Sequence[DrainedServer],
    unfinished: Sequence[Entry],
    power: Mapping[ServerName, PowerView],
) -> int:
    from app.cli.servers import list_servers

    away = anyio.run(_servers_away, config, backend=backend)
    configured = [server.label for server in config.servers]
    list_servers(console, configured, drained, away, unfinished, power, json=command.json)
    return 0


async def _servers_away(config: Config) -> set[ServerName]:
    """The servers that do not answer just now."""
    from app.application import comfies, open_clients
    from app.service.server_monitor import ServerMonitor

    async with open_clients(config) as clients:
        statuses = await ServerMonitor(comfies(clients), {}).status()
    return {status.name for status in statuses if status.stats is None}


async def _generate(command: Generate, config: Config, console: Console) -> int:
    from app.application import comfies, open_clients, run
    from app.cli.generate import draw, refusals, rows_of
    from app.cli.output.renderers import choose
    from app.cli.task import plan
    from app.cli.workflows.commands import open_filled
    from app.service.task_requests import TaskRequest
    from app.workflows.bind import bind

    command = _with_task(command)
    given, sets = _values(command)
    values: dict[str, Json] = dict(given)
    preset, named = command.preset, tuple[ServerName, ...]()
    async with open_clients(config) as clients:
        servers = comfies(clients)
        if command.task is not None:
            request = TaskRequest(
                task=command.task, model=command.model, format=command.format, preset=preset, values=values
            )
            planned = await plan(request, config, servers)
            workflow, definitions, values = planned.workflow, planned.definitions, planned.values
            preset, named = planned.preset, planned.servers
        else:
            workflow, definitions = await open_filled(config.workflow_folders, command.workflow, values, servers)
    if not any(server.workflows is None or workflow.name in server.workflows for server in config.servers):
        raise WorkflowError(AllowedNowhere(workflow.name))
    if workflow.price is not None:
        raise WorkflowError(PaidFromTerminal(workflow.name))
    _writable(command.out)
    fill = partial(bind, workflow, preset=preset, definitions=definitions)
    rng = random.SystemRandom()
    requests: list[JobRequest] = []
    for number in range(command.count):
        job = JobId(str(uuid.uuid4()))
        owner = f"#{number + 1}"
        filled = fill(job, values, sets, rng=rng, folder=str(command.out), owner=owner)
        requests.append(structs.replace(filled, servers=named))
    rows = rows_of(requests)

    async def frontend(services: Services) -> int:
        refused = await refusals(comfies(services.clients))
        for reason in refused.values():
            complain(f"{reason}")
        if len(refused) == len(services.clients):
            return 2
        show = choose(console, rows, json=command.json)
        return await draw(requests, rows, show, services.registry, services.shutdown, limit=command.timeout)

    return await run(config, frontend)


def _with_task(command: Generate) -> Generate:
    """The command with what was given for its task in the right places. Raises `ConfigError`."""
    if command.task is None:
        if not command.workflow:
            raise ConfigError("generate needs a WORKFLOW, or --task and what to make.")
        if command.model or command.format:
            raise ConfigError("--model and --format need --task, which says what to make.")
        return command
    # Without a WORKFLOW, the first SLOT=VALUE stands in its place.
    slots = tuple(filter(None, (command.workflow, *command.slots)))
    return dataclasses.replace(command, workflow="", slots=slots)


async def _simulate(command: Simulate) -> int:
    from app.simulator.engine.simulator import Simulator
    from app.simulator.http.application import serve
    from app.simulator.version import VERSIONS

    with TemporaryDirectory(prefix="atelier-") as folder:
        simulator = Simulator(
            Path(folder),
            steps=command.steps,
            step_time=command.step_time,
            previews=command.previews,
            any_node=command.any_node,
            version=VERSIONS[command.comfyui_version],
            seed=command.seed,
            clock=lambda: time.time_ns() // 1_000_000,
        )
        async with anyio.create_task_group() as tasks:
            try:
                port = await tasks.start(serve, simulator, command.host, command.port)
            except OSError as error:
                complain(f"cannot listen on {command.host}:{command.port}: {error.strerror}.")
                return 1
            host = f"[{command.host}]" if ":" in command.host else command.host
            print(f"listening on http://{host}:{port}", flush=True)
    return 0


def _values(command: Filling) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The values of slots and of single inputs. Raises `WorkflowError`."""
    values = dict(_pair(text, "slot=value") for text in command.slots)
    return values, [_pair(text, "NODE.INPUT=VALUE") for text in command.sets]


def _pair(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise WorkflowError(NotAPair(text, form))
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
