"""Who asks for a new job, and what they gave for it. Plain data."""

from __future__ import annotations

from msgspec import Struct

from app.ports import Json


class Person(Struct, frozen=True, kw_only=True):
    """A person, as far as permissions and limits depend on them, and where they are; ids are "" if there is none.

    A moderator may manage the messages of the place. `parent` is the channel whose thread it is.
    """

    user: str
    guild: str = ""
    channel: str = ""
    parent: str = ""
    roles: frozenset[str] = frozenset()
    moderator: bool = False


class AttachedFile(Struct, frozen=True):
    """A file that a person attached for one slot. Nothing about it is verified yet."""

    slot: str
    url: str
    name: str
    size: int
    media_type: str = ""


class CreateJob(Struct, frozen=True, kw_only=True):
    """A request for a new job: what the person gave, before defaults and saved settings are added.

    `defaults` count where neither the person nor their saved settings say anything.
    """

    workflow: str
    values: dict[str, Json] = {}
    files: tuple[AttachedFile, ...] = ()
    preset: str = ""
    spoiler: bool = False
    defaults: dict[str, Json] = {}
