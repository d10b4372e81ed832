"""A fake Discord for whoever asks, and the stage on which the bot plays."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from tests.discord.fake import FakeDiscord, running
from tests.discord.fake.interactions import UNHURRIED
from tests.discord.stage import Stage, stage_for
from tests.process.media_workers import forking_media_workers


@pytest.fixture(autouse=True)
def logs_as_the_program_writes_them(program_logs: None) -> None:
    """Some tests read what an operator reads."""


@pytest.fixture(autouse=True)
def media_workers_start_fast() -> Iterator[None]:
    """Their starts are the subject of tests/media_worker."""
    with forking_media_workers():
        yield


@pytest.fixture
def fake() -> Iterator[FakeDiscord]:
    with running() as discord:
        discord.state.interactions.patience = UNHURRIED
        yield discord


@pytest.fixture
def discord(fake: FakeDiscord) -> FakeDiscord:
    """The fake, for tests in which it is the whole world."""
    return fake


@pytest.fixture
async def stage(fake: FakeDiscord, tmp_path: Path) -> AsyncGenerator[Stage]:
    """A fake Discord and a simulator that draws fast; the bot comes with `async with stage.bot()`."""
    async with stage_for(fake, tmp_path) as found:
        yield found
