"""People are notified of results that took long, in the way that they chose."""

from __future__ import annotations

import time

import pytest

from tests.discord.fake import Interaction, Payload
from tests.discord.fake.world import MEMBER, READ_HISTORY, SEND_MESSAGES
from tests.discord.one_backend import only_on
from tests.discord.stage import ENOUGH, Life, Stage, ended, job_of, parts, words

anyio_backend = only_on("trio")


def chosen(message: Payload) -> list[str]:
    """The labels of the buttons that stand out."""
    return [part["label"] for part in parts(message) if part.get("type") == 2 and part["style"] == 1]


async def test_settings_show_and_change_how_a_person_is_notified(stage: Stage) -> None:
    async with stage.bot(notify="dm") as life:
        opened = await stage.answered(stage.discord.slash("settings"))
        message = await stage.until("[Mention me]", opened)
        assert chosen(message) == ["Direct message"]
        stage.press(message, "Never")
        changed = await stage.until("I do not notify you", opened)
        assert chosen(changed) == ["Never"]
        assert "no saved settings" in words(changed)
        person = stage.discord.state.alice.id
        assert await life.journal.preferences(person) == {"/notify": {"way": "never"}}
    async with stage.bot(notify="dm"):
        again = await stage.until("I do not notify you", await stage.answered(stage.discord.slash("settings")))
        assert chosen(again) == ["Never"]
        reset = stage.discord.slash("settings", reset="everything")
        assert chosen(await stage.until("[Mention me]", reset)) == ["Direct message"]


async def test_settings_offer_no_choice_where_the_operator_allows_no_notifications(stage: Stage) -> None:
    async with stage.bot(notify="off"):
        message = await stage.until("no saved settings", stage.discord.slash("settings"))
        assert "Notifications" not in words(message)


def notices(stage: Stage) -> list[Payload]:
    """The notifications that are there: the bot's messages with plain text."""
    return [message for message in stage.discord.messages if message["content"] and message["author"]["bot"]]


def mentions(stage: Stage) -> list[tuple[str, list[str]]]:
    """What each of the bot's messages that mention somebody says, and whom it mentions."""
    bots = [message for message in stage.discord.messages if message["author"]["bot"]]
    return [(one["content"], [person["id"] for person in one["mentions"]]) for one in bots if one["mentions"]]


async def notice(stage: Stage, life: Life, asked: Interaction) -> Payload | None:
    """The notification of a request; None if there is none once the journal says that its owner needs nothing more."""
    await ended(life, job_of(await stage.result(asked)))
    (found, *more) = notices(stage) or [None]
    assert not more
    return found


async def test_the_owner_is_mentioned_in_a_reply_once_and_nobody_else_is(stage: Stage) -> None:
    """Neither for a batch of four pictures is there more than one."""
    async with stage.bot(notify_after=0) as life:
        alice = stage.discord.state.alice.id
        asked = stage.discord.slash("txt2img", prompt=f"<@{alice}> @everyone", count=4, width=64, height=64)
        found = await notice(stage, life, asked)
        assert found is not None
        assert found["content"] == f"<@{alice}> Your 4 pictures are ready."
        assert found["message_reference"]["message_id"] == asked.original
        assert mentions(stage) == [(found["content"], [alice])]
        (request,) = stage.discord.requested("POST", "/channels/{channel}/messages")
        assert isinstance(request.json, dict)
        assert request.json["allowed_mentions"] == {"parse": [], "users": [alice]}
        assert request.json["enforce_nonce"]


async def test_a_result_that_came_soon_has_no_notification(stage: Stage) -> None:
    async with stage.bot(notify_after=3600) as life:
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64)
        assert await notice(stage, life, asked) is None


async def test_who_wants_direct_messages_gets_one_or_a_mention_where_they_are_closed(stage: Stage) -> None:
    async with stage.bot(notify="dm", notify_after=0) as life:
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64)
        letter = await notice(stage, life, asked)
        assert letter is not None
        assert letter["channel_id"] == stage.discord.dm().id
        assert letter["content"].endswith(f"/{stage.discord.channel.id}/{asked.original}")
        stage.discord.delete(letter)
        stage.discord.state.alice.takes_dms = False
        asked = stage.discord.slash("txt2img", prompt="a dog", width=64, height=64)
        mention = await notice(stage, life, asked)
        assert mention is not None
        assert mention["channel_id"] == stage.discord.channel.id
        settings = await stage.until("[Mention me]", stage.discord.slash("settings"))
        assert "Discord does not let me write to you directly" in words(settings)


