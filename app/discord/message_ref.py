"""Where a job's message is. The journal stores it, so that the message is found after a restart."""

from __future__ import annotations

import msgspec
from msgspec import Struct

TOKEN_LIFE = 14 * 60.0
"""Seconds for which an interaction's token is used. Discord allows 15 minutes; one is kept for clock differences."""


class MessageRef(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reference to a message. Ids are strings, "" if unknown.

    `limit` is the most bytes for one file; `more` are the messages that continue it: each an id, and before it the
    channel and a slash if that is another one. `left` is the message that did not take the result: another one may
    show it, although its id is not known, so `message` is "". `outdated` is the channel and the id of a message that
    does not say yet that the result is in this one. `deleted` says that somebody deleted the message, so that nothing
    is posted in its channel again. `asked` is when the job was asked for, in seconds since 1970, 0 if an earlier
    version did not record it. `notifying` is when its owner was first to be notified of the result, 0 if never.
    `notice` is the channel and the id of the message that did so: a notification, or the result itself if it is a new
    direct message. `outside` says that the bot has no access there, but for the token of the interaction: see
    `app.discord.user_request.Caller`. `from_page` says that it was asked for on the page: the bot posts the message by
    itself, so the message names who asked.
    """

    channel: str
    user: str
    message: str = ""
    guild: str = ""
    limit: int = 10 * 2**20
    spoiler: bool = False
    more: tuple[str, ...] = ()
    left: str = ""
    outdated: tuple[str, str] | None = None
    deleted: bool = False
    asked: float = 0.0
    notifying: float = 0.0
    notice: tuple[str, str] | None = None
    outside: bool = False
    from_page: bool = False

    @property
    def continuations(self) -> list[tuple[str, str]]:
        """The channel and the id of each message that continues this one."""
        parted = (reference.rpartition("/") for reference in self.more)
        return [(channel or self.channel, message) for channel, _, message in parted]

    @property
    def link(self) -> str:
        """The URL that opens the message."""
        return f"https://discord.com/channels/{self.guild or '@me'}/{self.channel}/{self.message}"


class Seen(Struct, frozen=True):
    """Where Discord put a message.

    `stale` says that it shows something else than was sent: Discord returned a message that was posted before under
    the same nonce. `new` says that it was posted, not edited.
    """

    channel: str
    message: str
    stale: bool = False
    new: bool = False


class Token(Struct, frozen=True):
    """An interaction token, usable until `until` (in seconds of anyio's clock)."""

    value: str
    until: float

    def __repr__(self) -> str:
        """Leave out the value: whoever has it can post in the bot's name."""
        return f"Token(until={self.until})"


def write(place: MessageRef) -> str:
    """Serialize for the journal."""
    return msgspec.json.encode(place).decode()


def read(stored: str) -> MessageRef | None:
    """Read from the journal; None for "" or what another frontend wrote."""
    try:
        return msgspec.json.decode(stored, type=MessageRef) if stored else None
    except msgspec.MsgspecError:
        return None


def is_spoiler(stored: str) -> bool:
    """Whether the message hides its files until somebody clicks on them."""
    place = read(stored)
    return place is not None and place.spoiler


def is_private(stored: str, channel: str) -> bool:
    """Whether a message is not to be seen in this channel: somebody deleted it, or it is in a thread or elsewhere."""
    place = read(stored)
    return place is not None and (place.deleted or place.channel != channel)


def message_link(stored: str) -> str:
    """The URL that opens the message; "" if there is none."""
    place = read(stored)
    return place.link if place is not None and place.message and not place.deleted else ""
