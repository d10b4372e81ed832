"""Answers people directly: with a card, or with a refusal that only they see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial

import structlog

from app.discord.message_ref import MessageRef
from app.discord.messages.open_requests import OpenRequests
from app.discord.messages.ports import Deleted, MessageSender, SendError
from app.discord.messages.refusals import refuse
from app.discord.ui.components import Card
from app.discord.ui.pages import refusal
from app.discord.user_request import Caller
from app.texts.discord.answers import NOT_DELETED

logger = structlog.stdlib.get_logger(__name__)


class Responder:
    """Answers callers. An answer that cannot be sent is logged; whoever was told that the bot thinks gets it later."""

    def __init__(self, sender: MessageSender, open_requests: OpenRequests) -> None:
        self._sender = sender
        self._open_requests = open_requests

    async def tell(self, caller: Caller, card: Card) -> bool:
        """Answer the caller with a card; whether Discord took it."""
        try:
            with self._open_requests.answering(caller.token, card, fresh=caller.fresh):
                await self._answer(caller, card)
        except SendError as error:
            logger.info("an answer found nobody", reason=str(error))
            return False
        return True

    async def _answer(self, caller: Caller, card: Card) -> None:
        if caller.fresh:
            # Somebody may have deleted the message, or a refusal was interrupted.
            with suppress(Deleted):
                await self._sender.edit_original(caller.token, card)
                return
        await self._sender.ephemeral_followup(caller.token, card)

    async def replace(self, caller: Caller, card: Card) -> None:
        """Show this card in the message whose button the caller pressed."""
        try:
            await self._sender.edit_original(caller.token, card)
        except SendError as error:
            logger.info("a message could not be changed", reason=str(error))

    async def change(self, caller: Caller, card: Card) -> None:
        """Change the message that the caller pressed a button of, which only they see."""
        try:
            await self._sender.edit_original(caller.token, card)
        except SendError as error:
            logger.info("a card could not be changed", reason=str(error))

    async def refuse(self, caller: Caller, sentence: str, typed: str = "") -> None:
        """Say why nothing happens, visible only to the caller; delete the message that was created for the answer.

        Gives back what was `typed`.
        """
        card = refusal(sentence, typed)
        if caller.alone:
            await self.tell(caller, card)
            return
        await refuse(self._sender, self._open_requests, caller.token, card, fresh=caller.fresh)

    async def remove(self, caller: Caller, place: MessageRef | None, message: str = "") -> None:
        """Delete a job's messages: the one clicked, or `message`, its notification, and all that continue it."""
        calls: list[Callable[[], Awaitable[None]]] = [partial(self._sender.delete_original, caller.token)]
        # A message that /show created stands alone: it has no continuations.
        if place is not None and place.message == (message or caller.message):
            calls += self._further(place)
        if message and not await self._delete(caller.channel, message):
            await self.refuse(caller, NOT_DELETED)
            return
        await self._try(calls)

    async def remove_as_bot(self, place: MessageRef) -> bool:
        """Delete a job's messages where nobody clicked one; whether the first of them is gone."""
        if place.message and (place.outside or not await self._delete(place.channel, place.message)):
            return False
        await self._try(self._further(place))
        return True

    def _further(self, place: MessageRef) -> list[Callable[[], Awaitable[None]]]:
        """Calls that delete the messages that continue a job's first one, and its notification."""
        further = [*place.continuations, *([place.notice] if place.notice is not None else [])]
        return [partial(self._sender.delete, channel, message) for channel, message in further]

    async def _try(self, calls: Iterable[Callable[[], Awaitable[None]]]) -> None:
        for call in calls:
            try:
                await call()
            except SendError as error:
                logger.info("a message could not be deleted", reason=str(error))

    async def _delete(self, channel: str, message: str) -> bool:
        """Delete a message as the bot; whether it is gone."""
        try:
            await self._sender.delete(channel, message)
        except Deleted:
            pass
        except SendError as error:
            logger.info("a message could not be deleted", reason=str(error))
            return False
        return True
