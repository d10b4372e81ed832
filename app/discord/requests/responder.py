"""Answers people directly: with a card, or with a refusal that only they see."""

from __future__ import annotations

from functools import partial

import structlog

from app.discord.message_ref import MessageRef
from app.discord.messages.ports import MessageSender, SendError
from app.discord.ui.components import Card
from app.discord.ui.pages import refusal
from app.discord.user_request import Caller

logger = structlog.stdlib.get_logger(__name__)


class Responder:
    """Answers callers. An answer that cannot be sent is only logged: nothing was promised yet."""

    def __init__(self, sender: MessageSender) -> None:
        self._sender = sender

    async def tell(self, caller: Caller, card: Card) -> None:
        """Answer the caller with a card."""
        send = self._sender.edit_original if caller.fresh else self._sender.ephemeral_followup
        try:
            await send(caller.token, card)
        except SendError as error:
            logger.info("an answer found nobody", reason=str(error))

    async def refuse(self, caller: Caller, sentence: str, typed: str = "") -> None:
        """Say why nothing happens, visible only to the caller; delete the message that was created for the answer.

        Gives back what was `typed`.
        """
        card = refusal(sentence, typed)
        if caller.alone:
            await self.tell(caller, card)
            return
        calls = [partial(self._sender.ephemeral_followup, caller.token, card)]
        if caller.fresh:
            calls.insert(0, partial(self._sender.delete_original, caller.token))
        for call in calls:
            try:
                await call()
            except SendError as error:
                logger.info("a refusal found nobody", reason=str(error))

    async def remove(self, caller: Caller, place: MessageRef | None) -> None:
        """Delete a job's messages: the one that was clicked, and all that continue it."""
        try:
            await self._sender.delete_original(caller.token)
            # A message that /show created stands alone: it has no continuations.
            for message in place.more if place and place.message == caller.message else ():
                await self._sender.delete(caller.channel, message)
        except SendError as error:
            logger.info("a message could not be deleted", reason=str(error))
