"""Runs a command of the operator: no shell, a limit on its time, and of its output only the last line is kept."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from subprocess import DEVNULL, PIPE, STDOUT
from typing import TypeAlias

import anyio
from anyio.abc import Process

from app.reasons.power import CommandFailed, CommandNotRun, CommandReason, CommandTooLong

LONGEST = 300.0
"""Seconds for a command. The command-line tools of clouds wait for the machine, which takes a minute or two."""

KEPT = 2_000
"""Bytes of the end of the output that are kept, to find its last line."""

LAST_OUTPUT = 0.5
"""Seconds for the rest of the output of a program that has ended."""

OWN = ("DISCORD_", "ATELIER_", "COMFYUI_")
"""Beginnings of the names of our own variables. They hold the token, and passwords of servers."""

RunCommand: TypeAlias = Callable[[tuple[str, ...]], Awaitable[CommandReason | None]]
"""Runs a program with its arguments, and returns why that did not work, None if it did."""


async def run_command(command: tuple[str, ...], *, longest: float = LONGEST) -> CommandReason | None:
    """Run a program with its arguments; return why that did not work, None if it did.

    It gets neither input nor our own environment variables. After `longest` seconds, and if this task is cancelled,
    it is killed with all that it has started.
    """
    program = command[0]
    try:
        process = await anyio.open_process(
            command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=environment(os.environ),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return CommandNotRun(program, getattr(error, "strerror", None) or str(error))
    output = bytearray()
    try:
        with anyio.move_on_after(longest) as limit:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_read, process, output, name="output of a command")
                await process.wait()
                # What it has started in the background may keep its output open for ever.
                tasks.cancel_scope.deadline = anyio.current_time() + LAST_OUTPUT
    finally:
        with anyio.CancelScope(shield=True):
            _kill(process)
            await process.aclose()
    if limit.cancelled_caught:
        return CommandTooLong(program, longest)
    return CommandFailed(program, process.returncode, _last_line(output)) if process.returncode else None


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Our environment without our own variables."""
    return {name: value for name, value in ours.items() if not name.upper().startswith(OWN)}


async def _read(process: Process, output: bytearray) -> None:
    """Read until the program closes its output; keep only the end."""
    if process.stdout is not None:
        async for piece in process.stdout:
            output += piece
            del output[:-KEPT]


def _kill(process: Process) -> None:
    """Kill a program, if it still runs, and what it has started."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()


def _last_line(output: bytearray) -> str:
    lines = output.decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
