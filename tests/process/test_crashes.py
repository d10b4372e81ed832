"""The bot killed at each commit, with jobs in every state, and started again: every result comes exactly once."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from app.core.jobs.job import Job, State
from app.journal.opening import JOURNAL, open_store
from app.simulator.engine.simulator import Simulator
from app.simulator.faults import FailPrompt, Request
from tests.discord.fake import FakeDiscord, Interaction, buttons_of, media_of
from tests.discord.stage import job_of, modal
from tests.process.bot import PATIENCE, bot, comfyui, imagine, says, until

STATES = (
    "accepted:2",
    "submitting:3",
    "queued:2",
    "running:2",
    "finished:2",
    "delivered:2",
    "failed",
    "cancelled",
    "lost",
)
"""With the second job or the third, so that others stand elsewhere meanwhile."""

LIVES = [
    (f"{when}:{state}", *(("trio", "asyncio") if number % 2 else ("asyncio", "trio")))
    for state_number, state in enumerate(STATES)
    for number, when in enumerate(("before", "after"), state_number)
]
"""Each point, with the backend of the bot that dies there and that of the next one: a journal is the same for both."""


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the bots' are parameters."""
    return "asyncio"


def written(folder: Path) -> list[Job]:
    """All jobs, as the journal has them."""
    with open_store(folder / "data" / JOURNAL, clock=time.time) as store:
        return [entry.job for entry in store.newest("", 50)]


async def prepare(discord: FakeDiscord, simulator: Simulator, point: str) -> list[Interaction]:
    """Ask for four pictures, and see to it that the point will come."""
    state = point.split(":")[1]
    if state == "failed":
        simulator.faults.ask(Request(fail_prompt=FailPrompt(count=1, status=400)))
    if state in {"cancelled", "lost"}:
        simulator.faults.ask(Request(hold=True))
    interactions = [imagine(discord, f"picture {number}") for number in range(4)]
    if state == "cancelled":
        await discord.until(lambda: "[Cancel]" in says(discord, interactions[1]), PATIENCE)
        message = discord.message(interactions[1])
        discord.click(message, buttons_of(message)["Cancel"])
    return interactions


async def kill_the_server(simulator: Simulator, folder: Path, process: Process) -> None:
    """Let the server die whenever the bot has seen it work, for as long as the bot lives."""

    with open_store(folder / "data" / JOURNAL, clock=time.time) as store:

        def seen() -> bool:
            at_work = {simulator.running[1]} if simulator.running else set[str]()
            jobs = [entry.job for entry in store.newest("running", 50)]
            return process.returncode is not None or any(job.attempt and job.attempt.prompt in at_work for job in jobs)

        while process.returncode is None:
            await until(seen)
            simulator.faults.ask(Request(restart=0.1, hold=True))


def successes(simulator: Simulator) -> list[str]:
    return [prompt for prompt, entry in simulator.history.items() if '"success"' in json.dumps(entry)]


@pytest.mark.parametrize(("point", "first", "second"), LIVES)
async def test_a_bot_killed_at_a_commit_delivers_everything_once(
    discord: FakeDiscord, tmp_path: Path, point: str, first: str, second: str
) -> None:
    # Between these two commits a media worker marks the results.
    marks_results = point.partition(":")[2].startswith(("finished", "delivered"))
    async with comfyui(tmp_path) as (simulator, address):
        async with bot(
            discord, tmp_path, first, comfy=address, marks_results=marks_results, ATELIER_CRASH=point
        ) as process:
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
            interactions = await prepare(discord, simulator, point)
            if point.endswith("lost"):
                await kill_the_server(simulator, tmp_path, process)
            with anyio.fail_after(PATIENCE):
                assert await process.wait() == -signal.SIGKILL
        accepted = {job.id for job in written(tmp_path)}
        promised = {
            job_of(discord.message(interaction))
            for interaction in interactions
            if "[Cancel]" in says(discord, interaction)
        }
        assert promised <= accepted
        simulator.faults.ask(Request(hold=False))
        path = tmp_path / "data" / JOURNAL
        async with bot(discord, tmp_path, second, comfy=address, marks_results=marks_results):
            with open_store(path, clock=time.time) as store:
                await until(lambda: all(entry.job.notified for entry in store.newest("", 50)))
    ends = {job.id: job.state for job in written(tmp_path)}
    assert ends.keys() == accepted
    assert Counter(ends.values())[State.DELIVERED] >= len(accepted) - 1
    delivered = [job_of(message) for message in discord.messages if buttons_of(message)]
    assert Counter(delivered) == Counter(accepted)
    for message in discord.messages:
        if buttons_of(message):
            assert len(media_of(message)) == (ends[job_of(message)] is State.DELIVERED)
    if not point.endswith("lost"):
        # The one that is cancelled may be at work already, and is interrupted then.
        assert len(successes(simulator)) == Counter(ends.values())[State.DELIVERED]


@pytest.mark.parametrize(
    ("when", "first", "second", "prompt"),
    [("before", "trio", "asyncio", "picture 3"), ("after", "asyncio", "trio", "a dog")],
)
async def test_a_bot_killed_at_the_commit_of_an_edit_makes_what_the_journal_has(
    discord: FakeDiscord, tmp_path: Path, when: str, first: str, second: str, prompt: str
) -> None:
    async with comfyui(tmp_path) as (simulator, address):
        simulator.faults.ask(Request(hold=True))
        async with bot(discord, tmp_path, first, comfy=address, ATELIER_CRASH=f"{when}:accepted:5") as process:
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
            for number in range(3):
                before = imagine(discord, f"picture {number}")
                await discord.until(lambda asked=before: "[Cancel]" in says(discord, asked), PATIENCE)
            last = imagine(discord, "picture 3")
            await discord.until(lambda: "[Edit]" in says(discord, last), PATIENCE)
            message = discord.message(last)
            opened = discord.click(message, buttons_of(message)["Edit"])
            await discord.until(lambda: opened.response is not None, PATIENCE)
            discord.submit_modal(opened, modal(opened) | {"prompt": "a dog"})
            with anyio.fail_after(PATIENCE):
                assert await process.wait() == -signal.SIGKILL
        assert "a dog" not in says(discord, last), "nobody was shown it"
        (job,) = [job for job in written(tmp_path) if job.id == job_of(message)]
        assert job.request.values["prompt"] == prompt
        simulator.faults.ask(Request(hold=False))
        async with bot(discord, tmp_path, second, comfy=address):
            await discord.until(lambda: media_of(discord.message(last)), PATIENCE)
        assert f"### {prompt}" in says(discord, last)
        made = json.dumps(simulator.history)
        assert (f'"{prompt}"' in made, len(successes(simulator))) == (True, 4)
        assert ('"a dog"' in made) == (when == "after")
