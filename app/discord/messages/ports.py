"""The interfaces that a live message needs: to Discord and to the rest of the bot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from msgspec import Struct

from app.discord.message_ref import Seen
from app.discord.messages.channel_pacing import ChannelPacing
from app.discord.ui.components import Card, Upload
from app.events import JobId
from app.ports import ConnectionLost
from app.reasons.files import PostingNote
from app.reasons.servers import OutOfReach
from app.service.people.notifications import Notifications


class SendError(Exception):
    """Discord did not do what was asked."""


class Expired(SendError):
    """The interaction's token is no longer valid: act as the bot."""


class Gone(SendError):
    """Discord refuses it here: no permission, an archived thread, too old. Post elsewhere."""


class Deleted(Gone):
    """Somebody deleted the message. What it showed is not posted in its channel again."""


class TooLarge(SendError):
    """The files are too large: send smaller ones."""


class Away(SendError, ConnectionLost):
    """Discord does not answer: try again."""

    def __init__(self, message: str) -> None:
        ConnectionLost.__init__(self, OutOfReach(message))


class CannotReply(Gone):
    """The bot may write there, but not reply to a message, because it may not read earlier ones."""


class NoDirectMessages(Gone):
    """This person takes no direct messages from the bot."""


class Unacceptable(SendError):
    """Discord refuses the content: a mistake of the bot or of Discord. Another route may still take it."""


class Notice(Struct, frozen=True):
    """A short text that notifies somebody. It mentions nobody but this `person`, "" for nobody.

    `reply_to` is the message that it replies to, in the same channel, "" for none.
    """

    text: str
    person: str = ""
    reply_to: str = ""


class MessageSender(Protocol):
    """Sends to Discord. Every method raises `SendError`. An edit replaces the whole message, files included."""

    async def edit_original(self, token: str, card: Card) -> Seen:
        """Edit the message that answered an interaction."""
        ...

    async def edit(self, channel: str, message: str, card: Card) -> None:
        """Edit one of the bot's messages, as the bot."""
        ...

    async def goes_on(self, channel: str, message: str, job: JobId) -> bool:
        """Whether one of the bot's messages says that this job goes on: it can be cancelled there."""
        ...

    async def create(self, channel: str, card: Card, nonce: str) -> Seen:
        """Post a new message in a channel, once for each nonce, however often it is tried."""
        ...

    async def direct_message(self, user: str, card: Card, nonce: str) -> Seen:
        """Post a new message to one person directly, once for each nonce."""
        ...

    async def direct_channel(self, user: str) -> str:
        """The channel of the direct messages to one person."""
        ...

    async def notify(self, channel: str, notice: Notice, nonce: str) -> Seen:
        """Post a notification, once for each nonce. Raises `Deleted` if the message that it replies to is gone."""
        ...

    async def find_notice(self, channel: str, notice: Notice, since: float) -> Seen | None:
        """A notification that the bot posted after `since`, in seconds since 1970; None if there is none."""
        ...

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        """Send a follow-up that only the person who interacted sees."""
        ...

    async def followup(self, token: str, card: Card) -> Seen:
        """Send a follow-up to an interaction, visible to everybody."""
        ...

    async def delete_original(self, token: str) -> None:
        """Delete the message that answered an interaction, or that the interaction happened on."""
        ...

    async def delete(self, channel: str, message: str) -> None:
        """Delete one of the bot's messages, as the bot."""
        ...


class PrepareFiles(Protocol):
    """Makes files small enough for Discord."""

    def __call__(
        self, files: Sequence[str], limit: int, person: str, *, made: bool = True
    ) -> AbstractAsyncContextManager[tuple[list[Upload], list[PostingNote]]]:
        """Yield a person's files, each of at most `limit` bytes, and a note about each that was changed.

        If not `made`, they are what the person sent, and are not marked as made by a machine.

        The files exist within the block; other calls wait for large ones to be released.
        """
        ...


class MessageContext(Protocol):
    """What all live messages share: how to send to Discord, and the pace of each channel."""

    @property
    def sender(self) -> MessageSender:
        """The sender to Discord."""
        ...

    @property
    def pacing(self) -> ChannelPacing:
        """The pacing of each channel."""
        ...

    @property
    def prepare_files(self) -> PrepareFiles:
        """Makes files small enough."""
        ...

    @property
    def now(self) -> Callable[[], float]:
        """Returns the seconds since 1970."""
        ...

    @property
    def notifications(self) -> Notifications:
        """Who wants to be notified, and how."""
        ...

    async def refuse(self, token: str, card: Card) -> None:
        """Show this card only to the person who asked, and delete the message that was created for them."""
        ...

    async def left_channel(self, job: JobId) -> None:
        """Hide a job from others, because its message or its result is no longer where it was asked for."""
        ...

    async def place_changed(self, job: JobId, place: str) -> None:
        """Record in the journal where a job is shown; returns once that is recorded."""
        ...
