"""The Reply port: one live message, which is certain to show the final update."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence

import anyio
import structlog

from app.discord.message_ref import MessageRef, Token
from app.discord.messages.delivery import Delivery, nonce
from app.discord.messages.location import MessageLocation
from app.discord.messages.notification import Notification
from app.discord.messages.ports import (
    Away,
    Deleted,
    Expired,
    MessageContext,
    SendError,
    TooLarge,
    Unacceptable,
)
from app.discord.messages.small_pictures import small_versions
from app.discord.ui.components import Card, Upload
from app.discord.ui.job_message import render
from app.discord.ui.job_view import JobView
from app.discord.ui.pages import over_limit
from app.events import TERMINAL_UPDATES, AnyUpdate, Arrived, Finished, NotAccepted, Previewed, TerminalUpdate
from app.reasons.limits import LimitReason
from app.workflows.variations.derive import Change

logger = structlog.stdlib.get_logger(__name__)

EARLY = 0.05
"""Seconds before the end of a pause at which it counts as over: timers may fire a little early."""


async def _never() -> bool:
    return False


async def no_changes() -> frozenset[Change]:
    """What can be done to the pictures of a job of which nothing is known."""
    return frozenset()


class MessageReply:
    """One job's message. Nothing else edits it while the job is unfinished.

    It is edited with the interaction's token while that is valid, then as the bot. If the message is out of reach, the
    final update goes to a new message, or to the owner directly.
    """

    def __init__(self, view: JobView, place: MessageRef, context: MessageContext, token: Token | None = None) -> None:
        self.view = view
        self._location = MessageLocation(view.job, place, context, token)
        self._context = context
        self._shown: Card | None = None
        self._free_at = 0.0
        self._editor = anyio.Lock()
        self._small: dict[str, tuple[Upload, ...]] = {}
        """Small versions of the pictures that have arrived, by path; none of one that cannot be made small."""
        self.receipt = ""
        self.decided: Callable[[LimitReason | None], None] = lambda _: None
        """Called once it is known whether the request becomes a job, with the limit that is in the way, if any."""
        self.answered: Callable[[], None] = lambda: None
        """Called once its person does not wait for an answer any more: it is a job, or they were told why not."""
        self.is_first: Callable[[], Awaitable[bool]] = _never
        """Called before a result is shown that its person cannot be told of separately: whether it has the hint."""
        self.possible_changes: Callable[[], Awaitable[frozenset[Change]]] = no_changes
        """Returns what can be done to the pictures, once they are there."""
        self.behind = False
        """Whether an edit was left out, because the channel was busy or in the pause after another one."""

    @property
    def place(self) -> MessageRef:
        """Where the message is."""
        return self._location.place

    @property
    def token(self) -> str | None:
        """The interaction's token, while it is valid."""
        return self._location.token

    @property
    def pause(self) -> float:
        """See `app.ports.Reply`: the seconds left until the message may be edited again."""
        return max(0.0, self._free_at - anyio.current_time())

    @property
    def is_free(self) -> bool:
        """Whether the message may be edited now, and no edit is under way."""
        return not self.pause and not self._editor.locked()

    async def show(self, update: AnyUpdate) -> None:
        """See `app.ports.Reply`. A preview waits for the next update, and shares its edit.

        The final update raises `Away`, which is a `ConnectionLost`, until it is sent.
        """
        if isinstance(update, Arrived):
            self.view.arrived = await self._prepare(update.files)
        elif isinstance(update, Finished):
            self.view.changes = await self.possible_changes()
        if not self.view.accepted:
            self.decided(update.reason if isinstance(update, NotAccepted) else None)
        self.view.handle(update, self._context.now())
        if isinstance(update, NotAccepted):
            await self._reject(update.reason)
        elif isinstance(update, TERMINAL_UPDATES):
            if isinstance(update, Finished) and self.token is None and not self.view.hinted:
                self.view.hinted = await self.is_first()
            async with self._editor:
                await self._deliver()
        elif isinstance(update, Previewed):
            pass
        elif self.pause < EARLY:
            await self.refresh()
        else:
            # Skip edits inside the pause. Usually the next update follows it, but a waiting job may have none for long.
            self.behind = True
        # Not before: if nothing becomes of the request, its person was told so only now.
        self.answered()

    async def recall(self, update: TerminalUpdate) -> None:
        """Take this final update as the one that another process has shown."""
        if isinstance(update, Finished):
            self.view.changes = await self.possible_changes()
        self.view.handle(update, self._context.now())

    async def restore(self) -> None:
        """Show the final update again if the message says that the job goes on. Raises `Away`.

        Nothing happens if nobody can tell: somebody deleted the message, or the bot may not read it.
        """
        place = self.place
        if self.view.terminal_update is None or not place.message or place.deleted:
            return
        async with self._editor:
            try:
                if not await self._context.sender.goes_on(place.channel, place.message, self.view.job):
                    return
            except Away:
                raise
            except SendError as error:
                logger.info("a message cannot be read", job=self.view.job, reason=str(error))
                return
            logger.warning("a message no longer shows the result", job=self.view.job)
            await self._deliver()

    async def _deliver(self) -> None:
        self.receipt = await Delivery(self.view, self._location, self._context).run()

    async def notify(self, update: TerminalUpdate) -> None:
        """Notify the owner of the final update, which is shown, if they want that. Raises `Away`: try again."""
        if self.receipt:
            await Notification(self.view.job, self._location, self._context).send(update)

    async def _prepare(self, files: Sequence[str]) -> tuple[Upload, ...]:
        """Small versions of these pictures."""
        for file in [file for file in files if file not in self._small]:
            self._small[file] = await small_versions(self._context.prepare_files, file, self.view.owner)
        return tuple(upload for file in files for upload in self._small[file])

    async def _reject(self, reason: LimitReason) -> None:
        """Say only to the person who asked that a limit is reached, and delete the message."""
        if self.place.from_page:
            # The page says so.
            return
        if (token := self._location.token) is None:
            logger.warning("a request of an operator is over a limit", job=self.view.job)
            return
        await self._context.refuse(token, over_limit(reason, self.view.prompt, self.view.job))

    async def refresh(self) -> None:
        """Edit the message if its visible content changed and it can be edited; a failure does no harm."""
        async with self._editor:
            await self._refresh()

    def _drop_past_time(self) -> None:
        """Forget an expected time that has passed: Discord would show it as “a minute ago”."""
        if (self.view.expected or math.inf) < self._context.now():
            self.view.expected = None

    @property
    def _may_be_sent(self) -> bool:
        """Whether the bot may edit the message now, or post it, if nobody asked in Discord and it is not there yet."""
        place = self.place
        awaited = place.from_page and not place.left and not place.deleted
        return bool(place.message or awaited) and not self._context.pacing.busy(place.channel)

    async def _send(self, card: Card) -> None:
        """Edit the message as the bot; if there is none yet, post it."""
        place, sender = self.place, self._context.sender
        if place.message:
            await sender.edit(place.channel, place.message, card)
            return
        # The nonce is that of the result, so that after a crash the result replaces this card, if that is soon.
        seen = await sender.create(place.channel, card, nonce(self.view.job))
        await self._location.settle(seen)
        if seen.stale:
            await sender.edit(seen.channel, seen.message, card)

    async def _refresh(self) -> None:
        if self.view.terminal_update is not None:
            # Only a delivery has its files.
            return
        self._drop_past_time()
        (card, *_) = render(self.view)
        location, place, context = self._location, self._location.place, self._context
        if card == self._shown or location.lost:
            return
        try:
            if (token := location.token) is not None:
                await location.settle(await context.sender.edit_original(token, card))
            elif place.outside:
                # The final update goes to its owner directly.
                return
            elif self._may_be_sent:
                with context.pacing.sending(place.channel):
                    await self._send(card)
            else:
                self.behind = bool(place.message) or place.from_page
                return
            self._shown, self.behind = card, False
        except Expired:
            location.expire()
        except (Away, Unacceptable, TooLarge) as error:
            logger.debug("a message could not be moved", job=self.view.job, reason=str(error))
        except Deleted:
            await location.delete()
            logger.info("a message was deleted", job=self.view.job)
        except SendError as error:
            # Out of reach: the final update will go elsewhere.
            location.lose()
            logger.info("a message is out of reach", job=self.view.job, reason=str(error))
        pace = context.pacing.pause(location.place.channel, as_bot=location.token is None)
        self._free_at = anyio.current_time() + pace
