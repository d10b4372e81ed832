"""The Post port: speaking in Discord, in our own words. What can go wrong has names that say what to do next."""

from __future__ import annotations

from typing import Protocol

from app.discord.blocks import Card
from app.discord.place import Seen
from app.ports import ConnectionLost


class PostError(Exception):
    """Discord did not do what we asked."""


class Expired(PostError):
    """The interaction's token is no good any more: speak as the bot."""


class Gone(PostError):
    """The message, or the way to it, is not there for us: deleted, no permission, too old. Speak elsewhere."""


class TooLarge(PostError):
    """The files are too large: send smaller ones."""


class Away(PostError, ConnectionLost):
    """Discord does not answer: try again."""


class Unacceptable(PostError):
    """Discord does not take it, and would not the next time: a mistake of ours. The text says which."""


class Post(Protocol):
    """Every verb raises `PostError`. What is said replaces all that was said there before, files included."""

    async def answer(self, token: str, card: Card) -> Seen:
        """Edit the message with which an interaction was answered."""
        ...

    async def edit(self, channel: str, message: str, card: Card) -> None:
        """Edit one of our messages, as the bot."""
        ...

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        """Say something new, once for each nonce, however often it is tried."""
        ...

    async def write_to(self, user: str, card: Card, nonce: str) -> Seen:
        """Say something new to one person alone, once for each nonce."""
        ...

    async def whisper(self, token: str, card: Card) -> None:
        """Say something to whoever interacted, seen by nobody else."""
        ...

    async def add(self, token: str, card: Card) -> Seen:
        """Say something more in answer to an interaction, for all to see."""
        ...

    async def withdraw(self, token: str) -> None:
        """Delete the message with which an interaction was answered, or on which it happened."""
        ...

    async def delete(self, channel: str, message: str) -> None:
        """Delete one of our messages, as the bot."""
        ...
