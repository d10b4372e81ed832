"""Shows jobs only while no other front may do so: what this one knows of them may be old by then."""

from __future__ import annotations

from collections.abc import Callable

from app.discord.message_ref import Seen
from app.discord.messages.ports import Away, MessageSender, Notice
from app.discord.ui.components import Card


class ActiveSender:
    """See `app.discord.messages.ports.MessageSender`. Raises `Away` unless `is_active` says that this front may."""

    def __init__(self, sender: MessageSender, is_active: Callable[[], bool]) -> None:
        self._sender = sender
        self._is_active = is_active

    @property
    def _checked(self) -> MessageSender:
        if not self._is_active():
            raise Away("inactive")
        return self._sender

    async def edit_original(self, token: str, card: Card) -> Seen:
        """See `MessageSender`."""
        return await self._checked.edit_original(token, card)

    async def edit(self, channel: str, message: str, card: Card) -> None:
        """See `MessageSender`."""
        await self._checked.edit(channel, message, card)

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        """See `MessageSender`."""
        return await self._checked.create(channel, card, nonce)

    async def direct_message(self, user: str, card: Card, nonce: str) -> Seen:
        """See `MessageSender`."""
        return await self._checked.direct_message(user, card, nonce)

    async def direct_channel(self, user: str) -> str:
        """See `MessageSender`."""
        return await self._checked.direct_channel(user)

    async def notify(self, channel: str, notice: Notice, nonce: str) -> Seen:
        """See `MessageSender`."""
        return await self._checked.notify(channel, notice, nonce)

    async def find_notice(self, channel: str, notice: Notice, since: float) -> Seen | None:
        """See `MessageSender`."""
        return await self._checked.find_notice(channel, notice, since)

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        """See `MessageSender`."""
        await self._checked.ephemeral_followup(token, card)

    async def followup(self, token: str, card: Card) -> Seen:
        """See `MessageSender`."""
        return await self._checked.followup(token, card)

    async def delete_original(self, token: str) -> None:
        """See `MessageSender`."""
        await self._checked.delete_original(token)

    async def delete(self, channel: str, message: str) -> None:
        """See `MessageSender`."""
        await self._checked.delete(channel, message)
