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
    for one file here. `outside` says that the bot has no access there, because only the person brought the application
    along; `outside_guild` is the Discord server in which that is, and `guild` is "" then, so that no limits of a server
    apply.
    """

    token: str
    message: str = ""
    fresh: bool = False
    alone: bool = False
    limit: int = 10 * 2**20
    outside: bool = False
    outside_guild: str = ""

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


class Arrival(Struct, frozen=True):
    """A Discord server that added the bot: its id and name, who added it, and the channel for news of the server.

    Ids are "" if they are not known or there is none.
    """

    guild: str
    name: str
    adder: str = ""
    system_channel: str = ""


Action: TypeAlias = CreateJob | ButtonPressed | BuiltinCommand | ModeratorCommand


class UserRequest(Struct, frozen=True):
    """What a person did, and who. `typed` is what they wrote for it, to give back if nothing comes of it."""

    caller: Caller
    action: Action
    typed: str = ""
