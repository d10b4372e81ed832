"""argv -> Config -> which door -> run."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import anyio
from rich.console import Console

from app import logs
from app.archive import JournalError
from app.cli import Arguments, parse
from app.config import Config, ConfigError, load_config
from app.events import JobId
from app.house import House, run, servers
from app.jobs import Wish
from app.journal.crash import crash_point
from app.journal.sqlite import JOURNAL, open_journal
from app.journal.store import open_store
from app.terminal.check import check
from app.terminal.generate import draw, refusals, rows_of
from app.terminal.jobs import list_jobs, show_job
from app.terminal.shows import choose
from app.terminal.workflows import open_filled, workflows
from app.workflows.bind import bind
from app.workflows.slots import WorkflowError


def main(argv: Sequence[str]) -> int:
    """Do what was asked for; the exit code. What is wrong is said in one sentence on stderr."""
    arguments = parse(argv)
    logs.configure(debug=arguments.debug)
    try:
        config = load_config(os.environ, Path.cwd(), servers=arguments.server)
        return anyio.run(partial(_command, arguments, config), backend=arguments.backend)
    except (ConfigError, WorkflowError, OSError) as error:
        if arguments.debug:
            raise
        print(f"atelier: {error}", file=sys.stderr)
        return 2
    except (JournalError, ExceptionGroup) as error:
        # Out of the registry's task group it comes as a group.
        if arguments.debug or (reason := _journal_error(error)) is None:
            raise
        print(f"atelier: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _journal_error(error: BaseException) -> JournalError | None:
    if isinstance(error, BaseExceptionGroup):
        found = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return next(filter(None, map(_journal_error, found)), None)
    return error if isinstance(error, JournalError) else None


async def _command(arguments: Arguments, config: Config) -> int:
    console = Console()
    match arguments.command:
        case "demo":
            from app.demo import demo

            _writable(arguments.out)
            return await demo(config, arguments.out, console)
        case "generate":
            return await _generate(arguments, config, console)
        case "simulate":
            return await _simulate(arguments)
        case "jobs":
            return _jobs(arguments, config, console)
        case "workflows":
            values, sets = _told(arguments)
            async with servers(config) as links:
                ways = {name: link.comfy for name, link in links.items()}
                verb, told, folder = arguments.verb, arguments.workflow, config.workflows
                return await workflows(console, verb, told, folder, ways, values, sets, arguments.preset)
        case "check":
            async with servers(config) as links:
                ways = {name: (link.comfy, link.dial) for name, link in links.items()}
                return await check(console, config.source, config.workflows, ways)
        case _:
            return await _run(config, drain=arguments.drain)


async def _run(config: Config, *, drain: bool) -> int:
    if not config.discord_token:
        print("atelier: no DISCORD_TOKEN is set; try “python -m app demo”, or “generate”.", file=sys.stderr)
        return 2
    # Only here: hikari takes half a second, which no other command needs.
    from app.discord.guest import DiscordGuest

    async with open_journal(config.data / JOURNAL, crash=crash_point(os.environ)) as journal:
        door = DiscordGuest(config, journal)

        async def guest(house: House) -> int:
            servers = {name: link.comfy for name, link in house.links.items()}
            return await door.run(house.registry, servers, house.last_round, house.closing)

        return await run(config, guest, journal=journal, drain=drain)


def _jobs(arguments: Arguments, config: Config, console: Console) -> int:
    """Read the journal, also while a bot writes it, or leave the bot a request in it."""
    path = config.data / JOURNAL
    if not path.exists():
        print(f"atelier: there is no journal at {path}: the bot has not run here yet.", file=sys.stderr)
        return 1
    with open_store(path, clock=time.time) as store:
        if arguments.verb == "list":
            list_jobs(console, store.newest(arguments.state, arguments.limit), json=arguments.json)
            return 0
        if (entry := store.find(arguments.job)) is None:
            print(f"atelier: no job, or more than one, begins with “{arguments.job}”: see jobs.", file=sys.stderr)
            return 1
        job = entry.job
        if arguments.verb == "show":
            show_job(console, entry, store.story(job.id), json=arguments.json)
            return 0
        if (arguments.verb == "cancel") == (job.last_word is not None):
            done = f"has ended: {job.state.name.lower()}" if job.last_word else "has not ended yet; cancel it first"
            print(f"atelier: job {job.id[:8]} {done}.", file=sys.stderr)
            return 1
        store.ask(arguments.verb, job.id)
    console.print(f"The bot will {arguments.verb} {job.id[:8]}, as soon as it runs.", highlight=False)
    return 0


async def _generate(arguments: Arguments, config: Config, console: Console) -> int:
    values, sets = _told(arguments)
    async with servers(config) as links:
        ways = {name: link.comfy for name, link in links.items()}
        workflow, definitions = await open_filled(config.workflows, arguments.workflow, values, ways)
    _writable(arguments.out)
    fill = partial(bind, workflow, preset=arguments.preset, definitions=definitions)
    rng = random.SystemRandom()
    wishes: list[Wish] = []
    for number in range(arguments.count):
        job = JobId(str(uuid.uuid4()))
        owner = f"#{number + 1}"
        wishes.append(fill(job, values, sets, rng=rng, folder=str(arguments.out), owner=owner))
    rows = rows_of(wishes)

    async def guest(house: House) -> int:
        refused = await refusals({name: link.comfy for name, link in house.links.items()})
        for reason in refused.values():
            print(f"atelier: {reason}", file=sys.stderr)
        if len(refused) == len(house.links):
            return 2
        show = choose(console, rows, json=arguments.json)
        return await draw(wishes, rows, show, house.registry, house.closing, limit=arguments.timeout)

    return await run(config, guest)


async def _simulate(arguments: Arguments) -> int:
    from app.simulator.engine import Simulator
    from app.simulator.web import serve

    code = 0
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
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with anyio.create_task_group() as tasks:
                try:
                    port = await tasks.start(serve, simulator, arguments.host, arguments.port)
                except OSError as error:
                    where = f"{arguments.host}:{arguments.port}"
                    print(f"atelier: cannot listen on {where}: {error.strerror}.", file=sys.stderr)
                    return 1
                host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
                print(f"listening on http://{host}:{port}", flush=True)
                async for signum in signals:
                    code = 130 if signum == signal.SIGINT else 0
                    tasks.cancel_scope.cancel()
    return code


def _told(arguments: Arguments) -> tuple[dict[str, str], list[tuple[str, str]]]:
    values = dict(_pair(told, "slot=value") for told in arguments.slots)
    return values, [_pair(told, "NODE.INPUT=VALUE") for told in arguments.sets]


def _pair(told: str, form: str) -> tuple[str, str]:
    name, equals, value = told.partition("=")
    if not equals or not name:
        raise WorkflowError(f"“{told}” is not of the form {form}.")
    return name, value


def _writable(folder: Path) -> None:
    """Make the folder, before anything is drawn for it. Raises `ConfigError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except OSError as error:
        raise ConfigError(f"--out {folder} cannot be made: {error.strerror}.") from error
    if not usable:
        raise ConfigError(f"--out {folder} cannot be written to.")


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
        sys.exit(code)
    except BrokenPipeError:
        # Whoever read our output has left; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
