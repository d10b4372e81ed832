"""Says to one person alone why nothing comes of their request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import structlog

from app.discord.messages.open_requests import OpenRequests
from app.discord.messages.ports import Away, MessageSender, SendError
from app.discord.ui.components import Card

logger = structlog.stdlib.get_logger(__name__)


async def refuse(sender: MessageSender, open_requests: OpenRequests, token: str, card: Card, *, fresh: bool) -> None:
    """Show this card only to the person with this token; delete the message created for them, if it is `fresh`.

    Whoever cannot be told now is told later, if they were told that the bot thinks.
    """
    say: Callable[[], Awaitable[None]] = partial(sender.ephemeral_followup, token, card)
    calls = [partial(sender.delete_original, token), say] if fresh else [say]
    away: Away | None = None
    with suppress(Away), open_requests.answering(token, card, fresh=fresh):
        for call in calls:
            try:
                await call()
            except SendError as error:
                logger.info("a refusal found nobody", reason=str(error))
                away = error if isinstance(error, Away) else away
        if away is not None:
            raise away
