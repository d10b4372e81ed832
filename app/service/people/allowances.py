"""What a person may ask for, where they ask: the limits of the configuration, by role, channel and Discord server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from msgspec import Struct

from app.config.settings import Allowed, Budget, Limits
from app.core.limits.moderation import GuildLimits
from app.core.limits.spending import Payer, SpendingLimit, Window, money
from app.core.limits.usage import Allowance, Origin
from app.reasons.limits import Whom
from app.service.people.moderation import Moderation
from app.service.reasons import AboveCeiling
from app.service.requests import Person
from app.workflows.model import WorkflowError

RolePositions: TypeAlias = Callable[[str], Awaitable[Mapping[str, int]]]
"""The positions of the roles of a Discord server, as far as they are known; a higher role has a higher one."""


class Grant(Struct, frozen=True):
    """What a person gets in one place: the limits that apply, and how much of the servers' time beside others.

    `budget` limits what may be spent.
    """

    allowances: tuple[Allowance, ...]
    weight: float = 1.0
    budget: tuple[SpendingLimit, ...] = ()


class Allowances:
    """Knows what each person may ask for.

    `limits` and `budget` may be replaced at any time, which counts for later requests. `positions` is only asked about
    people who have several roles with limits. Moderators may set limits for those without such a role, in their own
    server.
    """

    def __init__(
        self, limits: Limits, positions: RolePositions, moderation: Moderation, budget: Budget | None = None
    ) -> None:
        self.limits = limits
        self.budget = budget or Budget()
        self._moderation = moderation
        self._positions = positions

    async def grant(self, person: Person) -> Grant:
        """What a person gets where they are."""
        limits = self.limits
        role = limits.roles.get(await self._role(person))
        guild = self._moderation.limits(person.guild)
        default = Allowed(jobs=guild.jobs, seconds=guild.seconds) if role is None else None
        allowances = [
            *_allowance("person", role or limits),
            *_allowance("member", default),
            *_allowance("channel", limits.channels.get(origin_of(person).channel)),
            *_allowance("guild", limits.guilds.get(person.guild)),
        ]
        return Grant(tuple(allowances), role.weight if role is not None else 1.0, spending_limits(self.budget))

    def check_below_ceilings(self, limits: GuildLimits) -> None:
        """Raise `WorkflowError` if a Discord server's limits are above those of the configuration."""
        if 0 < self.limits.jobs < limits.jobs:
            raise WorkflowError(AboveCeiling(jobs=self.limits.jobs))
        if 0 < self.limits.seconds < limits.seconds:
            raise WorkflowError(AboveCeiling(seconds=self.limits.seconds))

    async def _role(self, person: Person) -> str:
        """The highest role of a person that has limits; "" if there is none, and the first in the file in doubt."""
        roles = [role for role in self.limits.roles if role in person.roles]
        if len(roles) <= 1:
            return "".join(roles)
        positions = await self._positions(person.guild)
        return max(roles, key=lambda role: positions.get(role, -1))


def origin_of(person: Person) -> Origin:
    """Where a person's jobs count: a thread counts as its channel."""
    return Origin(person.user, person.guild, person.parent or person.channel)


def spending_limits(budget: Budget) -> tuple[SpendingLimit, ...]:
    """What may be spent, as the scheduler counts it; the limit of a person comes first."""
    rows: tuple[tuple[Payer, Window, float], ...] = (
        ("person", "day", budget.person_day),
        ("everybody", "day", budget.day),
        ("everybody", "month", budget.month),
    )
    return tuple(SpendingLimit(payer, window, money(most)) for payer, window, most in rows if most)


def _allowance(whom: Whom, allowed: Allowed | None) -> tuple[Allowance, ...]:
    """The allowance for these limits, if there are any."""
    if allowed is None or not (allowed.jobs or allowed.seconds):
        return ()
    return (Allowance(whom, allowed.jobs, allowed.seconds),)
