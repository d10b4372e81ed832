"""Where one job's message is, and which token or permission edits it."""

from __future__ import annotations

import anyio
from msgspec.structs import replace

from app.discord.message_ref import MessageRef, Seen, Token, write
from app.discord.messages.ports import MessageContext
from app.events import JobId


class MessageLocation:
    """Owns the place of a job's message and its token; records each change of the place in the journal."""

    def __init__(self, job: JobId, place: MessageRef, context: MessageContext, token: Token | None) -> None:
        self.place = place
        self.lost = False
        """Whether the message is out of reach, so that its progress is not shown any more."""
        self.may_be_followed_up = False
        """Whether a follow-up may have been posted without an answer: Discord would post it a second time."""
        self._job = job
        self._context = context
        self._token = token

    @property
    def token(self) -> str | None:
        """The interaction's token, while it is valid."""
        token = self._token
        return token.value if token is not None and anyio.current_time() < token.until else None

    @property
    def own_token(self) -> str | None:
        """The same, if it edits the job's message."""
        return self.token if not self.place.left else None

    def expire(self) -> None:
        """Drop the token: from now on, act as the bot."""
        self._token = None

    def lose(self) -> None:
        """Record that the message cannot be reached this way; if that was with the token, try as the bot."""
        self.lost = self._token is None
        self._token = None

    async def delete(self) -> None:
        """Record that somebody deleted the message."""
        self.lost = True
        self._token = None
        await self._context.left_channel(self._job)
        await self._move(replace(self.place, deleted=True))

    async def leave(self) -> None:
        """Record that the result is about to be posted as a new message, so that no attempt uses the old one again."""
        if self.place.message:
            await self._move(replace(self.place, message="", left=self.place.message))

    async def come_back(self) -> None:
        """Record that no other place took the result."""
        if self.place.left:
            await self._move(replace(self.place, message=self.place.left, left=""))

    async def settle(self, seen: Seen) -> None:
        """Record the message's location, if it is new; a message that was edited is not deleted.

        Discord notifies by itself of a new direct message.
        """
        place = self.place
        if (seen.channel, seen.message) == (place.channel, place.message) and not place.deleted:
            return
        outdated = place.outdated
        if place.left not in {"", seen.message} and not place.deleted and not place.outside:
            outdated = place.channel, place.left
        moved = replace(place, channel=seen.channel, message=seen.message, outdated=outdated, left="", deleted=False)
        if seen.channel != place.channel:
            await self._context.left_channel(self._job)
            more = tuple(f"{channel}/{message}" for channel, message in place.continuations)
            moved = replace(moved, guild="", more=more, outside=False)
        if seen.new and not moved.guild:
            moved = replace(moved, notice=(seen.channel, seen.message))
        await self._move(moved)

    async def pointed(self) -> None:
        """Record that the message where the result was expected says where it is, or cannot be edited."""
        await self._move(replace(self.place, outdated=None))

    async def extend(self, seen: Seen) -> None:
        """Record a further message that continues this one."""
        further = seen.message if seen.channel == self.place.channel else f"{seen.channel}/{seen.message}"
        await self._move(replace(self.place, more=(*self.place.more, further)))

    async def begin_to_notify(self, now: float) -> None:
        """Record that the owner is about to be notified; returns once the journal has it."""
        await self._move(replace(self.place, notifying=now))

    async def notified(self, channel: str, message: str) -> None:
        """Record the message that notified the owner."""
        await self._move(replace(self.place, notice=(channel, message)))

    async def _move(self, place: MessageRef) -> None:
        self.place = place
        await self._context.place_changed(self._job, write(place))
