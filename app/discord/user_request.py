"""What hikari's loop sends to the core: plain data about who did what, already acknowledged."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from app.core.limits.moderation import Banned
from app.discord.custom_id import Press
from app.service.requests import AttachedFile, CreateJob, Person


class Caller(Person, frozen=True, kw_only=True):
    """Who did something in Discord, where, and how to answer. Ids are "" if there is none.

    `message` is the message that acknowledged the interaction. `fresh` says that it was created for this answer, so
    that it is deleted if there is no answer. `alone` says that only this person sees it. `limit` is the most bytes
    for one file here.
    """

    token: str
    message: str = ""
    fresh: bool = False
    alone: bool = False
    limit: int = 10 * 2**20

    def __repr__(self) -> str:
        """Leave out the token."""
        return f"Caller(user={self.user!r}, channel={self.channel!r})"


class ButtonPressed(Struct, frozen=True, kw_only=True):
    """A button press. If it comes from the button's form, `fields` and `files` hold what was filled in.

    `typed` is the part that a person wrote, to give back if nothing comes of it. `message` is the message with the
    button.
    """

    press: Press
    message: str = ""
    fields: dict[str, str] | None = None
    files: tuple[AttachedFile, ...] = ()
    typed: str = ""


class BuiltinCommand(Struct, frozen=True, kw_only=True):
    """A use of one of the bot's own commands."""

    command: str
    argument: str = ""


class ModeratorCommand(Struct, frozen=True, kw_only=True):
    """A use of /limits, /ban or /unban. None and "" are options that were not given; `days` is how long a ban lasts."""

    command: str
    jobs: int | None = None
    seconds: int | None = None
    banned: Banned = "person"
    id: str = ""
    reason: str = ""
    days: float | None = None


Action: TypeAlias = CreateJob | ButtonPressed | BuiltinCommand | ModeratorCommand


class UserRequest(Struct, frozen=True):
    """What a person did, and who."""

    caller: Caller
    action: Action
