"""A fake Discord for whoever asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.discord.fake import FakeDiscord, running


@pytest.fixture
def fake() -> Iterator[FakeDiscord]:
    with running() as discord:
        yield discord
