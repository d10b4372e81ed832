"""Where one job's message stands, and with whose leave it is spoken there."""

from __future__ import annotations

import anyio
from msgspec.structs import replace

from app.discord.message_ref import MessageRef, Seen, Token, write
from app.discord.messages.ports import MessageContext
from app.events import JobId


class MessageLocation:
    """Owns the place of a job's message and the token for it; what changes is told to the journal."""

    def __init__(self, job: JobId, place: MessageRef, context: MessageContext, token: Token | None) -> None:
        self.place = place
        self.lost = False
        """Whether the message is out of reach: deleted by somebody, or with the leave to speak there."""
        self._job = job
        self._context = context
        self._token = token

    @property
    def token(self) -> str | None:
        """The interaction's token, while it is good."""
        token = self._token
        return token.value if token is not None and anyio.current_time() < token.until else None

    def expire(self) -> None:
        """From now on we speak as the bot."""
        self._token = None

    def lose(self) -> None:
        """The way by which we spoke is shut: as the bot there may be another."""
        self.lost = self._token is None
        self._token = None

    async def settle(self, seen: Seen) -> None:
        """The message is known now, or is another one."""
        if (seen.channel, seen.message) != (self.place.channel, self.place.message):
            guild = self.place.guild if seen.channel == self.place.channel else ""
            await self._move(replace(self.place, channel=seen.channel, message=seen.message, guild=guild))

    async def extend(self, seen: Seen) -> None:
        """A further message stands below."""
        await self._move(replace(self.place, more=(*self.place.more, seen.message)))

    async def _move(self, place: MessageRef) -> None:
        self.place = place
        await self._context.place_changed(self._job, write(place))
