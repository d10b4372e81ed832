"""What a live message needs of Discord and of the rest of the bot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from app.discord.message_ref import Seen
from app.discord.messages.channel_pacing import ChannelPacing
from app.discord.ui.components import Card, Upload
from app.discord.ui.job_view import Estimate
from app.events import JobId
from app.ports import ConnectionLost


class SendError(Exception):
    """Discord did not do what we asked."""


class Expired(SendError):
    """The interaction's token is no good any more: speak as the bot."""


class Gone(SendError):
    """The message, or the way to it, is not there for us: deleted, no permission, too old. Speak elsewhere."""


class TooLarge(SendError):
    """The files are too large: send smaller ones."""


class Away(SendError, ConnectionLost):
    """Discord does not answer: try again."""


class Unacceptable(SendError):
    """Discord does not take it, and would not the next time: a mistake of ours. The text says which."""


class MessageSender(Protocol):
    """Every verb raises `SendError`. What is said replaces all that was said there before, files included."""

    async def edit_original(self, token: str, card: Card) -> Seen:
        """Edit the message with which an interaction was answered."""
        ...

    async def edit(self, channel: str, message: str, card: Card) -> None:
        """Edit one of our messages, as the bot."""
        ...

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        """Say something new, once for each nonce, however often it is tried."""
        ...

    async def direct_message(self, user: str, card: Card, nonce: str) -> Seen:
        """Say something new to one person alone, once for each nonce."""
        ...

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        """Say something to whoever interacted, seen by nobody else."""
        ...

    async def followup(self, token: str, card: Card) -> Seen:
        """Say something more in answer to an interaction, for all to see."""
        ...

    async def delete_original(self, token: str) -> None:
        """Delete the message with which an interaction was answered, or on which it happened."""
        ...

    async def delete(self, channel: str, message: str) -> None:
        """Delete one of our messages, as the bot."""
        ...


class PrepareFiles(Protocol):
    """Make files fit for Discord."""

    def __call__(
        self, files: Sequence[str], limit: int, person: str
    ) -> AbstractAsyncContextManager[tuple[list[Upload], list[str]]]:
        """A person's files, each of at most `limit` bytes, and a sentence about each that is not as it was.

        They are there for the length of the block; others wait for theirs to be gone, where that is much.
        """
        ...


class MessageContext(Protocol):
    """What every reply shares: ways to Discord, and what the house knows."""

    @property
    def post(self) -> MessageSender:
        """The way to Discord."""
        ...

    @property
    def pacing(self) -> ChannelPacing:
        """Who else speaks in a channel."""
        ...

    @property
    def fit(self) -> PrepareFiles:
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

    async def place_changed(self, job: JobId, place: str) -> None:
        """Have the journal know where a job is shown."""
        ...
