"""The bot as a process: how it begins, and how it ends."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.discord.fake import FakeDiscord
from tests.discord.stage import words
from tests.process.bot import bot, said, says, send_signal


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
        asked = discord.slash("imagine", prompt="a cat")
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
