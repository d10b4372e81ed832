"""The bot's start, as a process: what waiting can mend is waited for, and anything else is one sentence."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from app.core.jobs.job import Job
from app.discord.gateway.bot import check_token
from app.discord.gateway.outage import SetupError
from app.journal.opening import JOURNAL, instance_lock, open_store
from tests.discord.fake import TOKEN, FakeDiscord
from tests.discord.stage import job_of, words
from tests.process.bot import PATIENCE, bot, comfyui, imagine, jobs, said, says, send_signal, until


async def heard(process: Process, sentence: str) -> str:
    """Read stderr until this was said; all of it so far."""
    assert process.stderr is not None
    text = ""
    with anyio.fail_after(PATIENCE):
        while sentence not in text:
            text += (await process.stderr.receive()).decode()
    return text


MALFORMED = (
    "x",
    "not a token",
    "MTEwMDAwMDAwMDAwMDAwMDAwMA",
    "MTEwMDAwMDAwMDAwMDAwMDAwMA.GfAkEt",
    "Bot MTEwMDAwMDAwMDAwMDAwMDAwMA.GfAkEt." + "a" * 38,
    "*" * 24 + ".GfAkEt." + "a" * 38,
    "a" * 24 + ".GfAkEt." + "a" * 38,
    "MTEwMDAwMDAwMDAwMDAwMDAwMA.Gf\u00e4kEt." + "a" * 38,
    "MTEwMDAwMDAwMDAwMDAwMDAwMA.GfAkEt.aa\u2026aa",
    "MTEwMDAwMDAwMDAwMDAwMDAwMA.GfAk\nEt.aaaaaaaaaa",
)


@pytest.mark.parametrize("token", MALFORMED)
def test_what_cannot_be_a_token_is_known_before_hikari_takes_it_apart(token: str) -> None:
    with pytest.raises(SetupError, match="is not a bot's token"):
        check_token(token)


def test_a_token_is_taken() -> None:
    check_token(f" {TOKEN}\n")


async def test_a_malformed_token_is_one_sentence(discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str) -> None:
    async with bot(discord, tmp_path, anyio_backend_name, DISCORD_TOKEN="a" * 24 + ".GfAkEt." + "a" * 38) as process:
        with anyio.fail_after(PATIENCE):
            text = await said(process)
        assert process.returncode == 1
        (line,) = [line for line in text.splitlines() if "connection lost" not in line]
        assert line.startswith("atelier: DISCORD_TOKEN is not a bot's token")


async def test_the_start_deletes_what_a_killed_bot_left_unfinished(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    results = tmp_path / "data" / "results"
    results.mkdir(parents=True)
    for name in ("a.png", "a.png.part"):
        (results / name).touch()
    wrong = "a" * 24 + ".GfAkEt." + "a" * 38
    with instance_lock(tmp_path / "data" / JOURNAL):
        async with bot(discord, tmp_path, anyio_backend_name, DISCORD_TOKEN=wrong) as process:
            assert "in use by another Atelier" in await said(process)
    assert (results / "a.png.part").exists(), "it may belong to the bot that runs"
    async with bot(discord, tmp_path, anyio_backend_name, DISCORD_TOKEN=wrong) as process:
        await said(process)
    assert [path.name for path in results.iterdir()] == ["a.png"]


async def test_a_bot_whose_journal_is_deleted_ends_before_it_accepts_a_job(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    async with bot(discord, tmp_path, anyio_backend_name) as process:
        await discord.until(lambda: discord.gateway.connected and discord.state.commands.of[None], PATIENCE)
        (tmp_path / "data" / JOURNAL).unlink()
        asked = imagine(discord, "a cat")
        text = await said(process)
        assert process.returncode == 1
        assert text.splitlines()[-1].startswith(f"atelier: The journal {tmp_path / 'data' / JOURNAL} was deleted or")
        assert "Traceback" not in text
        assert "queue" not in says(discord, asked)


def refused(discord: FakeDiscord) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/api/v10"


def unknown(discord: FakeDiscord) -> str:
    return "http://discord.invalid/api/v10"


@pytest.mark.parametrize("address", [refused, unknown])
async def test_a_discord_that_is_not_there_is_waited_for_and_said_once(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str, address: Callable[[FakeDiscord], str]
) -> None:
    async with bot(discord, tmp_path, anyio_backend_name, DISCORD_REST_URL=address(discord)) as process:
        text = await heard(process, "Discord is not reached")
        began = time.monotonic()
        send_signal(process, signal.SIGTERM)
        text += await said(process)
        assert process.returncode == 0
        assert time.monotonic() - began < PATIENCE
        assert text.count("Discord is not reached") == 1
        assert "Traceback" not in text


@pytest.mark.parametrize(
    ("path", "how"),
    [
        ("/oauth2/applications/@me", {"status": 500, "times": 3}),
        ("/gateway/bot", {"status": 503, "times": 3}),
        ("/gateway/bot", {"abort": True, "times": 8}),
        ("/commands", {"status": 500, "times": 3}),
    ],
)
async def test_a_discord_that_fails_at_the_start_is_waited_for_and_then_used(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str, path: str, how: dict[str, object]
) -> None:
    discord.fail("*", path, **how)
    async with bot(discord, tmp_path, anyio_backend_name) as process:
        await discord.until(lambda: discord.gateway.connected and discord.state.commands.of[None], PATIENCE)
        asked = imagine(discord, "a cat")
        await discord.until(lambda: "[Cancel]" in says(discord, asked), PATIENCE)
        send_signal(process, signal.SIGTERM)
        text = await said(process)
        assert process.returncode == 0
        assert "Traceback" not in text
        assert text.count("trying again until it works") == 1


async def test_a_discord_that_hangs_at_the_start_does_not_keep_the_bot_from_ending(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    discord.fail("GET", "/oauth2", hold=True, times=None)
    async with bot(discord, tmp_path, anyio_backend_name) as process:
        await discord.until(lambda: discord.requests, PATIENCE)
        send_signal(process, signal.SIGTERM)
        with anyio.fail_after(PATIENCE):
            assert "Traceback" not in await said(process)
        assert process.returncode == 0


async def test_a_gateway_that_is_down_at_the_start_is_waited_for(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    discord.gateway.refusing = True
    async with bot(discord, tmp_path, anyio_backend_name) as process:
        text = await heard(process, "failed to communicate with server")
        discord.gateway.refusing = False
        await discord.until(lambda: discord.gateway.connected and discord.state.commands.of[None], PATIENCE)
        send_signal(process, signal.SIGTERM)
        assert "Traceback" not in text + await said(process)
        assert process.returncode == 0


async def test_what_an_operator_wants_while_discord_is_away_is_shown_when_it_is_back(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    async with comfyui(tmp_path) as (_, address):
        async with bot(discord, tmp_path, anyio_backend_name, comfy=address) as process:
            await discord.until(lambda: discord.gateway.connected and discord.state.commands.of[None], PATIENCE)
            asked = imagine(discord, "a cat")
            await discord.until(lambda: "[Again]" in says(discord, asked), PATIENCE)
            job = job_of(discord.message(asked))
            await until(lambda: "delivered" in _shown(tmp_path, job))
            send_signal(process, signal.SIGTERM)
            await said(process)
        discord.fail("GET", "/oauth2", status=503, times=None)
        async with bot(discord, tmp_path, anyio_backend_name, comfy=address):
            assert "The bot will retry" in await jobs(discord, tmp_path, "retry", job)
            await until(lambda: len(_finished(tmp_path)) == 2)
            discord.heal()
            await discord.until(lambda: "[Again]" in says(discord, asked) and job_of(discord.message(asked)) != job, 90)
            assert len([one for one in discord.messages if "[Again]" in words(one)]) == 1


def _finished(folder: Path) -> list[Job]:
    with open_store(folder / "data" / JOURNAL, clock=time.time) as store:
        return [entry.job for entry in store.newest("", 10) if entry.job.terminal_update is not None]


def _shown(folder: Path, job: str) -> str:
    return "delivered" if any(one.id == job and one.notified for one in _finished(folder)) else ""
