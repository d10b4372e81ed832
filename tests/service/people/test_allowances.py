"""What a person gets depends on where they ask, and on their highest role that has limits."""

from __future__ import annotations

from collections.abc import Mapping

import anyio.lowlevel
import pytest

from app.config.settings import Allowed, Limits, RoleLimits
from app.core.limits.moderation import Decision, Decisions, GuildLimits
from app.core.limits.usage import Allowance, Origin
from app.service.people.allowances import Allowances, Grant, origin_of
from app.service.people.moderation import Moderation
from app.service.reasons import AboveCeiling
from app.service.requests import Person
from app.workflows.model import WorkflowError

LIMITS = Limits(
    jobs=3,
    seconds=60,
    roles={"patron": RoleLimits(jobs=10, seconds=0, weight=2.0), "crew": RoleLimits(jobs=0, seconds=0, weight=0.5)},
    channels={"busy": Allowed(jobs=5)},
    guilds={"here": Allowed(seconds=500)},
)


class Roles:
    """The roles of the servers."""

    def __init__(self, **positions: int) -> None:
        self.positions = positions
        self.asked: list[str] = []

    async def __call__(self, guild: str) -> Mapping[str, int]:
        await anyio.lowlevel.checkpoint()
        self.asked.append(guild)
        return self.positions


def person(*roles: str, guild: str = "here", channel: str = "busy", parent: str = "") -> Person:
    return Person(user="ada", roles=frozenset(roles), guild=guild, channel=channel, parent=parent)


class Records:
    """A journal of moderators' decisions."""

    async def decisions(self) -> Decisions:
        await anyio.lowlevel.checkpoint()
        return Decisions()

    async def decide(self, decision: Decision, person: str) -> None:
        await anyio.lowlevel.checkpoint()


NO_RECORDS = Records()
MODERATOR = Person(user="mo", guild="here", moderator=True)


def allowances_of(roles: Roles | None = None) -> Allowances:
    return Allowances(LIMITS, roles or Roles(), Moderation(NO_RECORDS))


HERE = (Allowance("channel", jobs=5), Allowance("guild", seconds=500))


async def test_without_a_role_the_general_limits_apply() -> None:
    grant = await allowances_of().grant(person("member"))
    assert grant == Grant((Allowance("person", 3, 60), *HERE), 1.0)


async def test_a_role_brings_its_own_limits_and_weight_and_nobody_asks_for_positions() -> None:
    roles = Roles()
    grant = await allowances_of(roles).grant(person("member", "patron"))
    assert grant == Grant((Allowance("person", 10, 0), *HERE), 2.0)
    assert roles.asked == []


@pytest.mark.parametrize(("positions", "weight"), [({"crew": 9, "patron": 3}, 0.5), ({"crew": 1}, 0.5), ({}, 2.0)])
async def test_the_highest_of_several_roles_counts_or_the_first_in_the_file(
    positions: dict[str, int], weight: float
) -> None:
    roles = Roles(**positions)
    assert (await allowances_of(roles).grant(person("crew", "patron"))).weight == weight
    assert roles.asked == ["here"]


async def test_a_role_without_limits_of_its_own_has_none() -> None:
    assert (await allowances_of().grant(person("crew", channel="calm", guild="there"))).allowances == ()


async def test_in_direct_messages_only_the_general_limits_apply() -> None:
    grant = await allowances_of().grant(person(guild="", channel="dm"))
    assert grant == Grant((Allowance("person", 3, 60),), 1.0)


async def test_a_thread_counts_as_its_channel() -> None:
    asks = person("patron", channel="thread", parent="busy")
    assert origin_of(asks) == Origin("ada", "here", "busy")
    assert (await allowances_of().grant(asks)).allowances == (Allowance("person", 10, 0), *HERE)


async def test_new_limits_count_for_later_requests() -> None:
    allowances = allowances_of()
    allowances.limits = Limits(jobs=1)
    assert await allowances.grant(person("patron")) == Grant((Allowance("person", 1, 0),), 1.0)


async def test_moderators_limit_each_person_without_such_a_role_in_their_own_server() -> None:
    moderation = Moderation(NO_RECORDS)
    await moderation.decide(GuildLimits(guild="here", jobs=2, seconds=30), MODERATOR)
    allowances = Allowances(LIMITS, Roles(), moderation)
    here = await allowances.grant(person())
    assert here.allowances == (Allowance("person", 3, 60), Allowance("member", 2, 30), *HERE)
    assert (await allowances.grant(person("patron"))).allowances == (Allowance("person", 10, 0), *HERE)
    assert (await allowances.grant(person(guild="there", channel=""))).allowances == (Allowance("person", 3, 60),)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (GuildLimits(guild="here", jobs=4), AboveCeiling(jobs=3)),
        (GuildLimits(guild="here", jobs=3, seconds=61), AboveCeiling(seconds=60)),
    ],
)
def test_moderators_cannot_allow_more_than_the_configuration(limits: GuildLimits, reason: AboveCeiling) -> None:
    with pytest.raises(WorkflowError) as caught:
        allowances_of().check_below_ceilings(limits)
    assert caught.value.reason == reason


def test_without_a_limit_in_the_configuration_moderators_may_set_any() -> None:
    without = Allowances(Limits(jobs=0), Roles(), Moderation(NO_RECORDS))
    without.check_below_ceilings(GuildLimits(guild="here", jobs=5000, seconds=5000))
