"""Delivers the final update: once, by the first delivery route that works, and with files as large as allowed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import PurePath
from typing import TypeAlias

import anyio
import structlog
from msgspec.structs import replace

from app.discord.message_ref import Seen
from app.discord.messages.location import MessageLocation
from app.discord.messages.ports import Away, Deleted, Expired, MessageContext, SendError, TooLarge, Unacceptable
from app.discord.messages.small_pictures import small_versions
from app.discord.ui.components import Card, Upload
from app.discord.ui.job_message import moved, plain, render
from app.discord.ui.job_view import JobView
from app.events import Finished
from app.ports import NoPlace
from app.service.jobs.job_factory import INPUTS
from app.texts.reasons.text import reason_text

logger = structlog.stdlib.get_logger(__name__)

Route: TypeAlias = Callable[[Card, int], Awaitable[Seen | None]]
"""Sends a page, counted from 0, one way; returns None if this way does not exist."""

POINTING = 0.0, 1.0, 5.0, 25.0
"""Seconds before each attempt to say in a job's first message where its result is."""

LONGEST_NONCE = 25
"""Characters (Discord's limit)."""


class RefusedEverywhere(Exception):
    """No route takes a card. `content` says whether a simpler card may be taken."""

    def __init__(self, *, content: bool) -> None:
        super().__init__()
        self.content = content


class Delivery:
    """Delivers one job's result: into its message, else into a new one in the channel, else to its owner directly."""

    def __init__(self, view: JobView, location: MessageLocation, context: MessageContext) -> None:
        self._view = view
        self._location = location
        self._context = context

    async def run(self) -> str:
        """Send the final update, with smaller and smaller files until it fits. Returns the message's id.

        Raises `Away` while Discord does not answer, and `NoPlace` if no route takes it.
        """
        last = self._view.terminal_update
        files = last.files if isinstance(last, Finished) else ()
        limit = self._location.place.limit
        before = await self._before()
        while True:
            async with self._context.prepare_files(files, limit, self._view.owner) as (uploads, notes):
                view = self._view
                if notes and isinstance(last, Finished):
                    view = replace(view, terminal_update=replace(last, notes=(*last.notes, *map(reason_text, notes))))
                try:
                    return await self._send(render(view, uploads, before))
                except RefusedEverywhere as refused:
                    if refused.content:
                        break
                    raise NoPlace from None
                except TooLarge:
                    if not uploads:
                        break
                    # Half of what was too much: Discord does not say what it would accept.
                    limit = max(upload.size for upload in uploads) // 2
        # A plain message is better than one that says for ever that the job is still running.
        logger.error("Discord does not take a result", job=self._view.job)
        try:
            return await self._send([plain(self._view)])
        except (RefusedEverywhere, TooLarge):
            raise NoPlace from None

    async def _before(self) -> Upload | None:
        """A small version of the picture that was changed, to be shown beside a single result."""
        view, last = self._view, self._view.terminal_update
        if not view.before or not isinstance(last, Finished) or len(last.files) != 1:
            return None
        # Prepared on its own: who holds memory for a result must not wait for more.
        made = PurePath(view.before).parent.name != INPUTS
        small = await small_versions(self._context.prepare_files, view.before, view.owner, made=made)
        return replace(small[0], name=f"before-{small[0].name}") if small else None

    async def _send(self, cards: Sequence[Card]) -> str:
        """Send a card by the first route that takes it, and the others below it."""
        seen = await self._by_first_route(
            cards[0], (self._by_token, self._by_message, self._by_channel, self._by_follow_up, self._by_direct_message)
        )
        await self._location.settle(seen)
        if (outdated := self._location.place.outdated) is not None:
            await self._point_to_result(*outdated)
        for page, card in enumerate(cards[1:]):
            # Some may have been sent before a restart.
            if page >= len(self._location.place.more):
                routes = (self._by_channel, self._by_follow_up, self._by_direct_message)
                await self._location.extend(await self._by_first_route(card, routes, page + 1))
        return seen.message

    async def _by_first_route(self, card: Card, routes: Sequence[Route], page: int = 0) -> Seen:
        """Send a card by the first of these routes that takes it.

        Raises `Away`, `TooLarge` and `RefusedEverywhere`.
        """
        content = False
        for route in routes:
            try:
                seen = await route(card, page)
            except (TooLarge, Away):
                raise
            except SendError as error:
                logger.info("a result needs another route", job=self._view.job, reason=str(error))
                content |= isinstance(error, Unacceptable)
                if isinstance(error, Expired):
                    self._location.expire()
                elif isinstance(error, Deleted) and not page:
                    await self._location.delete()
                continue
            if seen is not None:
                return seen
        await self._location.come_back()
        raise RefusedEverywhere(content=content)

    async def _point_to_result(self, channel: str, message: str) -> None:
        """Say in the job's first message where its result is, if the message can still be edited.

        While Discord does not answer, this is tried again: nothing edits the message later. If the bot ends meanwhile,
        the next start does it.
        """
        card = moved(self._view, "" if self._location.place.channel != channel else self._location.place.link)
        for pause in POINTING:
            await anyio.sleep(pause)
            try:
                await self._context.sender.edit(channel, message, card)
            except SendError as error:
                logger.info("a message could not be moved", job=self._view.job, reason=str(error))
                if isinstance(error, Away):
                    continue
            await self._location.pointed()
            return

    async def _by_token(self, card: Card, _: int) -> Seen | None:
        token = self._location.own_token
        return await self._context.sender.edit_original(token, card) if token is not None else None

    async def _by_message(self, card: Card, _: int) -> Seen | None:
        place = self._location.place
        if not place.message or place.outside:
            return None
        # Also if it was deleted: Discord may have said so by mistake, and no new message is posted in its channel.
        with self._context.pacing.sending(place.channel):
            await self._context.sender.edit(place.channel, place.message, card)
        return Seen(place.channel, place.message)

    async def _by_channel(self, card: Card, page: int) -> Seen | None:
        channel = self._location.place.channel
        if self._location.place.deleted or self._location.place.outside:
            return None
        with self._context.pacing.sending(channel):
            return await self._post(card, page, partial(self._context.sender.create, channel))

    async def _by_follow_up(self, card: Card, page: int) -> Seen | None:
        """Answer the interaction once more, where the bot itself may not write."""
        token, location = self._location.token, self._location
        if token is None or location.place.deleted or location.may_be_followed_up:
            return None
        if not page:
            await location.leave()
        try:
            return await self._context.sender.followup(token, card)
        except Away:
            location.may_be_followed_up = True
            raise

    async def _by_direct_message(self, card: Card, page: int) -> Seen | None:
        return await self._post(card, page, partial(self._context.sender.direct_message, self._location.place.user))

    async def _post(self, card: Card, page: int, create: Callable[[Card, str], Awaitable[Seen]]) -> Seen:
        """Post the card as a new message.

        If an earlier post arrived without an answer, Discord returns its message unchanged: it may show what was true
        then, so it is edited.
        """
        if not page:
            await self._location.leave()
        seen = await create(card, nonce(self._view.job, page))
        if seen.stale:
            await self._context.sender.edit(seen.channel, seen.message, card)
        return replace(seen, new=True)


def nonce(job: str, page: int = 0) -> str:
    """A nonce that makes Discord post a message only once, however often it is sent."""
    return f"{job.replace('-', '')[: LONGEST_NONCE - 2]}{page:02d}"
