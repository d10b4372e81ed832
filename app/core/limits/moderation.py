"""What moderators decide for their Discord server: bans, and a limit for each person. Plain data."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Banned: TypeAlias = Literal["person", "role"]
"""Who is banned: one person, or everybody with a role."""


class Ban(Struct, frozen=True, kw_only=True):
    """A ban of a person or role in one Discord server. `until` is in seconds since 1970, None for ever."""

    guild: str
    banned: Banned
    id: str
    reason: str = ""
    until: float | None = None


class Unban(Struct, frozen=True, kw_only=True):
    """The end of a ban."""

    guild: str
    banned: Banned
    id: str


class GuildLimits(Struct, frozen=True, kw_only=True):
    """How many unfinished jobs and GPU seconds of 24 hours each person has in one Discord server; 0 is no limit."""

    guild: str
    jobs: int = 0
    seconds: int = 0


Decision: TypeAlias = Ban | Unban | GuildLimits


class Decisions(Struct, frozen=True):
    """All decisions that count."""

    bans: tuple[Ban, ...] = ()
    limits: tuple[GuildLimits, ...] = ()


class AuditEntry(Struct, frozen=True):
    """Who decided what for a Discord server, and when, in seconds since 1970. `details` is the decision as JSON."""

    at: float
    guild: str
    person: str
    action: str
    details: str
