"""Where a job is shown, in the door's own words: what the journal keeps for us, so that a restart finds it."""

from __future__ import annotations

import msgspec
from msgspec import Struct

TOKEN_LIFE = 14 * 60.0
"""Seconds for which an interaction's token is used. Discord's end is at 15 minutes; the last is for its clock."""


class MessageRef(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message. Ids are texts, "" where unknown; `limit` is in bytes for one file; `more` are messages below it."""

    channel: str
    user: str
    message: str = ""
    guild: str = ""
    limit: int = 10 * 2**20
    spoiler: bool = False
    more: tuple[str, ...] = ()

    @property
    def link(self) -> str:
        """The address that opens the message."""
        return f"https://discord.com/channels/{self.guild or '@me'}/{self.channel}/{self.message}"


class Seen(Struct, frozen=True):
    """Where Discord put a message."""

    channel: str
    message: str


class Token(Struct, frozen=True):
    """Leave to speak in answer to one interaction, until `until` in seconds of the house's clock."""

    value: str
    until: float

    def __repr__(self) -> str:
        """Without the value: whoever has it speaks in our name."""
        return f"Token(until={self.until})"


def write(place: MessageRef) -> str:
    """For the journal."""
    return msgspec.json.encode(place).decode()


def read(told: str) -> MessageRef | None:
    """From the journal; None where another door wrote it."""
    try:
        return msgspec.json.decode(told, type=MessageRef) if told else None
    except msgspec.MsgspecError:
        return None
