"""People whose request is acknowledged in the moment in which the bot stops get an answer."""

from __future__ import annotations

import anyio
import pytest

from app.service.jobs.job_factory import JobFactory
from tests.discord.fake import Interaction
from tests.discord.stage import Life, Stage

SOON = "The bot is about to restart. Ask again in a moment."


def imagine(stage: Stage) -> Interaction:
    return stage.discord.slash("txt2img", prompt="a cat", width=64, height=64)


def stop(life: Life) -> None:
    life.house.draining.set()
    life.house.shutdown.set()


async def test_a_request_that_is_acknowledged_while_the_bot_stops_is_answered(stage: Stage) -> None:
    async with stage.bot() as life:
        stage.discord.fail("POST", "/callback", delay=0.2)
        interaction = imagine(stage)
        await stage.discord.until(lambda: stage.discord.requested("POST", "callback"))
        stop(life)
    assert SOON in await stage.ephemeral_followup(interaction)


async def test_a_request_that_takes_too_long_while_the_bot_stops_is_refused(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = anyio.Event()

    async def create(*_: object) -> None:
        begun.set()
        await anyio.sleep_forever()

    monkeypatch.setattr(JobFactory, "create", create)
    async with stage.bot() as life:
        interaction = imagine(stage)
        await begun.wait()
        stop(life)
    assert SOON in await stage.ephemeral_followup(interaction)
