"""The bot as a process: how it begins, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from app.simulator.engine import Simulator
from app.simulator.faults import Request
from app.simulator.web import serve
from tests.discord.fake import FakeDiscord, Interaction
from tests.discord.stage import words

ROOT = Path(__file__).parents[2]

NOWHERE = "http://127.0.0.1:9"
"""Where no ComfyUI is."""


@asynccontextmanager
async def bot(
    discord: FakeDiscord, folder: Path, backend: str, token: str = "", comfy: str = NOWHERE
) -> AsyncGenerator[Process]:
    told = {
        "DISCORD_TOKEN": token or discord.token,
        "DISCORD_REST_URL": discord.rest_url,
        "ATELIER_DATA": str(folder / "data"),
        "ATELIER_WORKFLOWS": str(ROOT / "workflows"),
        "COMFYUI_URL": comfy,
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-W", "error", "-m", "app", "run", "--backend", backend]
    async with await anyio.open_process(command, cwd=folder, env={**os.environ, **told}) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def said(process: Process) -> str:
    """All of stderr, and wait for the end."""
    assert process.stderr is not None
    text = b"".join([piece async for piece in process.stderr]).decode()
    await process.wait()
    return text


def says(discord: FakeDiscord, asked: Interaction) -> str:
    """What stands in the answer to an interaction; in the fake's thread."""
    message = discord.state.messages.all.get(asked.original or "")
    return words(message) if message else ""


def sentence(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith("atelier:")]
    assert "Traceback" not in text
    return line


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_within_two_seconds_and_leaves_a_true_sentence(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str, signum: signal.Signals
) -> None:
    async with bot(discord, tmp_path, anyio_backend_name) as process:
        await discord.until(lambda: discord.state.commands.of[None], 20)
        asked = discord.slash("imagine", prompt="a cat")
        await discord.until(lambda: "[Cancel]" in says(discord, asked), 20)
        began = time.monotonic()
        process.send_signal(signum)
        text = await said(process)
        assert time.monotonic() - began < 2.0
        assert process.returncode == (0 if signum is signal.SIGTERM else 130)
        assert "Nothing is lost" in words(discord.message(asked))
        assert "Traceback" not in text
        assert asked.token not in text


async def test_a_bot_that_was_killed_brings_the_result_when_it_is_back(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    simulator = Simulator(tmp_path / "server", step_time=0.005)
    simulator.faults.ask(Request(hold=True))
    async with anyio.create_task_group() as ground:
        port = await ground.start(serve, simulator, "127.0.0.1", 0)
        comfy = f"http://127.0.0.1:{port}"
        async with bot(discord, tmp_path, anyio_backend_name, comfy=comfy) as process:
            await discord.until(lambda: discord.state.commands.of[None], 20)
            asked = discord.slash("imagine", prompt="a cat", width=64, height=64)
            await discord.until(lambda: "[Cancel]" in says(discord, asked), 20)
            process.kill()
            await process.wait()
        simulator.faults.ask(Request(hold=False))
        async with bot(discord, tmp_path, anyio_backend_name, comfy=comfy):
            await discord.until(lambda: "[Again]" in says(discord, asked), 20)
        assert len(discord.messages) == 1
        ground.cancel_scope.cancel()


async def test_a_wrong_token_is_one_sentence(discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str) -> None:
    wrong = discord.token[:-4] + "bbbb"
    async with bot(discord, tmp_path, anyio_backend_name, wrong) as process:
        text = await said(process)
        assert process.returncode == 1
        assert "DISCORD_TOKEN" in sentence(text)
        assert wrong not in text


@pytest.mark.parametrize(("code", "told"), [(4004, "token"), (4014, "intents")])
async def test_a_gateway_that_shuts_the_door_is_one_sentence(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str, code: int, told: str
) -> None:
    async with bot(discord, tmp_path, anyio_backend_name) as process:
        await discord.until(lambda: discord.gateway.connected and discord.state.commands.of[None], 20)
        discord.gateway.close(code)
        text = await said(process)
        assert process.returncode == 1
        assert told in sentence(text)


async def test_a_missing_permission_is_one_sentence(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    discord.fail("PUT", "/commands", status=403, code=50001, message="Missing Access", times=None)
    async with bot(discord, tmp_path, anyio_backend_name) as process:
        text = await said(process)
        assert process.returncode == 1
        assert "applications.commands" in sentence(text)
