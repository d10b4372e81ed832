"""The bot as a process: how it begins, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import Process

from tests.discord.fake import FakeDiscord
from tests.discord.stage import words
from tests.process.bot import PATIENCE, bot, said, says, send_signal, until
from tests.system.test_systemd import Systemd


def sentence(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith("atelier:")]
    assert "Traceback" not in text
    return line


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_and_leaves_a_true_sentence(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str, signum: signal.Signals
) -> None:
    async with bot(discord, tmp_path, anyio_backend_name) as process:
        await discord.until(lambda: discord.state.commands.of[None])
        asked = discord.slash("txt2img", prompt="a cat")
        await discord.until(lambda: "[Cancel]" in says(discord, asked))
        send_signal(process, signum)
        text = await said(process)
        assert process.returncode == (0 if signum is signal.SIGTERM else 130)
        assert "Your result is safe" in words(discord.message(asked))
        assert "Traceback" not in text
        assert asked.token not in text
        (ready,) = [line for line in text.splitlines() if "the bot is ready" in line]
        assert re.search(r"bot=atelier", ready)
        assert re.search(r"commands=\d+ ", ready)
        assert "servers=['127.0.0.1:9']" in ready
        assert "https://discord.com/oauth2/authorize?client_id=" in ready


async def test_a_wrong_token_is_one_sentence(discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str) -> None:
    wrong = discord.token[:-4] + "bbbb"
    async with bot(discord, tmp_path, anyio_backend_name, DISCORD_TOKEN=wrong) as process:
        text = await said(process)
        assert process.returncode == 1
        assert "DISCORD_TOKEN" in sentence(text)
        assert wrong not in text


@pytest.mark.parametrize(("code", "told"), [(4004, "token"), (4014, "intents")])
async def test_a_gateway_that_shuts_the_door_is_one_sentence(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str, code: int, told: str
) -> None:
    async with bot(discord, tmp_path, anyio_backend_name) as process:
        await discord.until(lambda: discord.gateway.connected and discord.state.commands.of[None])
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


async def test_a_bot_with_a_port_answers_until_it_ends_and_logs_an_object_on_each_line(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    systemd = Systemd(f"@atelier-process-{os.getpid()}-{anyio_backend_name}")
    settings = {"ATELIER_HTTP": "127.0.0.1:0", "ATELIER_LOG": "json", "NOTIFY_SOCKET": systemd.address}
    starting = bot(discord, tmp_path, anyio_backend_name, **settings)  # pyright: ignore[reportArgumentType]
    with closing(systemd):
        await _live_as_a_service(discord, starting, systemd)


async def _live_as_a_service(
    discord: FakeDiscord, starting: AbstractAsyncContextManager[Process], systemd: Systemd
) -> None:
    heard: list[str] = []

    def hears(*messages: str) -> bool:
        heard.extend(systemd.heard())
        return heard == [*messages]

    async with starting as process:
        assert process.stderr is not None
        text = ""
        with anyio.fail_after(PATIENCE):
            while "the bot is ready" not in text:
                text += (await process.stderr.receive()).decode()
        (address,) = re.findall(r'"address": ?"(http://127\.0\.0\.1:\d+)"', text)
        async with httpx.AsyncClient(base_url=address) as client:
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).json()["ready"]
            assert "atelier_discord_connected 1" in (await client.get("/metrics")).text
        await until(lambda: hears("READY=1"))
        send_signal(process, signal.SIGHUP)
        await until(lambda: hears("READY=1", "RELOADING=1", "READY=1"))
        # The end does not wait for this connection, which is idle.
        async with await anyio.connect_tcp("127.0.0.1", int(address.rpartition(":")[2])):
            send_signal(process, signal.SIGTERM)
            text += await said(process)
        assert process.returncode == 0
        assert hears("READY=1", "RELOADING=1", "READY=1", "STOPPING=1")
        lines = [json.loads(line) for line in text.splitlines()]
        (ready,) = [line for line in lines if line["event"] == "the bot is ready"]
        assert (ready["bot"], ready["servers"]) == ("atelier", ["127.0.0.1:9"])
        assert ready["commands"] > 10
        assert discord.token not in text


async def test_a_bot_whose_port_is_taken_or_wrong_says_so_once_and_runs_on(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        # One of them on each backend: both are followed by the same code.
        address = f"127.0.0.1:{taken.getsockname()[1]}" if anyio_backend_name == "trio" else "8899"
        async with bot(discord, tmp_path, anyio_backend_name, ATELIER_HTTP=address) as process:
            await discord.until(lambda: discord.state.commands.of[None])
            send_signal(process, signal.SIGTERM)
            text = await said(process)
    (line,) = [line for line in text.splitlines() if "health and metrics are not served" in line]
    assert ("is used by another program" if anyio_backend_name == "trio" else "write a host and a port") in line
    assert process.returncode == 0
