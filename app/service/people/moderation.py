"""Bans and limits that moderators set for their Discord server, as they are now."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import anyio
import structlog

from app.core.limits.moderation import Ban, Decision, Decisions, GuildLimits, Unban
from app.service.people.permissions import check_moderator
from app.service.reasons import IsBanned
from app.service.requests import Person
from app.workflows.model import WorkflowError

logger = structlog.stdlib.get_logger(__name__)


class ModerationRecords(Protocol):
    """The part of the journal that keeps the decisions of moderators."""

    async def decisions(self) -> Decisions:
        """See `app.core.journal_port.JobHistory`."""
        ...

    async def decide(self, decision: Decision, person: str) -> None:
        """See `app.core.journal_port.JobHistory`."""
        ...


class Moderation:
    """Owns what moderators have decided, while the bot runs; the journal stores it. Nobody else writes there.

    A decision counts once it is in the journal. Each is also a row of the journal's audit, and a line of the log.
    `clock` returns the seconds since 1970. What reads the decisions may run in any thread.
    """

    def __init__(self, records: ModerationRecords, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._clock = clock
        self._lock = anyio.Lock()
        self._decisions = Decisions()
        """Replaced as a whole, because hikari's thread reads it."""

    async def load(self) -> None:
        """Read what was decided before this process began."""
        async with self._lock:
            self._decisions = await self._records.decisions()

    async def decide(self, decision: Decision, person: Person) -> None:
        """Carry out the decision of a moderator, for the moderator's own server. Raises `WorkflowError`."""
        check_moderator(person, decision.guild)
        async with self._lock:
            await self._records.decide(decision, person.user)
            self._decisions = _after(self._decisions, decision)
        logger.info("a moderator decided", guild=decision.guild, by=person.user, decision=repr(decision))

    def bans(self, guild: str) -> tuple[Ban, ...]:
        """The bans of a Discord server that are not over."""
        now, bans = self._clock(), self._decisions.bans
        return tuple(ban for ban in bans if ban.guild == guild and (ban.until is None or ban.until > now))

    def limits(self, guild: str) -> GuildLimits:
        """The limits of each person in a Discord server."""
        return next((limits for limits in self._decisions.limits if limits.guild == guild), GuildLimits(guild=guild))

    def check_not_banned(self, person: Person) -> None:
        """Raise `WorkflowError` if a person is banned where they are, with the ban that ends last."""
        bans = [ban for ban in self.bans(person.guild) if _concerns(ban, person)] if person.guild else []
        if bans:
            ban = max(bans, key=lambda ban: float("inf") if ban.until is None else ban.until)
            raise WorkflowError(IsBanned(ban.reason, None if ban.until is None else ban.until - self._clock()))


def _concerns(ban: Ban, person: Person) -> bool:
    # The role that everybody has is not among a person's roles; its id is that of the server.
    return ban.id == person.user if ban.banned == "person" else ban.id in {*person.roles, person.guild}


def _after(decisions: Decisions, decision: Decision) -> Decisions:
    """The decisions after one more."""
    match decision:
        case Ban() | Unban():
            key = (decision.guild, decision.banned, decision.id)
            bans = tuple(ban for ban in decisions.bans if (ban.guild, ban.banned, ban.id) != key)
            return Decisions((*bans, decision) if isinstance(decision, Ban) else bans, decisions.limits)
        case GuildLimits():
            limits = tuple(limits for limits in decisions.limits if limits.guild != decision.guild)
            return Decisions(decisions.bans, (*limits, decision))
