"""What every reply shares: ways to Discord, and what the house knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from app.discord.blocks import Upload
from app.discord.post import Post
from app.discord.traffic import Traffic
from app.discord.view import Estimate
from app.events import JobId


class Fit(Protocol):
    """Make files fit for Discord."""

    def __call__(
        self, files: Sequence[str], limit: int, person: str
    ) -> AbstractAsyncContextManager[tuple[list[Upload], list[str]]]:
        """A person's files, each of at most `limit` bytes, and a sentence about each that is not as it was.

        They are there for the length of the block; others wait for theirs to be gone, where that is much.
        """
        ...


class World(Protocol):
    """What every reply shares: ways to Discord, and what the house knows."""

    @property
    def post(self) -> Post:
        """The way to Discord."""
        ...

    @property
    def traffic(self) -> Traffic:
        """Who else speaks in a channel."""
        ...

    @property
    def fit(self) -> Fit:
        """How files are made to fit."""
        ...

    @property
    def now(self) -> Callable[[], float]:
        """Seconds since 1970."""
        ...

    @property
    def estimate(self) -> Estimate:
        """How long a place in the queue takes."""
        ...

    async def moved(self, job: JobId, place: str) -> None:
        """Have the journal know where a job is shown."""
        ...
