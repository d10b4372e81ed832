"""The bot as a process, between a fake Discord and whatever ComfyUI a test has."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from subprocess import PIPE

import anyio
from anyio.abc import Process

from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import serve
from tests.discord.fake import FakeDiscord, Interaction
from tests.discord.flows import FOLDER, STARTERS
from tests.discord.stage import words
from tests.process.launcher import PROGRAM, ROOT, forking

NOWHERE = "http://127.0.0.1:9"
"""Where no ComfyUI is."""

PATIENCE = 60.0
"""Seconds for anything that a test waits for."""


def environment(discord: FakeDiscord, folder: Path, comfy: str = NOWHERE) -> dict[str, str]:
    """What the bot, and whoever steers it, has to know."""
    return {
        **os.environ,
        "DISCORD_TOKEN": discord.token,
        "DISCORD_REST_URL": discord.rest_url,
        "ATELIER_DATA": str(folder / "data"),
        "ATELIER_WORKFLOWS": str(folder / "workflows"),
        "COMFYUI_URL": comfy,
        "PYTHONPATH": str(ROOT),
    }


@asynccontextmanager
async def bot(
    discord: FakeDiscord,
    folder: Path,
    backend: str,
    *options: str,
    comfy: str = NOWHERE,
    by_fork: bool = True,
    marks_results: bool = False,
    command: str = "run",
    log: Path | None = None,
    **more: str,
) -> AsyncGenerator[Process]:
    """A bot; at the end of the block it is killed, if it still lives. `more` goes into its environment.

    `command` may be another one that runs a bot. What it logs is added to the file `log`, or can be read. Unless it
    marks results, or has settings already, it posts them as they are, and needs no media worker for that.
    """
    own_settings = folder / "atelier.toml"
    if not (marks_results or own_settings.exists()):
        own_settings.write_text("[discord]\nkeep_metadata = true\nmark_results = false\n")
    for name in STARTERS:
        shutil.copytree(FOLDER / name, folder / "workflows" / name, dirs_exist_ok=True)
    words = [*PROGRAM, command, "--backend", backend, *options]
    env = {**environment(discord, folder, comfy), **more}
    with forking(by_fork=by_fork), ExitStack() as opened:
        errors = PIPE if log is None else opened.enter_context(log.open("ab"))
        process = await anyio.open_process(words, cwd=folder, env=env, stderr=errors)
    async with process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


def send_signal(process: Process, signum: signal.Signals) -> None:
    """Send a signal to a process unless it has ended; it may be ending.

    `Process.send_signal` polls first, which can take the exit code away from asyncio, which then reports 255.
    """
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signum)


async def said(process: Process) -> str:
    """All of stderr, and wait for the end."""
    assert process.stderr is not None
    with anyio.fail_after(PATIENCE):
        text = b"".join([piece async for piece in process.stderr]).decode()
        await process.wait()
    return text


async def jobs(discord: FakeDiscord, folder: Path, *arguments: str) -> str:
    """What `python -m app jobs` says."""
    with forking():
        done = await anyio.run_process(
            [*PROGRAM, "jobs", *arguments], cwd=folder, env=environment(discord, folder), check=False
        )
    return (done.stdout + done.stderr).decode()


def says(discord: FakeDiscord, interaction: Interaction) -> str:
    """What stands in the answer to an interaction; in the fake's thread."""
    message = discord.state.messages.all.get(interaction.original or "")
    return words(message) if message else ""


@asynccontextmanager
async def comfyui(folder: Path) -> AsyncGenerator[tuple[Simulator, str]]:
    """A simulator that outlives the bot, and its address."""
    simulator = Simulator(folder / "server", step_time=0.002)
    async with anyio.create_task_group() as ground:
        port = await ground.start(serve, simulator, "127.0.0.1", 0)
        yield simulator, f"http://127.0.0.1:{port}"
        ground.cancel_scope.cancel()


def imagine(discord: FakeDiscord, prompt: str) -> Interaction:
    return discord.slash("txt2img", prompt=prompt, width=64, height=64)


async def until(predicate: Callable[[], bool]) -> None:
    """Wait for something in another process, or loop: nobody can wake us, so this looks every now and then."""
    with anyio.fail_after(PATIENCE):
        while not predicate():  # noqa: ASYNC110  no event crosses from there
            await anyio.sleep(0.02)
