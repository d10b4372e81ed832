"""What the tests with real processes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.discord.fake import FakeDiscord, running


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    """The fake Discord, on a real port."""
    with running() as fake:
        yield fake
