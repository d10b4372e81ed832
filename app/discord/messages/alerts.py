"""Alerts in Discord: messages to the owner of the application, and messages in a channel."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from app.discord.messages.delivery import LONGEST_NONCE
from app.discord.messages.ports import Away, MessageSender, SendError
from app.discord.text import escape
from app.discord.ui.components import Card, Text

ACCENT = 0xE0A030
"""The colour of an alert: amber."""


class OwnerAlerts:
    """See `app.ports.AlertChannel`. `owner` asks Discord for the owner's id, and raises `SendError`."""

    def __init__(self, sender: MessageSender, owner: Callable[[], Awaitable[str]]) -> None:
        self._sender = sender
        self._owner = owner

    async def send(self, text: str) -> None:
        """Send a direct message to the owner."""
        with _as_lost():
            await self._sender.direct_message(await self._owner(), _card(text), _nonce(text))


class ChannelAlerts:
    """See `app.ports.AlertChannel`. Posts in the channel with this id."""

    def __init__(self, sender: MessageSender, channel: str) -> None:
        self._sender = sender
        self._channel = channel

    async def send(self, text: str) -> None:
        """Post a message in the channel."""
        with _as_lost():
            await self._sender.create(self._channel, _card(text), _nonce(text))


@contextmanager
def _as_lost() -> Generator[None]:
    """Translate every refusal of Discord into `ConnectionLost`."""
    try:
        yield
    except Away:
        raise
    except SendError as error:
        raise Away(str(error)) from error


def _card(text: str) -> Card:
    return Card((Text(escape(text)),), ACCENT)


def _nonce(text: str) -> str:
    """The same for each try of an alert, so that Discord posts it once."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:LONGEST_NONCE]
