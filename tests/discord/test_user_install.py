"""People bring the application along to places where the bot is not, if the operator allows it."""

from __future__ import annotations

import httpx
import pytest

from app.config.settings import Limits
from app.discord.message_ref import TOKEN_LIFE
from app.texts.discord.job_message import OUTSIDE
from tests.discord.fake import FakeDiscord, Payload
from tests.discord.fake.options import Impossible
from tests.discord.one_backend import only_on
from tests.discord.stage import ENOUGH, Stage, ended, files, job_of, words

anyio_backend = only_on("asyncio")


def refused(stage: Stage) -> list[int | None]:
    """The codes of all errors that Discord answered with."""
    return [request.code for request in stage.discord.requests if request.code]


def letters(stage: Stage) -> list[Payload]:
    """What the bot sent to Alice directly."""
    dm = stage.discord.dm()
    return [message for message in stage.discord.messages if message["channel_id"] == dm.id]


async def test_the_fake_refuses_the_bot_where_it_is_not(discord: FakeDiscord) -> None:
    outside = discord.open_outside("elsewhere")
    async with httpx.AsyncClient(headers={"Authorization": f"Bot {discord.token}"}) as client:
        answer = await client.post(f"{discord.rest_url}/channels/{outside.id}/messages", json={"content": "hello"})
    assert (answer.status_code, answer.json()["code"]) == (403, 50001)


async def test_commands_go_along_only_where_the_operator_allows_it(stage: Stage) -> None:
    async with stage.bot():
        outside = stage.discord.open_outside("elsewhere")
        with pytest.raises(Impossible):
            stage.discord.slash("txt2img", prompt="a cat", channel=outside)
    async with stage.bot(user_install=True):
        registered = {command["name"]: command for command in stage.discord.commands()}
        assert registered["imagine"]["integration_types"] == [0, 1]
        assert registered["imagine"]["contexts"] == [0, 1, 2]
        assert registered["ban"]["integration_types"] == [0]
        assert registered["ban"]["contexts"] == [0]


@pytest.mark.parametrize("guild", ["", "elsewhere"])
async def test_a_result_edits_its_answer_and_its_owner_is_notified_directly(stage: Stage, guild: str) -> None:
    """Nothing is tried as the bot, which has no access there; and limits of a place do not apply."""
    everywhere = Limits(jobs=5)
    async with stage.bot(limits=everywhere, user_install=True, notify_after=0) as life:
        outside = stage.discord.open_outside(guild)
        stage.hold()
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64, channel=outside)
        assert OUTSIDE in words(await stage.until("[Cancel]", asked))
        stage.go_on()
        shown = await stage.result(asked)
        assert files(shown)
        job = await ended(life, job_of(shown))
        assert job.request.guild == ""
        (letter,) = letters(stage)
        where = stage.discord.state.channels[outside.id]
        server = where.guild.id if where.guild else "@me"
        assert letter["content"] == (
            f"Your picture is ready. https://discord.com/channels/{server}/{outside.id}/{asked.original}"
        )
        again = await stage.result(stage.press(shown, "Again"))
        assert files(again)
        assert not refused(stage)


async def test_after_fifteen_minutes_the_result_comes_directly(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.discord.messages.live_messages.TOKEN_LIFE", 0.2)
    async with stage.bot(user_install=True, notify_after=0) as life:
        outside = stage.discord.open_outside("elsewhere")
        stage.hold()
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64, channel=outside)
        waiting = await stage.until("[Cancel]", asked)
        stage.discord.advance(TOKEN_LIFE + 60)
        stage.go_on()
        job = await ended(life, job_of(waiting))
        (letter,) = letters(stage)
        assert files(letter)
        assert job.receipt == letter["id"]
        # The token expires for the bot and for Discord at slightly different moments.
        assert set(refused(stage)) <= {50027}, "the new direct message is a notification by itself"


async def test_a_result_that_cannot_be_sent_directly_is_kept_and_show_brings_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage.bot(user_install=True):
        outside = stage.discord.open_outside("elsewhere")
        stage.discord.state.alice.takes_dms = False
        monkeypatch.setattr("app.discord.messages.live_messages.TOKEN_LIFE", 0.0)
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64, channel=outside)
        await stage.discord.until(lambda: 50007 in refused(stage), ENOUGH)
        monkeypatch.setattr("app.discord.messages.live_messages.TOKEN_LIFE", TOKEN_LIFE)
        offered = stage.discord.autocomplete("show", "job", "", channel=outside)
        await stage.discord.until(lambda: offered.data.get("choices") if offered.data else None, ENOUGH)
        (choice,) = offered.data["choices"]
        shown = await stage.result(stage.discord.slash("show", job=choice["value"], channel=outside))
        assert files(shown)
        assert shown["id"] != asked.original
        assert set(refused(stage)) == {50007}


async def test_a_job_from_elsewhere_outlives_a_restart(stage: Stage) -> None:
    async with stage.bot(user_install=True):
        outside = stage.discord.open_outside("elsewhere")
        stage.hold()
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64, channel=outside)
        waiting = await stage.until("[Cancel]", asked)
    stage.go_on()
    async with stage.bot(user_install=True) as life:
        await ended(life, job_of(waiting))
        (letter,) = letters(stage)
        assert files(letter)
        assert not refused(stage)


async def test_who_moderates_elsewhere_moderates_nothing_here(stage: Stage) -> None:
    """A job may be cancelled by its owner only, because the operator does not know the moderators of that place."""
    async with stage.bot(user_install=True):
        outside = stage.discord.open_outside("elsewhere")
        stage.hold()
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64, channel=outside)
        waiting = await stage.until("[Cancel]", asked)
        moderator = stage.discord.person("mo", permissions=(1 << 41) - 1)
        said = await stage.ephemeral_followup(stage.press(waiting, "Cancel", user=moderator))
        assert "Only the person who asked" in said
        stage.go_on()
        await stage.result(asked)
