"""The Reply port: one message that lives, and is certain to say the last word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import anyio
import structlog
from msgspec.structs import replace

from app.discord.blocks import Card, Upload
from app.discord.card import plain, render
from app.discord.place import Place, Seen, Token, write
from app.discord.post import Away, Expired, Post, PostError, TooLarge, Unacceptable
from app.discord.traffic import Traffic
from app.discord.view import Estimate, View
from app.events import LAST_WORDS, AnyUpdate, Finished, JobId, Previewed

logger = structlog.stdlib.get_logger(__name__)

EARLY = 0.05
"""Seconds by which a pause counts as over: timers may ring a little before their time."""

LONGEST_NONCE = 25
"""Discord's limit."""


class Fit(Protocol):
    """Make files fit for Discord."""

    async def __call__(self, files: Sequence[str], limit: int) -> tuple[list[Upload], list[str]]:
        """The files, each of at most `limit` bytes, and a sentence about each that is not as it was."""
        ...


class World(Protocol):
    """What every reply shares: ways to Discord, and what the house knows."""

    @property
    def post(self) -> Post:
        """The way to Discord."""
        ...

    @property
    def traffic(self) -> Traffic:
        """Who else speaks in a channel."""
        ...

    @property
    def fit(self) -> Fit:
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

    async def moved(self, job: JobId, place: str) -> None:
        """Have the journal know where a job is shown."""
        ...


class MessageReply:
    """One job's message. Nobody else edits it while the job is unfinished.

    It speaks with the interaction's token while that is good, then as the bot; and the last word, where the
    message is out of reach, in a new message, or to its owner alone.
    """

    def __init__(self, view: View, place: Place, world: World, token: Token | None = None) -> None:
        self.view = view
        self.place = place
        self._world = world
        self._token = token
        self._shown: Card | None = None
        self._free_at = 0.0
        self._lost = False
        self._editor = anyio.Lock()
        self.receipt = ""

    @property
    def pause(self) -> float:
        """See `app.ports.Reply`: what is left until the message may be edited again."""
        return max(0.0, self._free_at - anyio.current_time())

    async def show(self, update: AnyUpdate) -> None:
        """See `app.ports.Reply`. A preview waits for the next news, and shares its edit.

        The last word raises `Away`, which is a `ConnectionLost`, until it is said.
        """
        self.view.hear(update, self._world.now(), self._world.estimate)
        if isinstance(update, LAST_WORDS):
            async with self._editor:
                await self._deliver()
        elif not isinstance(update, Previewed) and self.pause < EARLY:
            # Within the pause there is no more to come than what stands before the last word.
            await self.refresh()

    async def refresh(self) -> None:
        """Show what is new, if that is visible and anything can be shown; no harm is done if it cannot."""
        async with self._editor:
            await self._refresh()

    async def _refresh(self) -> None:
        (card, *_) = render(self.view)
        if card == self._shown or self._lost:
            return
        try:
            if (token := self._fresh()) is not None:
                await self._settle(await self._world.post.answer(token, card))
            elif self.place.message and not self._world.traffic.busy(self.place.channel):
                async with self._world.traffic.lane(self.place.channel):
                    await self._world.post.edit(self.place.channel, self.place.message, card)
            else:
                return
            self._shown = card
        except Expired:
            self._token = None
        except (Away, Unacceptable, TooLarge) as error:
            logger.debug("a message could not be moved", job=self.view.job, reason=str(error))
        except PostError as error:
            # Deleted by somebody, or out of reach: the last word will find another place.
            self._lost = self._token is None
            self._token = None
            logger.info("a message is out of reach", job=self.view.job, reason=str(error))
        pace = self._world.traffic.pause(self.place.channel, as_bot=self._fresh() is None)
        self._free_at = anyio.current_time() + pace

    def _fresh(self) -> str | None:
        token = self._token
        return token.value if token is not None and anyio.current_time() < token.until else None

    async def _settle(self, seen: Seen) -> None:
        """The message is known now, or is another one."""
        if (seen.channel, seen.message) != (self.place.channel, self.place.message):
            guild = self.place.guild if seen.channel == self.place.channel else ""
            self.place = replace(self.place, channel=seen.channel, message=seen.message, guild=guild)
            await self._world.moved(self.view.job, write(self.place))

    async def _deliver(self) -> None:
        """Say the last word, smaller and smaller until it fits."""
        last = self.view.last_word
        files = last.files if isinstance(last, Finished) else ()
        limit = self.place.limit
        while True:
            uploads, notes = await self._world.fit(files, limit)
            view = self.view
            if notes and isinstance(last, Finished):
                view = replace(view, last_word=replace(last, notes=(*last.notes, *notes)))
            try:
                await self._say(render(view, uploads))
                return
            except Unacceptable as error:
                # Rather a plain message than one that says for ever that the job still runs.
                logger.error("Discord does not take a result", job=self.view.job, reason=str(error))
                await self._say([plain(self.view)])
                return
            except TooLarge:
                if not uploads:
                    raise
                # Half as much as what was too much: Discord does not say what would not be.
                limit = max(len(one.data) for one in uploads) // 2

    async def _say(self, cards: Sequence[Card]) -> None:
        roads = [self._by_token, self._by_message, self._by_channel, self._by_hand]
        for road in roads:
            try:
                seen = await road(cards[0])
            except (TooLarge, Away, Unacceptable):
                raise
            except PostError as error:
                logger.info("a result needs another road", job=self.view.job, reason=str(error))
                continue
            if seen is not None:
                await self._settle(seen)
                self.receipt = seen.message
                await self._say_more(cards[1:])
                return
        logger.warning("a result reached nobody; it is kept on disk", job=self.view.job, owner=self.view.owner)

    async def _by_token(self, card: Card) -> Seen | None:
        if (token := self._fresh()) is None or self._lost:
            return None
        return await self._world.post.answer(token, card)

    async def _by_message(self, card: Card) -> Seen | None:
        if not self.place.message or self._lost:
            return None
        async with self._world.traffic.lane(self.place.channel):
            await self._world.post.edit(self.place.channel, self.place.message, card)
        return Seen(self.place.channel, self.place.message)

    async def _by_channel(self, card: Card) -> Seen | None:
        async with self._world.traffic.lane(self.place.channel):
            return await self._world.post.create(self.place.channel, card, nonce(self.view.job))

    async def _by_hand(self, card: Card) -> Seen | None:
        return await self._world.post.write_to(self.place.user, card, nonce(self.view.job))

    async def _say_more(self, cards: Sequence[Card]) -> None:
        """Further messages below the first; those that an earlier life has sent are not sent again."""
        for page, card in enumerate(cards):
            if page < len(self.place.more):
                continue
            try:
                seen = await self._below(card, page)
            except (TooLarge, Away):
                raise
            except PostError as error:
                logger.warning("a part of a result found no place", job=self.view.job, reason=str(error))
                return
            self.place = replace(self.place, more=(*self.place.more, seen.message))
            await self._world.moved(self.view.job, write(self.place))

    async def _below(self, card: Card, page: int) -> Seen:
        token = self._fresh()
        try:
            async with self._world.traffic.lane(self.place.channel):
                return await self._world.post.create(self.place.channel, card, nonce(self.view.job, page + 1))
        except (TooLarge, Away):
            raise
        except PostError:
            if token is None:
                raise
            return await self._world.post.add(token, card)


def nonce(job: str, page: int = 0) -> str:
    """What makes Discord say a thing once, however often it is tried."""
    return f"{job.replace('-', '')[: LONGEST_NONCE - 2]}{page:02d}"
