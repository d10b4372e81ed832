"""A bot that starts and stops a ComfyUI by commands, all as real processes."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.comfy.peers import closed_port
from tests.discord.fake import FakeDiscord
from tests.process.bot import PATIENCE, bot, imagine, said, says, send_signal, until
from tests.process.test_servers import is_made, servers


@asynccontextmanager
async def cloud(folder: Path) -> AsyncGenerator[Path]:
    """A configuration whose only server is a simulator that commands start and stop; yields the file with its pid."""
    port, pid = closed_port(), folder / "cloud.pid"
    simulate = [sys.executable, "-m", "app", "simulate", "--port", str(port), "--step-time", "0"]
    start = f"{shlex.join(simulate)} >{shlex.quote(str(folder / 'cloud.log'))} 2>&1 & echo $! >{shlex.quote(str(pid))}"
    stop = f"kill $(cat {shlex.quote(str(pid))}) && rm {shlex.quote(str(pid))}"
    (folder / "atelier.toml").write_text(
        f'[[servers]]\nname = "cloud"\nurl = "http://127.0.0.1:{port}"\n'
        f"start_command = {['sh', '-c', start]!r}\nstop_command = {['sh', '-c', stop]!r}\nstart_seconds = 5\n"
        "[discord]\nkeep_metadata = true\nmark_results = false\n"
    )
    try:
        yield pid
    finally:
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)


async def test_a_job_starts_the_server_and_an_operator_stops_it(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    async with cloud(tmp_path) as pid, bot(discord, tmp_path, anyio_backend_name, comfy="") as process:
        await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        assert "off" in await servers(discord, tmp_path, "list")
        assert not pid.exists()
        interaction = imagine(discord, "a lighthouse")
        await discord.until(lambda: "is being started" in says(discord, interaction), PATIENCE)
        await is_made(discord, interaction)
        listed = await servers(discord, tmp_path, "list")
        assert " on " in listed
        assert "0 h 00" in listed
        assert "The bot will stop cloud" in await servers(discord, tmp_path, "stop", "cloud")
        await until(lambda: not pid.exists())
        again = imagine(discord, "another lighthouse")
        await discord.until(lambda: "is off, and will be started soon" in says(discord, again), PATIENCE)
        assert "The bot will start cloud" in await servers(discord, tmp_path, "start", "cloud")
        await is_made(discord, again)
        send_signal(process, signal.SIGTERM)
        assert "servers stay on, and nobody stops them until the bot runs again servers=['cloud']" in await said(
            process
        )
        assert pid.exists()
