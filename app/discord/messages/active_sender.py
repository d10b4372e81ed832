"""Shows jobs only while no other front may do so: what this one knows of them may be old by then."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from app.discord.message_ref import Seen
from app.discord.messages.ports import Away, MessageSender, Notice
from app.discord.request_deadline import begins_within
from app.discord.ui.components import Card
from app.events import JobId


class ActiveSender:
    """See `app.discord.messages.ports.MessageSender`. Raises `Away` unless this front may show jobs.

    `active_for` returns for how many seconds it may: requests begin within them.
    """

    def __init__(self, sender: MessageSender, active_for: Callable[[], float]) -> None:
        self._sender = sender
        self._active_for = active_for

    @contextmanager
    def _active(self) -> Generator[None]:
        if (seconds := self._active_for()) <= 0:
            raise Away("inactive")
        with begins_within(seconds):
            yield

    async def edit_original(self, token: str, card: Card) -> Seen:
        """See `MessageSender`."""
        with self._active():
            return await self._sender.edit_original(token, card)

    async def edit(self, channel: str, message: str, card: Card) -> None:
        """See `MessageSender`."""
        with self._active():
            await self._sender.edit(channel, message, card)

    async def goes_on(self, channel: str, message: str, job: JobId) -> bool:
        """See `MessageSender`."""
        with self._active():
            return await self._sender.goes_on(channel, message, job)

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        """See `MessageSender`."""
        with self._active():
            return await self._sender.create(channel, card, nonce)

    async def direct_message(self, user: str, card: Card, nonce: str) -> Seen:
        """See `MessageSender`."""
        with self._active():
            return await self._sender.direct_message(user, card, nonce)

    async def direct_channel(self, user: str) -> str:
        """See `MessageSender`."""
        with self._active():
            return await self._sender.direct_channel(user)

    async def notify(self, channel: str, notice: Notice, nonce: str) -> Seen:
        """See `MessageSender`."""
        with self._active():
            return await self._sender.notify(channel, notice, nonce)

    async def find_notice(self, channel: str, notice: Notice, since: float) -> Seen | None:
        """See `MessageSender`."""
        with self._active():
            return await self._sender.find_notice(channel, notice, since)

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        """See `MessageSender`."""
        with self._active():
            await self._sender.ephemeral_followup(token, card)

    async def followup(self, token: str, card: Card) -> Seen:
        """See `MessageSender`."""
        with self._active():
            return await self._sender.followup(token, card)

    async def delete_original(self, token: str) -> None:
        """See `MessageSender`."""
        with self._active():
            await self._sender.delete_original(token)

    async def delete(self, channel: str, message: str) -> None:
        """See `MessageSender`."""
        with self._active():
            await self._sender.delete(channel, message)
