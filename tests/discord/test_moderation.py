"""Bans and limits as moderators set them, and as people meet them."""

from __future__ import annotations

import pytest

from app.config.settings import Limits
from tests.discord.fake import Impossible, Payload
from tests.discord.fake.world import MANAGE_MESSAGES, MEMBER, Person
from tests.discord.one_backend import only_on
from tests.discord.stage import EPHEMERAL, Stage, words

anyio_backend = only_on("trio")

ROLE = "1500000000000000001"


def moderator(stage: Stage) -> Person:
    return stage.discord.person("mo", permissions=MEMBER | MANAGE_MESSAGES)


async def told(stage: Stage, moderating: Person, command: str, **options: object) -> str:
    """What a moderator reads after a command; nobody else does."""
    asked = stage.discord.slash(command, options, user=moderating)

    def answer() -> Payload | None:
        message = stage.discord.state.messages.all.get(asked.original or "")
        return message if message is not None and words(message) else None

    message = await stage.discord.until(answer)
    assert message is not None
    assert message["flags"] & EPHEMERAL
    return words(message)


async def refusal(stage: Stage, person: Person, **options: object) -> str:
    """The first answer to /imagine, which only the person sees."""
    asked = await stage.answered(stage.discord.slash("txt2img", options, user=person))
    message = stage.discord.state.messages.all[asked.original or ""]
    assert message["flags"] & EPHEMERAL
    return words(message)


async def test_a_banned_person_reads_why_and_until_when_and_nothing_is_made(stage: Stage) -> None:
    async with stage.bot() as life:
        mo, bob = moderator(stage), stage.discord.person("bob")
        first = await stage.result(stage.discord.slash("txt2img", prompt="a cat", user=bob))
        answer = await told(stage, mo, "ban", who=bob.id, reason="too much spam", days=2.0)
        assert answer.startswith(f"Banned: <@{bob.id}> until <t:")
        assert answer.endswith(":f> · too much spam")
        sentence = "You are banned on this server for another 2 days, so you cannot make anything here."
        assert f"{sentence} Reason\\: too much spam." in await refusal(stage, bob, prompt="a dog")
        for button in ("Again", "Edit prompt"):
            pressed = await stage.answered(stage.press(first, button, user=bob))
            assert sentence in await stage.ephemeral_followup(pressed), "before a form is filled in"
        assert not [job for job in await life.journal.unfinished() if not job.notified]
        # It counts for nobody else.
        await stage.result(stage.press(first, "Again"))


async def test_a_ban_outlives_a_restart_and_ends_with_unban(stage: Stage) -> None:
    mo, bob = moderator(stage), stage.discord.person("bob", roles=(ROLE,))
    stage.discord.guild.roles[ROLE] = 1
    async with stage.bot():
        assert await told(stage, mo, "ban", who=ROLE) == f"Banned: <@&{ROLE}> until somebody uses /unban"
    async with stage.bot():
        assert "You are banned on this server, so" in await refusal(stage, bob, prompt="a cat")
        assert f"<@&{ROLE}> until somebody uses /unban" in await told(stage, mo, "limits")
        assert "can make things here again" in await told(stage, mo, "unban", who=ROLE)
        await stage.result(stage.discord.slash("txt2img", prompt="a cat", user=bob))
        assert "There is no such ban." in await told(stage, mo, "unban", who=ROLE)
        assert "Nobody is banned." in await told(stage, mo, "limits")


async def test_a_limit_of_moderators_counts_at_once(stage: Stage) -> None:
    async with stage.bot(limits=Limits(jobs=5)):
        mo, bob = moderator(stage), stage.discord.person("bob")
        shown = await told(stage, mo, "limits")
        assert "None.\n" in shown
        assert "The people who run the bot allow: 5 jobs" in shown
        assert "at most 5 jobs" in await told(stage, mo, "limits", jobs=6)
        assert "1 job · 1 hour of GPU time a day" in await told(stage, mo, "limits", jobs=1, seconds=3600)
        assert "1 job · 1 hour of GPU time a day" in await told(stage, mo, "limits")
        stage.hold()
        await stage.until("[Cancel]", stage.discord.slash("txt2img", prompt="a cat", user=bob))
        usage = await stage.until("What you can still", stage.discord.slash("usage", user=bob))
        assert "You: 4 of 5 jobs left" in words(usage)
        assert "You, on this server: 0 of 1 job left" in words(usage)
        over = stage.discord.slash("txt2img", prompt="a dog", user=bob)
        await stage.discord.until(lambda: over.followups)
        assert "You have 1 of 1 job running or waiting." in await stage.ephemeral_followup(over)
        assert "None.\n" in await told(stage, mo, "limits", jobs=0, seconds=0)
        await stage.until("[Cancel]", stage.discord.slash("txt2img", prompt="a dog", user=bob))
        stage.go_on()


@pytest.mark.parametrize(("command", "options"), [("limits", {"jobs": 1}), ("ban", {"reason": "x"}), ("unban", {})])
async def test_only_moderators_may(stage: Stage, command: str, options: dict[str, object]) -> None:
    async with stage.bot() as life:
        bob = stage.discord.person("bob")
        who = {} if command == "limits" else {"who": stage.discord.alice.id}
        assert "Only moderators of this server can do that." in await told(stage, bob, command, **options, **who)
        decisions = await life.journal.decisions()
        assert not decisions.bans
        assert not decisions.limits


async def test_there_is_nothing_to_moderate_in_direct_messages(stage: Stage) -> None:
    async with stage.bot():
        channel = stage.discord.dm(stage.discord.alice)
        with pytest.raises(Impossible):
            stage.discord.slash("limits", channel=channel)
