"""Runs the commands that read the journal, even while a bot writes it, or leave a request for the bot in it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec

import anyio
from msgspec.structs import replace
from rich.console import Console

from app.cli.arguments.commands import (
    CancelJob,
    DrainServer,
    ForgetPerson,
    JournalCommand,
    ListJobs,
    ListServers,
    ListStuckJobs,
    ResumeServer,
    ServersCommand,
    ShowJob,
    StartServer,
    Stats,
    StopServer,
)
from app.cli.data_folder import journal_path
from app.cli.engine_loss import WITHOUT_LIBRARY, engine_loss_text
from app.cli.journal.forget import forget_person
from app.cli.journal.jobs import list_jobs, list_stuck_jobs, show_job
from app.cli.journal.servers import Answers, drain, list_servers, request_power, resume
from app.cli.journal.statistics import show_statistics
from app.config.settings import Config
from app.core.jobs.job import Entry
from app.core.journal_port import DrainedServer
from app.core.servers.power import PowerView, view_of
from app.events import ServerName
from app.journal.opening import open_store
from app.journal.store import Store
from app.system.standard_streams import complain

CLIENT = str(uuid.uuid5(uuid.NAMESPACE_URL, "atelier servers list"))
"""The id by which workers know this command: always the same, because a worker keeps clients for few ids."""


def execute(command: JournalCommand, config: Config, console: Console, backend: str) -> int:
    """Run a command of the journal; return the exit code."""
    path = journal_path(config)
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
            answers = anyio.run(_ask, config, backend=backend) if entries else Answers(set())
            # The bot starts these when jobs need them.
            off = {name for name, view in _power(config, store).items() if view.state != "on"}
            away = set(answers.away) - off
            drained = {server.name for server in store.drained()}
            configured = [*(server.label for server in config.servers), *answers.workers]
            list_stuck_jobs(console, entries, configured, away, drained, json=command.json)
            return 0
        if isinstance(command, ServersCommand):
            return _servers(command, config, console, backend, store)
        if isinstance(command, Stats):
            show_statistics(console, store.runs(), json=command.json)
            return 0
        if isinstance(command, ForgetPerson):
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
    configured = [server.label for server in config.servers]
    match command:
        case ListServers():
            drained, unfinished, power = store.drained(), store.unfinished_entries(), _power(config, store)
            return _list_servers(command, config, console, backend, drained, unfinished, power)
        case DrainServer():
            if command.server not in configured and config.engine is not None:
                # Those of workers are asked for only if need be: the engine may be away.
                configured += anyio.run(_ask, config, backend=backend).workers
                configured += _gone(config, configured, store.unfinished_entries())
            return drain(console, store, configured, command.server)
        case ResumeServer():
            return resume(console, store, configured, command.server)
        case StartServer() | StopServer():
            known = {server.label: server.power for server in config.servers}
            return request_power(console, store, known, command.server, on=isinstance(command, StartServer))


def _power(config: Config, store: Store) -> dict[ServerName, PowerView]:
    """What the journal says about the servers that the bot starts and stops."""
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
    answers = anyio.run(_ask, config, backend=backend)
    known = dict.fromkeys((*(server.label for server in config.servers), *answers.workers))
    gone = _gone(config, known, unfinished)
    answers = replace(answers, away={*answers.away, *gone})
    list_servers(console, [*known, *gone], drained, answers, unfinished, power, json=command.json)
    return 0


def _gone(config: Config, known: Collection[ServerName], unfinished: Sequence[Entry]) -> list[ServerName]:
    """The servers of workers that are not there now, as far as they have jobs."""
    attempts = [entry.job.attempt for entry in unfinished if entry.job.in_flight] if config.engine is not None else ()
    servers = dict.fromkeys(attempt.server for attempt in attempts if attempt is not None)
    return [server for server in servers if server not in known]


async def _ask(config: Config) -> Answers:
    """Ask the configured servers and those of workers whether they answer just now."""
    # Imported only here: the other commands need no clients, which take a third of their time.
    from app.application import comfies, open_clients, open_workers
    from app.service.server_monitor import ServerMonitor

    if config.engine is not None and find_spec("coredis") is None:
        complain(WITHOUT_LIBRARY)
        config = replace(config, engine=None)
    async with open_workers(config, CLIENT, once=True) as workers, open_clients(config, CLIENT, workers) as clients:
        statuses = await ServerMonitor(comfies(clients), {}).status()
        if workers is not None and config.engine is not None and workers.engine.reason is not None:
            complain(f"{engine_loss_text(workers.engine.reason, config.engine)} Servers of workers are missing here.")
        away = {status.name for status in statuses if status.stats is None}
        return Answers(away, workers.lags if workers is not None else {})
