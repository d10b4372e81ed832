"""Notifies the owner of a job that its result is there, because Discord notifies nobody of an edit."""

from __future__ import annotations

import structlog
from msgspec import Struct

from app.discord.messages.delivery import nonce
from app.discord.messages.location import MessageLocation
from app.discord.messages.ports import Away, CannotReply, Deleted, MessageContext, NoDirectMessages, Notice, SendError
from app.discord.text import escape, shorten
from app.discord.ui.file_kinds import is_picture, is_video
from app.events import Cancelled, Failed, Finished, JobId, Lost, TerminalUpdate
from app.texts.discord import job_message, notifications
from app.texts.reasons.text import reason_text

logger = structlog.stdlib.get_logger(__name__)

NONCE_LIFE = 120.0
"""Seconds for which a nonce surely stands for one message: Discord says “a few minutes”. Later, the bot looks whether
an earlier attempt arrived."""

MARGIN = 60.0
"""Seconds by which the clocks of Discord and of the bot's machine may differ."""

NOTICE = 99
"""Stands for the page in the nonce of a notification; no result has so many pages."""

LONGEST_SENTENCE = 250


class _Route(Struct, frozen=True):
    """One way to notify somebody: the channel, and what is posted there."""

    channel: str
    notice: Notice


class Notification:
    """Sends one job's notification: once, also if the bot is killed at any moment or Discord does not answer.

    Before the first attempt the journal records when that is, and afterwards where the message is. All attempts have
    the same nonce; when Discord may have forgotten that, an earlier one is looked for.
    """

    def __init__(self, job: JobId, location: MessageLocation, context: MessageContext) -> None:
        self._job = job
        self._location = location
        self._context = context

    async def send(self, update: TerminalUpdate) -> None:
        """Notify the owner of this result, which is shown, unless that is not due. Raises `Away`: try again.

        May raise `JournalUnavailable`.
        """
        if not self._is_due(update):
            return
        place, context = self._location.place, self._context
        way = await context.notifications.way_of(place.user)
        if way == "never":
            return
        if not (since := place.notifying):
            await self._location.begin_to_notify(context.now())
        text, in_channel, directly = notification_text(update), self._in_channel, self._directly
        for route in (directly, in_channel) if way == "dm" else (in_channel, directly):
            try:
                if (sent := await route(text, since)) is not None:
                    await self._location.notified(*sent)
                    return
            except Away:
                raise
            except Deleted:
                # Whoever deleted the result does not want to read of it.
                logger.info("a result was deleted before its notification", job=self._job)
                return
            except SendError as error:
                logger.info("a notification needs another route", job=self._job, reason=str(error))
                if isinstance(error, NoDirectMessages):
                    context.notifications.refused(place.user)
        logger.info("nobody could be notified", job=self._job)

    def _is_due(self, update: TerminalUpdate) -> bool:
        """Whether there is something to notify of that the owner has not been notified of."""
        if isinstance(update, Cancelled) and not update.reason:
            # The owner did that, or somebody with the right to.
            return False
        place = self._location.place
        took = self._context.now() - place.asked
        return not place.notice and not place.deleted and took > self._context.notifications.after

    async def _in_channel(self, text: str, since: float) -> tuple[str, str] | None:
        """Reply to the result, where the bot may write; mention its owner, unless nobody else is there."""
        place = self._location.place
        if place.outside:
            return None
        person = place.user if place.guild else ""
        notice = Notice(notifications.mention(person, text), person, place.message)
        try:
            return await self._post(_Route(place.channel, notice), since)
        except CannotReply:
            linked = Notice(notifications.with_link(notice.text, place.link), person)
            return await self._post(_Route(place.channel, linked), since)

    async def _directly(self, text: str, since: float) -> tuple[str, str] | None:
        place = self._location.place
        in_messages_with_bot = not place.guild and not place.outside
        if in_messages_with_bot or not self._context.notifications.takes_direct_messages(place.user):
            return None
        channel = await self._context.sender.direct_channel(place.user)
        return await self._post(_Route(channel, Notice(notifications.with_link(text, place.link))), since)

    async def _post(self, route: _Route, since: float) -> tuple[str, str]:
        """Post a notification; `since` is when that was first tried, 0 for never. Returns the channel and the id."""
        sender = self._context.sender
        if since and self._context.now() > since + NONCE_LIFE:
            earlier = await sender.find_notice(route.channel, route.notice, since - MARGIN)
            if earlier is not None:
                return earlier.channel, earlier.message
        seen = await sender.notify(route.channel, route.notice, nonce(self._job, NOTICE))
        return seen.channel, seen.message


def notification_text(update: TerminalUpdate) -> str:
    """What a notification says of a result, without its owner."""
    match update:
        case Finished(files=files):
            kinds = {_kind(file) for file in files}
            return notifications.ready(kinds.pop() if len(kinds) == 1 else "result", len(files))
        case Failed(reason=reason):
            word = job_message.FAILED
        case Lost(reason=reason):
            word = job_message.LOST
        case Cancelled(reason=reason):
            word = job_message.CANCELLED
    return f"{word}: {escape(shorten(reason_text(reason), LONGEST_SENTENCE))}"


def _kind(file: str) -> str:
    return "picture" if is_picture(file) else "video" if is_video(file) else "result"
