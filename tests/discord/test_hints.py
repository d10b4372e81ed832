"""Below somebody's first picture a hint says what to do with it: once, and to nobody else."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from app.journal.opening import JOURNAL
from tests.discord.fake import Interaction, Payload
from tests.discord.fake.world import Person
from tests.discord.one_backend import only_on
from tests.discord.stage import EPHEMERAL, Life, Stage, ended, job_of, words

anyio_backend = only_on("asyncio")

HINT = "Your first picture!"


def asked(stage: Stage, user: Person | None = None) -> Interaction:
    return stage.discord.slash("txt2img", {"prompt": "a cat", "width": 64, "height": 64}, user=user)


async def shown(stage: Stage, life: Life, user: Person | None = None) -> Payload:
    """A result, once all that belongs to it has been said."""
    interaction = asked(stage, user)
    message = await stage.result(interaction)
    await ended(life, job_of(message))
    return message


def hints(stage: Stage) -> list[Payload]:
    """All messages that have ever had the hint."""
    history = stage.discord.state.messages.history
    return [states[-1].state for states in history.values() if any(HINT in words(one.state) for one in states)]


async def test_a_first_picture_has_a_hint_that_only_its_person_sees_and_no_other_has(stage: Stage) -> None:
    async with stage.bot() as life:
        result = await shown(stage, life)
        await stage.discord.until(lambda: hints(stage))
        (hint,) = hints(stage)
        assert hint["flags"] & EPHEMERAL
        ids = {command["name"]: command["id"] for command in stage.discord.commands()}
        assert f"</help:{ids['help']}>" in words(hint)
        assert "**Edit prompt**" in words(hint)
        assert "[Edit prompt]" in words(result)
        await shown(stage, life)
        bob = stage.discord.person("bob")
        await shown(stage, life, bob)
        await stage.discord.until(lambda: len(hints(stage)) == 2)
    async with stage.bot() as life:
        await shown(stage, life)
        await shown(stage, life)
    assert len(hints(stage)) == 2


async def test_where_nothing_can_be_said_to_its_person_alone_the_hint_is_below_the_picture(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        first = asked(stage)
        await stage.until("[Cancel]", first)
    async with stage.bot() as life:
        stage.go_on()
        result = await stage.result(first)
        assert f"-# {HINT}" in words(result)
        await ended(life, job_of(result))
        assert HINT not in words(await shown(stage, life))
    assert len(hints(stage)) == 1


async def test_who_has_pictures_of_before_reads_no_hint(stage: Stage) -> None:
    async with stage.bot() as life:
        await shown(stage, life)
        await stage.discord.until(lambda: len(hints(stage)) == 1)
    with closing(sqlite3.connect(stage.data / JOURNAL)) as database, database:
        # As if the bot had been updated only now.
        assert database.execute("DELETE FROM notices").rowcount == 1
    async with stage.bot() as life:
        await shown(stage, life)
        await shown(stage, life)
    assert len(hints(stage)) == 1


async def test_a_first_try_that_fails_does_not_use_up_the_hint(stage: Stage) -> None:
    async with stage.bot() as life:
        stage.fault(fail_prompt={"count": 1, "status": 400})
        await stage.until("[Retry]", asked(stage))
        assert not hints(stage)
        await shown(stage, life)
        await stage.discord.until(lambda: len(hints(stage)) == 1)


async def test_a_journal_that_cannot_be_asked_costs_the_hint_and_nothing_else(stage: Stage) -> None:
    async with stage.bot() as life:

        async def fail(*_: object, **__: object) -> bool:
            raise RuntimeError("a bug")

        life.journal.say_once = fail
        await shown(stage, life)
        await shown(stage, life)
    assert not hints(stage)