async def test_in_direct_messages_a_new_message_follows_the_result(stage: Stage) -> None:
    async with stage.bot(notify_after=0) as life:
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64, channel=stage.discord.dm())
        found = await notice(stage, life, asked)
        assert found is not None
        assert (found["content"], found["mentions"]) == ("Your picture is ready.", [])
        assert found["message_reference"]["message_id"] == asked.original


async def test_where_the_bot_may_not_reply_or_write_it_still_reaches_the_owner(stage: Stage) -> None:
    async with stage.bot(notify_after=0) as life:
        silent = stage.discord.open_channel("silent", bot_permissions=MEMBER & ~SEND_MESSAGES)
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64, channel=silent)
        letter = await notice(stage, life, asked)
        assert letter is not None
        assert letter["channel_id"] == stage.discord.dm().id
        stage.discord.delete(letter)
        blind = stage.discord.open_channel("blind", bot_permissions=MEMBER & ~READ_HISTORY)
        asked = stage.discord.slash("txt2img", prompt="a dog", width=64, height=64, channel=blind)
        mention = await notice(stage, life, asked)
        assert mention is not None
        assert mention["channel_id"] == blind.id
        assert mention["content"].endswith(f"/{blind.id}/{asked.original}")
        assert "message_reference" not in mention


@pytest.mark.parametrize("skipped", [0, 600])
async def test_a_notification_that_discord_took_without_an_answer_is_there_once_after_a_restart(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, skipped: float
) -> None:
    """After `skipped` seconds, Discord has forgotten the nonce: then the bot looks for its message."""
    async with stage.bot(notify_after=0):
        stage.discord.fail("POST", r"/channels/\d+/messages", times=None, status=500, after=True)
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64)
        await stage.discord.until(lambda: notices(stage), ENOUGH)
    stage.discord.heal()
    stage.discord.advance(skipped)
    real = time.time
    monkeypatch.setattr("app.discord.messages.live_messages.time.time", lambda: real() + skipped)
    async with stage.bot(notify_after=0) as life:
        found = await notice(stage, life, asked)
        assert found is not None
        job = await life.journal.find(job_of(await stage.result(asked)))
        assert job is not None
        assert found["id"] in job.place


async def test_a_failed_job_notifies_and_a_cancelled_one_does_not(stage: Stage) -> None:
    async with stage.bot(notify_after=0) as life:
        stage.fault(fail_prompt={"count": 1, "status": 400})
        failed = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64)
        shown = await stage.until("Failed", failed)
        await ended(life, job_of(shown))
        (found,) = notices(stage)
        assert "Failed: " in found["content"]
        stage.discord.delete(found)
        stage.hold()
        cancelled = stage.discord.slash("txt2img", prompt="a dog", width=64, height=64)
        stage.press(await stage.until("[Cancel]", cancelled), "Cancel")
        await ended(life, job_of(await stage.until("Cancelled", cancelled)))
        assert not notices(stage)
        stage.go_on()


async def test_a_result_that_was_deleted_has_no_notification_and_delete_removes_it(stage: Stage) -> None:
    async with stage.bot(notify_after=0) as life:
        held = stage.discord.fail("POST", r"/channels/\d+/messages", times=1, hold=True)
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64)
        shown = await stage.result(asked)
        await stage.discord.until(lambda: held.times == 0, ENOUGH)
        stage.discord.delete(shown)
        stage.discord.heal()
        await ended(life, job_of(shown))
        assert not notices(stage)
        asked = stage.discord.slash("txt2img", prompt="a dog", width=64, height=64)
        assert await notice(stage, life, asked) is not None
        await stage.delete(await stage.result(asked))
        await stage.discord.until(lambda: not notices(stage), ENOUGH)
