"""What an operator does to a living bot: steer its jobs, let it finish, start it twice."""

from __future__ import annotations

import signal
from pathlib import Path

import anyio

from app.simulator.faults import FailPrompt, Request
from tests.discord.fake import FakeDiscord
from tests.discord.stage import job_of, words
from tests.process.bot import PATIENCE, bot, comfyui, imagine, jobs, said, says, send_signal, until


async def test_jobs_are_cancelled_and_retried_while_the_bot_runs(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    async with comfyui(tmp_path) as (simulator, address):
        simulator.faults.ask(Request(hold=True))
        async with bot(discord, tmp_path, anyio_backend_name, comfy=address):
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
            interaction = imagine(discord, "a cat")
            await discord.until(lambda: "[Cancel]" in says(discord, interaction), PATIENCE)
            job = job_of(discord.message(interaction))
            assert "cancel it first" in await jobs(discord, tmp_path, "retry", job[:8])
            assert "The bot will cancel" in await jobs(discord, tmp_path, "cancel", job[:8])
            await discord.until(lambda: "Cancelled" in says(discord, interaction), PATIENCE)
            simulator.faults.ask(Request(hold=False))
            assert "The bot will retry" in await jobs(discord, tmp_path, "retry", job[:8])
            await discord.until(lambda: "[Again]" in says(discord, interaction), PATIENCE)
            assert job_of(discord.message(interaction)) != job
            assert "cancelled" in await jobs(discord, tmp_path, "show", job)


async def test_a_job_that_failed_is_retried_by_the_next_bot(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    async with comfyui(tmp_path) as (simulator, address):
        simulator.faults.ask(Request(fail_prompt=FailPrompt(count=1, status=400)))
        async with bot(discord, tmp_path, anyio_backend_name, comfy=address) as process:
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
            interaction = imagine(discord, "a cat")
            await discord.until(lambda: "[Retry]" in says(discord, interaction), PATIENCE)
            send_signal(process, signal.SIGTERM)
            await said(process)
        await jobs(discord, tmp_path, "retry", job_of(discord.message(interaction)))
        async with bot(discord, tmp_path, anyio_backend_name, comfy=address):
            await discord.until(lambda: "[Again]" in says(discord, interaction), PATIENCE)


async def test_a_bot_that_drains_brings_what_runs_and_leaves_the_rest_for_later(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    async with comfyui(tmp_path) as (simulator, address):
        simulator.faults.ask(Request(hold=True))
        async with bot(discord, tmp_path, anyio_backend_name, "--drain", comfy=address) as process:
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
            interactions = [imagine(discord, f"picture {number}") for number in range(4)]
            for interaction in interactions:
                await discord.until(lambda interaction=interaction: "[Cancel]" in says(discord, interaction), PATIENCE)
            await until(lambda: simulator.running is not None and len(simulator.pending) == 1)
            send_signal(process, signal.SIGTERM)
            late = imagine(discord, "too late")
            await discord.until(lambda: "about to restart" in heard(discord), PATIENCE)
            simulator.faults.ask(Request(hold=False))
            assert "Traceback" not in await said(process)
            assert process.returncode == 0
        drawn = [interaction for interaction in interactions if "[Again]" in says(discord, interaction)]
        waiting = [interaction for interaction in interactions if "Your result is safe" in says(discord, interaction)]
        assert (len(drawn), len(waiting)) == (2, 2)
        assert "[Cancel]" not in says(discord, late)
        async with bot(discord, tmp_path, anyio_backend_name, comfy=address):
            for interaction in waiting:
                await discord.until(lambda interaction=interaction: "[Again]" in says(discord, interaction), PATIENCE)


async def test_a_second_signal_ends_the_draining(discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str) -> None:
    async with comfyui(tmp_path) as (simulator, address):
        simulator.faults.ask(Request(hold=True))
        async with bot(discord, tmp_path, anyio_backend_name, "--drain", comfy=address) as process:
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
            interaction = imagine(discord, "a cat")
            await discord.until(lambda: "[Cancel]" in says(discord, interaction), PATIENCE)
            send_signal(process, signal.SIGINT)
            imagine(discord, "too late")
            await discord.until(lambda: "about to restart" in heard(discord), PATIENCE)
            # The server holds its job for ever, so draining alone would not end.
            send_signal(process, signal.SIGINT)
            await said(process)
            assert process.returncode == 130
            assert len(simulator.ended_at) == 0


async def test_a_second_bot_on_one_journal_is_refused(
    discord: FakeDiscord, tmp_path: Path, anyio_backend_name: str
) -> None:
    async with bot(discord, tmp_path, anyio_backend_name):
        await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        async with bot(discord, tmp_path, anyio_backend_name) as second:
            with anyio.fail_after(PATIENCE):
                text = await said(second)
        assert second.returncode == 1
        assert text.count("\n") == 1
        assert text.startswith("atelier: ")


def heard(discord: FakeDiscord) -> str:
    """Everything that stands anywhere now."""
    return "\n".join(words(message) for message in discord.messages)
