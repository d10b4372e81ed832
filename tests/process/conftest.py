"""What the tests with real processes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.discord.fake import FakeDiscord, running
from tests.discord.fake.interactions import UNHURRIED


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    """The fake Discord, on a real port."""
    with running() as fake:
        fake.state.interactions.patience = UNHURRIED
        yield fake
