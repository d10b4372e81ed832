"""People whose request is acknowledged in the moment in which the bot stops get an answer."""

from __future__ import annotations

import anyio
import pytest

from app.discord.requests import farewell
from app.service.jobs.job_factory import JobFactory
from tests.discord.fake import Interaction
from tests.discord.stage import Life, Stage, words
from tests.discord.test_takeover import Kept

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


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> anyio.Event:
    """Set once a job is being made, which then takes for ever."""
    begun = anyio.Event()

    async def create(*_: object) -> None:
        begun.set()
        await anyio.sleep_forever()

    monkeypatch.setattr(JobFactory, "create", create)
    return begun


async def test_a_request_that_takes_too_long_while_the_bot_stops_is_refused(stage: Stage, begun: anyio.Event) -> None:
    kept = Kept()
    async with stage.bot(open_requests=kept) as life:
        interaction = imagine(stage)
        await begun.wait()
        assert kept.requests.keys() == {interaction.token}
        stop(life)
    assert SOON in words(await stage.until("a cat", interaction))
    assert not kept.requests


async def test_a_request_that_cannot_be_refused_any_more_is_left_to_the_next_front(
    stage: Stage, begun: anyio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "REFUSING", 0.1)
    kept = Kept()
    async with stage.bot(open_requests=kept) as life:
        interaction = imagine(stage)
        await begun.wait()
        stage.discord.fail("PATCH", "/messages/@original", hold=True)
        stop(life)
    assert kept.requests.keys() == {interaction.token}
    stage.discord.heal()
    async with stage.bot(open_requests=Kept(*kept.requests.values())):
        await stage.until("stopped before it took this", interaction)


async def test_a_request_that_arrives_while_the_bot_stops_is_refused_by_its_first_answer(
    stage: Stage, begun: anyio.Event
) -> None:
    async with stage.bot() as life:
        waits = imagine(stage)
        await begun.wait()
        stop(life)
        await life.house.shutdown.wait()
        await anyio.wait_all_tasks_blocked()
        late = [imagine(stage), stage.discord.slash("help"), stage.discord.slash("queue")]
        for interaction in late:
            await stage.answered(interaction)
    await stage.until(SOON, waits)
    for interaction in late:
        assert SOON in await stage.ephemeral_followup(interaction)
        assert not interaction.deferred
