"""Two fronts as processes, with a fake Discord, a simulated ComfyUI and a real Valkey: one is active at a time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from app.core.jobs.job import Job, State
from app.journal.sqlite import JOURNAL
from app.journal.store import open_store
from app.journal.whole_copies import standing_of
from app.simulator.faults import Request
from tests.discord.fake import FakeDiscord, Interaction, buttons_of, media_of
from tests.discord.stage import job_of
from tests.engine.valkey import Valkey
from tests.process.bot import PATIENCE, bot, comfyui, imagine, says, until


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the fronts' are parameters."""
    return "asyncio"


@pytest.fixture
def valkey() -> Generator[Valkey]:
    server = Valkey()
    server.start()
    yield server
    server.close()


def front(
    discord: FakeDiscord, folder: Path, backend: str, valkey: Valkey, comfy: str, *options: str
) -> AbstractAsyncContextManager[Process]:
    """A front, named like its folder."""
    folder.mkdir(exist_ok=True)
    url = f"valkey://127.0.0.1:{valkey.port}"
    name = ("--engine", url, "--name", folder.name)
    return bot(discord, folder, backend, *name, *options, comfy=comfy, command="front")


def is_shown(discord: FakeDiscord, asked: Interaction) -> bool:
    """Whether the answer has a picture; in the fake's thread."""
    message = discord.state.messages.all.get(asked.original or "")
    return message is not None and bool(media_of(message))


def written(folder: Path) -> list[Job]:
    """All jobs, as the journal has them."""
    with open_store(folder / "data" / JOURNAL, clock=time.time) as store:
        return [entry.job for entry in store.newest("", 100)]


def follows(folder: Path, other: Path) -> bool:
    """Whether a copy is as far as the journal of the other front."""
    here, there = (standing_of(each / "data" / JOURNAL).position for each in (folder, other))
    return here is not None and here == there


async def test_when_the_active_front_is_killed_the_other_ends_every_acknowledged_job_once(
    discord: FakeDiscord, tmp_path: Path, valkey: Valkey
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    async with comfyui(tmp_path) as (simulator, address), front(discord, first, "trio", valkey, address) as active:
        with anyio.fail_after(PATIENCE):
            await discord.until(lambda: discord.state.commands.of[None], PATIENCE)
        simulator.faults.ask(Request(hold=True))
        interactions = [imagine(discord, f"picture {number}") for number in range(3)]
        for each in interactions:
            await discord.until(lambda asked=each: "[Cancel]" in says(discord, asked), PATIENCE)
        async with front(discord, second, "asyncio", valkey, address):
            await until(lambda: follows(second, first))
            interactions += [imagine(discord, "picture 3")]
            await discord.until(lambda: "[Cancel]" in says(discord, interactions[-1]), PATIENCE)
            active.kill()
            await active.wait()
            simulator.faults.ask(Request(hold=False))
            for each in interactions:
                await discord.until(lambda asked=each: is_shown(discord, asked), PATIENCE)
            later = imagine(discord, "picture 4")
            await discord.until(lambda: is_shown(discord, later), PATIENCE)
            await until(lambda: all(job.notified for job in written(second)))
    ends = {job.id: job.state for job in written(second)}
    assert set(ends.values()) == {State.DELIVERED}
    delivered = [job_of(message) for message in discord.messages if buttons_of(message)]
    assert Counter(delivered) == Counter(set(ends))
    assert len(ends) == 5
