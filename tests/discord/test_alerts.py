"""Alerts reach the owner of the application and a channel; a Discord that refuses them ends nothing."""

from __future__ import annotations

import pytest

from app.config.settings import AlertTargets
from app.core.alerts import Cause
from app.discord.text import escape
from app.reasons.alerts import DiskFull
from tests.discord.fake import Payload
from tests.discord.fake.world import MEMBER, SEND_MESSAGES, Channel
from tests.discord.stage import Life, Stage, words

TEXT = "Make room on the disk of data/results: it is full, and results wait for it."


def alert(life: Life) -> None:
    life.alerts.raised(Cause("disk"), DiskFull("data/results"))


async def arrived(stage: Stage, channel: Channel) -> Payload:
    """The alert, once it stands in this channel."""

    def says() -> Payload | None:
        messages = stage.discord.state.messages.all.values()
        return next((one for one in messages if one["channel_id"] == channel.id), None)

    message = await stage.discord.until(says)
    assert message is not None
    return message


async def test_the_owner_gets_a_direct_message(stage: Stage) -> None:
    async with stage.bot(AlertTargets(owner=True)) as life:
        alert(life)
        message = await arrived(stage, stage.discord.dm())
    assert words(message) == escape(TEXT)
    assert len(stage.discord.messages) == 1


async def test_the_owner_of_a_team_gets_a_direct_message(stage: Stage) -> None:
    stage.discord.state.team_owner = bob = stage.discord.person("bob")
    async with stage.bot(AlertTargets(owner=True)) as life:
        alert(life)
        assert words(await arrived(stage, stage.discord.dm(bob))) == escape(TEXT)
    assert len(stage.discord.messages) == 1


async def test_a_channel_gets_a_message(stage: Stage) -> None:
    channel = stage.discord.open_channel("alerts")
    async with stage.bot(AlertTargets(channel=int(channel.id))) as life:
        alert(life)
        assert words(await arrived(stage, channel)) == escape(TEXT)
    assert len(stage.discord.messages) == 1


async def test_a_try_that_discord_answered_with_an_error_is_repeated_and_posted_once(stage: Stage) -> None:
    channel = stage.discord.open_channel("alerts")
    async with stage.bot(AlertTargets(channel=int(channel.id))) as life:
        stage.discord.fail("POST", f"/channels/{channel.id}/messages$", status=500, after=True, times=3)
        alert(life)
        await stage.discord.until(lambda: len(stage.discord.requested("POST", "/messages")) >= 4)
        await arrived(stage, channel)
    assert len(stage.discord.messages) == 1


async def test_owner_and_channel_that_refuse_disturb_nobody(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    closed = stage.discord.open_channel("closed", bot_permissions=MEMBER & ~SEND_MESSAGES)
    stage.discord.alice.takes_dms = False
    async with stage.bot(AlertTargets(owner=True, channel=int(closed.id))) as life:
        alert(life)
        await stage.discord.until(lambda: len(stage.discord.requested("POST", "/messages")) >= 2)
        asked = stage.discord.slash("txt2img", {"prompt": "a cat", "width": 64, "height": 64})
        await stage.result(asked)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
