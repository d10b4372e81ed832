"""Delivers the final update: once, by the first delivery route that works, and with files as large as allowed."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from msgspec.structs import replace

from app.discord.message_ref import Seen
from app.discord.messages.location import MessageLocation
from app.discord.messages.ports import Away, MessageContext, SendError, TooLarge, Unacceptable
from app.discord.ui.components import Card
from app.discord.ui.job_message import plain, render
from app.discord.ui.job_view import JobView
from app.events import Finished
from app.texts.reasons import reason_text

logger = structlog.stdlib.get_logger(__name__)

LONGEST_NONCE = 25
"""Characters (Discord's limit)."""


class Delivery:
    """Delivers one job's result: into its message, else into a new one in the channel, else to its owner directly."""

    def __init__(self, view: JobView, location: MessageLocation, context: MessageContext) -> None:
        self._view = view
        self._location = location
        self._context = context

    async def run(self) -> str:
        """Send the final update, with smaller and smaller files until it fits.

        Returns the message's id, "" if it reached nobody. Raises `Away` while Discord does not answer.
        """
        last = self._view.terminal_update
        files = last.files if isinstance(last, Finished) else ()
        limit = self._location.place.limit
        while True:
            async with self._context.prepare_files(files, limit, self._view.owner) as (uploads, notes):
                view = self._view
                if notes and isinstance(last, Finished):
                    view = replace(view, terminal_update=replace(last, notes=(*last.notes, *map(reason_text, notes))))
                try:
                    return await self._say(render(view, uploads))
                except Unacceptable as error:
                    # A plain message is better than one that says for ever that the job is still running.
                    logger.error("Discord does not take a result", job=self._view.job, reason=str(error))
                    return await self._say([plain(self._view)])
                except TooLarge:
                    if not uploads:
                        raise
                    # Half of what was too much: Discord does not say what it would accept.
                    limit = max(one.size for one in uploads) // 2

    async def _say(self, cards: Sequence[Card]) -> str:
        routes = [self._by_token, self._by_message, self._by_channel, self._by_direct_message]
        for route in routes:
            try:
                seen = await route(cards[0])
            except (TooLarge, Away, Unacceptable):
                raise
            except SendError as error:
                logger.info("a result needs another road", job=self._view.job, reason=str(error))
                continue
            if seen is not None:
                await self._location.settle(seen)
                await self._say_more(cards[1:])
                return seen.message
        logger.warning("a result reached nobody; it is kept on disk", job=self._view.job, owner=self._view.owner)
        return ""

    async def _by_token(self, card: Card) -> Seen | None:
        if (token := self._location.token) is None or self._location.lost:
            return None
        return await self._context.sender.edit_original(token, card)

    async def _by_message(self, card: Card) -> Seen | None:
        place = self._location.place
        if not place.message or self._location.lost:
            return None
        with self._context.pacing.sending(place.channel):
            await self._context.sender.edit(place.channel, place.message, card)
        return Seen(place.channel, place.message)

    async def _by_channel(self, card: Card) -> Seen | None:
        channel = self._location.place.channel
        with self._context.pacing.sending(channel):
            return await self._context.sender.create(channel, card, nonce(self._view.job))

    async def _by_direct_message(self, card: Card) -> Seen | None:
        return await self._context.sender.direct_message(self._location.place.user, card, nonce(self._view.job))

    async def _say_more(self, cards: Sequence[Card]) -> None:
        """Send further messages after the first, except those that were sent before a restart."""
        for page, card in enumerate(cards):
            if page < len(self._location.place.more):
                continue
            try:
                seen = await self._below(card, page)
            except (TooLarge, Away):
                raise
            except SendError as error:
                logger.warning("a part of a result found no place", job=self._view.job, reason=str(error))
                return
            await self._location.extend(seen)

    async def _below(self, card: Card, page: int) -> Seen:
        token, channel = self._location.token, self._location.place.channel
        try:
            with self._context.pacing.sending(channel):
                return await self._context.sender.create(channel, card, nonce(self._view.job, page + 1))
        except (TooLarge, Away):
            raise
        except SendError:
            if token is None:
                raise
            return await self._context.sender.followup(token, card)


def nonce(job: str, page: int = 0) -> str:
    """A nonce that makes Discord post a message only once, however often it is sent."""
    return f"{job.replace('-', '')[: LONGEST_NONCE - 2]}{page:02d}"
