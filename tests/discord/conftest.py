"""A fake Discord for whoever asks, and the stage on which the bot plays."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from app import logging as logs
from tests.conftest import use_plain_tracebacks
from tests.discord.fake import FakeDiscord, running
from tests.discord.stage import Stage, stage_for


@pytest.fixture(autouse=True)
def plain_logs() -> Iterator[None]:
    """Logs as the program writes them, because some tests read them."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    logs.configure(debug=False)
    # Some tests read what an operator reads with --debug only.
    logging.getLogger("app").setLevel(logging.DEBUG)
    yield
    use_plain_tracebacks()
    logging.basicConfig(handlers=handlers, level=level, force=True)


@pytest.fixture
def fake() -> Iterator[FakeDiscord]:
    with running() as discord:
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
