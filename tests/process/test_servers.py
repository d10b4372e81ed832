"""What an operator does to the servers of a living bot: add, remove, drain and resume them."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from app.simulator.engine.simulator import Simulator
from app.simulator.faults import Request
from tests.discord.fake import FakeDiscord, Interaction
from tests.process.bot import PATIENCE, bot, comfyui, environment, imagine, says, send_signal, until
from tests.process.launcher import PROGRAM, forking


@asynccontextmanager
async def two_servers(folder: Path) -> AsyncGenerator[tuple[Simulator, Simulator, str, str]]:
    """Two simulators, and a table of atelier.toml for each."""
    async with comfyui(folder / "a") as (studio, one), comfyui(folder / "b") as (cellar, two):
        tables = [f'[[servers]]\nname = "{name}"\nurl = "{url}"\n' for name, url in (("studio", one), ("cellar", two))]
        yield studio, cellar, tables[0], tables[1]


async def servers(discord: FakeDiscord, folder: Path, *arguments: str) -> str:
    """What `python -m app servers` says."""
    with forking():
        done = await anyio.run_process(
            [*PROGRAM, "servers", *arguments], cwd=folder, env=environment(discord, folder, ""), check=False
        )
    return (done.stdout + done.stderr).decode()


def has(simulator: Simulator) -> int:
    """How many prompts a simulator has now."""
    return len(simulator.pending) + (simulator.running is not None)


async def is_made(discord: FakeDiscord, *interactions: Interaction) -> None:
    for interaction in interactions:
        await discord.until(lambda interaction=interaction: "[Again]" in says(discord, interaction), PATIENCE)


async def test_servers_are_added_by_sighup_and_removed_by_a_changed_file_and_no_job_is_lost_or_made_twice(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    path = tmp_path / "atelier.toml"
    async with two_servers(tmp_path) as (studio, cellar, first, second):
        path.write_text(first)
        for simulator in (studio, cellar):
            simulator.faults.ask(Request(hold=True))
        async with bot(discord, tmp_path, anyio_backend_name, comfy="") as process:
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
            interactions = [imagine(discord, f"picture {number}") for number in range(5)]
            await until(lambda: has(studio) == 2)
            path.write_text("servers = 3")
            send_signal(process, signal.SIGHUP)
            await anyio.sleep(1)
            path.write_text(first + second)
            send_signal(process, signal.SIGHUP)
            await until(lambda: has(cellar) == 2)
            path.write_text(second)
            await until(lambda: has(studio) == 1)
            cellar.faults.ask(Request(hold=False))
            await until(lambda: len(cellar.ended_at) == 4)
            studio.faults.ask(Request(hold=False))
            await is_made(discord, *interactions)
            assert (len(studio.ended_at), len(cellar.ended_at)) == (1, 4)
            last = imagine(discord, "one more")
            await is_made(discord, last)
            assert (len(studio.ended_at), len(cellar.ended_at)) == (1, 5)


async def test_a_server_is_drained_and_resumed_while_the_bot_runs_and_over_a_restart(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    async with two_servers(tmp_path) as (studio, cellar, first, second):
        (tmp_path / "atelier.toml").write_text(first + second)
        async with bot(discord, tmp_path, anyio_backend_name, comfy=""):
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
            assert "studio gets no new jobs" in await servers(discord, tmp_path, "drain", "studio")
            await anyio.sleep(2)
            await is_made(discord, *[imagine(discord, f"picture {number}") for number in range(3)])
            assert (len(studio.ended_at), len(cellar.ended_at)) == (0, 3)
            assert "cellar gets no new jobs" in await servers(discord, tmp_path, "drain", "cellar")
            await anyio.sleep(2)
            interaction = imagine(discord, "one more")
            await discord.until(lambda: "takes no new jobs for now" in says(discord, interaction), PATIENCE)
        async with bot(discord, tmp_path, anyio_backend_name, comfy=""):
            assert "drained" in await servers(discord, tmp_path, "list")
            await anyio.sleep(2)
            assert (len(studio.ended_at), len(cellar.ended_at)) == (0, 3)
            assert "studio gets jobs again" in await servers(discord, tmp_path, "resume", "studio")
            await is_made(discord, interaction)
            assert (len(studio.ended_at), len(cellar.ended_at)) == (1, 3)
