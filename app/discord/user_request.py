"""What hikari's loop sends to the core: plain data about who did what, already acknowledged."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from app.discord.custom_id import Press
from app.ports import Json


class Caller(Struct, frozen=True, kw_only=True):
    """Who did something, where, and how to answer. Ids are strings, "" if there is none.

    `message` is the message that acknowledged the interaction. `fresh` says that it was created for this answer, so
    that it is deleted if there is no answer. `alone` says that only this person sees it. `limit` is the most bytes
    for one file here.
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
        """Leave out the token."""
        return f"Caller(user={self.user!r}, channel={self.channel!r})"


class Attached(Struct, frozen=True):
    """A file that somebody attached, for one slot; nothing about it is verified yet."""

    slot: str
    url: str
    name: str
    size: int
    media_type: str = ""


class CreateJob(Struct, frozen=True, kw_only=True):
    """A request to create a job."""

    caller: Caller
    workflow: str
    values: dict[str, Json]
    files: tuple[Attached, ...] = ()
    preset: str = ""
    spoiler: bool = False


class ButtonPressed(Struct, frozen=True, kw_only=True):
    """A button press. If it comes from the button's form, `fields` holds what was filled in."""

    caller: Caller
    press: Press
    fields: dict[str, str] | None = None


class BuiltinCommand(Struct, frozen=True, kw_only=True):
    """A use of one of the bot's own commands."""

    caller: Caller
    command: str
    argument: str = ""


UserRequest: TypeAlias = CreateJob | ButtonPressed | BuiltinCommand
