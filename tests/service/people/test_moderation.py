"""Bans and limits of moderators: in their own server only, until they end, and kept in the journal."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.core.limits.moderation import Ban, Banned, Decision, GuildLimits, Unban
from app.journal.opening import open_store
from app.journal.sqlite import SqliteJournal, open_journal
from app.reasons import Reason
from app.service.people.moderation import Moderation
from app.service.reasons import IsBanned, NotAModerator
from app.service.requests import Person
from app.workflows.model import WorkflowError
from tests.conftest import inline

MODERATOR = Person(user="mo", guild="here", moderator=True)
START = 1_700_000_000.0


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def ban(ident: str, banned: Banned = "person", *, reason: str = "", until: float | None = None) -> Ban:
    return Ban(guild="here", banned=banned, id=ident, reason=reason, until=until)


def somebody(*roles: str, user: str = "ada", guild: str = "here") -> Person:
    return Person(user=user, guild=guild, roles=frozenset(roles))


@asynccontextmanager
async def moderation_of(path: Path, clock: Clock) -> AsyncGenerator[tuple[Moderation, SqliteJournal]]:
    """The moderation of one life of the bot."""
    async with open_journal(path / "atelier.db", run_sync=inline, clock=clock, durable=False) as journal:
        moderation = Moderation(journal, clock)
        await moderation.load()
        yield moderation, journal


def refusal(moderation: Moderation, person: Person) -> Reason | None:
    try:
        moderation.check_not_banned(person)
    except WorkflowError as error:
        return error.reason
    return None


async def test_a_banned_person_is_refused_in_that_server_only(tmp_path: Path, clock: Clock) -> None:
    async with moderation_of(tmp_path, clock) as (moderation, _):
        await moderation.decide(ban("ada", reason="spam", until=START + 60), MODERATOR)
        assert refusal(moderation, somebody()) == IsBanned("spam", 60.0)
        assert refusal(moderation, somebody(guild="there")) is None
        assert refusal(moderation, somebody(guild="")) is None
        assert refusal(moderation, somebody(user="bob")) is None


async def test_a_ban_ends_by_itself(tmp_path: Path, clock: Clock) -> None:
    async with moderation_of(tmp_path, clock) as (moderation, _):
        await moderation.decide(ban("ada", until=START + 60), MODERATOR)
        clock.now += 60
        assert refusal(moderation, somebody()) is None
        assert moderation.bans("here") == ()


async def test_a_role_is_banned_and_everybody_has_the_role_of_the_server(tmp_path: Path, clock: Clock) -> None:
    async with moderation_of(tmp_path, clock) as (moderation, _):
        await moderation.decide(ban("new", "role"), MODERATOR)
        assert refusal(moderation, somebody("new", "other")) == IsBanned("", None)
        assert refusal(moderation, somebody("other")) is None
        await moderation.decide(ban("here", "role"), MODERATOR)
        assert refusal(moderation, somebody()) == IsBanned("", None)


async def test_of_several_bans_the_one_that_ends_last_is_named(tmp_path: Path, clock: Clock) -> None:
    async with moderation_of(tmp_path, clock) as (moderation, _):
        await moderation.decide(ban("ada", reason="short", until=START + 60), MODERATOR)
        await moderation.decide(ban("new", "role", reason="long", until=START + 600), MODERATOR)
        assert refusal(moderation, somebody("new")) == IsBanned("long", 600.0)


async def test_a_later_ban_replaces_the_one_before_and_unban_ends_it(tmp_path: Path, clock: Clock) -> None:
    async with moderation_of(tmp_path, clock) as (moderation, _):
        await moderation.decide(ban("ada", reason="first"), MODERATOR)
        await moderation.decide(ban("ada", reason="second", until=START + 60), MODERATOR)
        assert refusal(moderation, somebody()) == IsBanned("second", 60.0)
        await moderation.decide(Unban(guild="here", banned="person", id="ada"), MODERATOR)
        assert refusal(moderation, somebody()) is None


async def test_decisions_outlive_a_restart(tmp_path: Path, clock: Clock) -> None:
    async with moderation_of(tmp_path, clock) as (moderation, _):
        await moderation.decide(ban("ada", reason="spam"), MODERATOR)
        await moderation.decide(ban("bob", until=START + 60), MODERATOR)
        await moderation.decide(ban("cid"), MODERATOR)
        await moderation.decide(Unban(guild="here", banned="person", id="cid"), MODERATOR)
        await moderation.decide(GuildLimits(guild="here", jobs=2), MODERATOR)
        await moderation.decide(GuildLimits(guild="here", jobs=3, seconds=60), MODERATOR)
    clock.now += 60
    async with moderation_of(tmp_path, clock) as (moderation, journal):
        assert moderation.bans("here") == (ban("ada", reason="spam"),)
        assert moderation.limits("here") == GuildLimits(guild="here", jobs=3, seconds=60)
        assert moderation.limits("there") == GuildLimits(guild="there")
        await moderation.decide(ban("dan"), MODERATOR)
        clock.now = START
        assert len((await journal.decisions()).bans) == 2, "the one that was over is deleted"


DECISIONS: list[Decision] = [ban("ada"), Unban(guild="here", banned="person", id="ada"), GuildLimits(guild="here")]


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda decision: type(decision).__name__)
@pytest.mark.parametrize(
    "person",
    [somebody(), Person(user="mo", guild="there", moderator=True), Person(user="mo", moderator=True)],
    ids=["no moderator", "of another server", "in a direct message"],
)
async def test_only_moderators_of_the_server_decide(
    decision: Decision, person: Person, tmp_path: Path, clock: Clock
) -> None:
    async with moderation_of(tmp_path, clock) as (moderation, journal):
        with pytest.raises(WorkflowError) as caught:
            await moderation.decide(decision, person)
        assert caught.value.reason == NotAModerator()
        assert not (await journal.decisions()).bans


async def test_each_decision_is_a_row_of_the_audit_and_a_line_of_the_log(tmp_path: Path, clock: Clock) -> None:
    async with moderation_of(tmp_path, clock) as (moderation, _):
        with capture_logs() as lines:
            for decision in DECISIONS:
                await moderation.decide(decision, MODERATOR)
                clock.now += 1
        assert [line["event"] for line in lines] == ["a moderator decided"] * 3
        assert {(line["guild"], line["by"]) for line in lines} == {("here", "mo")}
    with open_store(tmp_path / "atelier.db", clock=clock) as store:
        rows = store.audit()
    assert [(row.guild, row.person, row.action) for row in rows] == [
        ("here", "mo", "ban"),
        ("here", "mo", "unban"),
        ("here", "mo", "limits"),
    ]
    assert rows[0].details == '{"guild":"here","banned":"person","id":"ada","reason":"","until":null}'
    assert [row.at for row in rows] == [START, START + 1, START + 2]
