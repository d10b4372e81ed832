"""The `check` command: checks the configuration, the workflows and each server, or Discord, and prints the results."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import anyio
from rich.console import Console

from app.cli.workflows.commands import Verdict, verdict_table, verdicts
from app.cli.workflows.definitions import ask
from app.config.settings import Config, Power
from app.config.toml_table import ConfigError
from app.events import ServerName
from app.ports import Comfy, Connect, ConnectionLost, Refused
from app.service.offers.catalog import unknown_workflows
from app.system.standard_streams import complain
from app.texts.reasons.text import reason_text
from app.texts.wording import quoted
from app.workflows.files import Folders, as_folders
from app.workflows.offers.availability import offers

WIDTH = 30
"""Characters for the name of a step, so that the details are in one column."""

HANDSHAKE = 5.0
"""Seconds for the websocket to open: a slower server cannot be used."""


async def check(
    console: Console,
    source: str,
    workflows: Folders,
    servers: Mapping[ServerName, tuple[Comfy, Connect]],
    allowed: Mapping[ServerName, Collection[str] | None],
    machine: Sequence[Verdict] = (),
    paying: Collection[ServerName] = (),
    started: Mapping[ServerName, Power] = {},
) -> int:
    """Check everything, print the results, and return 0 if all is well, else 1.

    `allowed` are the workflows that each server may run, None for all; on those in `paying`, they may cost money.
    `machine` are the results of what was checked besides workflows and servers. `started` are the servers that the bot
    starts and stops: these may be off.
    """
    lines: list[Verdict] = [(True, "configuration", source or "defaults and environment")]
    known = await ask({name: comfy for name, (comfy, _) in servers.items()})
    if not (offered := offers(workflows, known, paying=paying)):
        lines.append((False, "workflows", f"there are none in {as_folders(workflows)[0]}"))
    lines += verdicts(offered, known, brief=True)
    if offered and known and not any(offer.servers for offer in offered):
        lines.append((False, "workflows", "none of them can run on any server: docs/MODELS.md says what each needs"))
    unknown = unknown_workflows(allowed, [offer.name for offer in offered])
    lines += [(True, "", reason_text(reason, operator=True)) for reason in unknown]
    results: dict[ServerName, tuple[bool, str]] = {}

    async def look(name: ServerName, comfy: Comfy, connect: Connect) -> None:
        results[name] = await _explained(_answer, comfy, connect)

    async with anyio.create_task_group() as tasks:
        for name, (comfy, connect) in servers.items():
            tasks.start_soon(look, name, comfy, connect)
    for name, (comfy, connect) in servers.items():
        answers, details = results[name]
        if answers:
            # One after the other, and again: the first time includes what this program loads, and waits for others.
            answers, times = await _explained(_times, comfy, connect)
            results[name] = answers, f"{details}, {times}" if answers else times
    for name in servers:
        answers, details = results[name]
        off = not answers and name in started
        lines.append(
            (None, name, f"{details} The bot starts it when a job needs it.") if off else (answers, name, details)
        )
        if name in started:
            lines += _programs(started[name])
    lines += machine
    console.print(verdict_table(lines))
    return 0 if all(good is not False for good, _, _ in lines) else 1


def _programs(power: Power) -> list[Verdict]:
    """A line for each command whose program is not there."""
    commands = {"start_command": power.start_command[0], "stop_command": power.stop_command[0]}
    return [
        (False, "", f"There is no program {quoted(program)}: install it, or correct “{key}”.")
        for key, program in commands.items()
        if shutil.which(program) is None
    ]


async def check_live(console: Console, config: Config, guild: int, channel: int, wait: float) -> int:
    """Check Discord, print a line for each step, and return 0 if it accepted everything, else 1.

    Raises `ConfigError` if there is no token.
    """
    if not config.discord_token:
        raise ConfigError("no DISCORD_TOKEN is set; copy it from the developer portal.")
    # Imported only here: hikari takes half a second, which no other check needs.
    from app.discord.gateway.live_check import StepResult, live_check
    from app.discord.gateway.outage import SetupError

    def report(result: StepResult) -> None:
        console.print(verdict_table([(result.accepted, f"{result.step:<{WIDTH}}", result.details)]))

    try:
        token, roles = config.discord_token, config.limits.roles
        return 0 if await live_check(token, config.discord, guild, channel, wait, report, tuple(roles)) else 1
    except SetupError as error:
        complain(str(error))
        return 1


async def _explained(
    question: Callable[[Comfy, Connect], Awaitable[str]], comfy: Comfy, connect: Connect
) -> tuple[bool, str]:
    """Whether a server can be used, and what it answers, or why not."""
    try:
        return True, await question(comfy, connect)
    except (ConnectionLost, Refused) as error:
        return False, reason_text(error.reason, operator=True)
    except TimeoutError:
        return False, f"Its websocket did not open within {HANDSHAKE:g} s."


async def _answer(comfy: Comfy, connect: Connect) -> str:
    """What a server says of itself. Raises `ConnectionLost`, `Refused` and `TimeoutError`."""
    stats = await comfy.stats()
    await _open(connect)
    free = f"{stats.memory_free / 2**30:.1f} of {stats.memory_total / 2**30:.1f} GiB free"
    devices = ", ".join(stats.devices) or "no device"
    return f"ComfyUI {stats.version}, {devices}, {free}"


async def _times(comfy: Comfy, connect: Connect) -> str:
    """How fast a server answers. Raises what `_answer` raises."""
    began = anyio.current_time()
    await comfy.stats()
    answered = anyio.current_time()
    opened = await _open(connect)
    return f"{(answered - began) * 1000:.1f} ms, websocket {(opened - answered) * 1000:.1f} ms"


async def _open(connect: Connect) -> float:
    """Open a websocket, and close it again; return when it was open."""
    with anyio.fail_after(HANDSHAKE):
        async with connect():
            return anyio.current_time()
