"""What hikari's loop tells the core: plain data about who did what, acknowledged already."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from app.discord.custom_id import Press
from app.ports import Json


class Caller(Struct, frozen=True, kw_only=True):
    """Who did something, where, and how to answer. Ids are texts, "" where there is none.

    `message` is the one that was acknowledged with; `fresh` says that it was made for this answer, so that
    it goes again where there is none; `alone` that nobody else sees it. `limit` is the most
    bytes one file may have here.
    """

    user: str
    channel: str
    token: str
    guild: str = ""
    message: str = ""
    fresh: bool = False
    alone: bool = False
    moderator: bool = False
    roles: frozenset[str] = frozenset()
    limit: int = 10 * 2**20

    def __repr__(self) -> str:
        """Without the token."""
        return f"Caller(user={self.user!r}, channel={self.channel!r})"


class Attached(Struct, frozen=True):
    """A file that somebody attached, for one slot; nothing about it is certain."""

    slot: str
    url: str
    name: str
    size: int
    media_type: str = ""


class CreateJob(Struct, frozen=True, kw_only=True):
    """Somebody wants something made."""

    caller: Caller
    workflow: str
    values: dict[str, Json]
    files: tuple[Attached, ...] = ()
    preset: str = ""
    spoiler: bool = False


class ButtonPressed(Struct, frozen=True, kw_only=True):
    """Somebody pressed a button; or sent its form, then `fields` is what the form said."""

    caller: Caller
    press: Press
    fields: dict[str, str] | None = None


class BuiltinCommand(Struct, frozen=True, kw_only=True):
    """Somebody used one of the bot's own commands."""

    caller: Caller
    command: str
    argument: str = ""


UserRequest: TypeAlias = CreateJob | ButtonPressed | BuiltinCommand
