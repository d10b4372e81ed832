"""Whoever was told that the bot thinks gets an answer, whatever becomes of the calls to Discord."""

from __future__ import annotations

import pytest

from app.config.settings import Limits
from app.discord.messages import open_requests
from app.ports import OpenRequest
from app.texts.discord.answers import NOT_ANSWERED
from tests.discord.fake import Interaction
from tests.discord.fake.wire import LOADING
from tests.discord.stage import Stage, words
from tests.discord.test_takeover import Kept, think

ANSWER = "/messages/@original$"

TRIES = 2
"""Times that hikari makes a call that something in front of Discord answers."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_requests, "LOOK", 0.05)


def imagine(stage: Stage) -> Interaction:
    return stage.discord.slash("txt2img", {"prompt": "a cat", "width": 64, "height": 64})


async def until_answered(stage: Stage, interaction: Interaction) -> None:
    def is_answered() -> bool:
        message = stage.discord.state.messages.all.get(interaction.original or "")
        return message is not None and not message["flags"] & LOADING

    await stage.discord.until(is_answered)


async def test_an_answer_that_cannot_be_sent_is_sent_later(stage: Stage) -> None:
    async with stage.bot():
        stage.discord.fail("PATCH", ANSWER, status=502, times=TRIES)
        asked = stage.discord.slash("help")
        await until_answered(stage, asked)


async def test_a_request_stays_open_until_its_refusal_is_sent_later(stage: Stage) -> None:
    kept = Kept()
    async with stage.bot(limits=Limits(jobs=1), open_requests=kept):
        stage.hold()
        await stage.until("[Cancel]", imagine(stage))
        stage.discord.fail("DELETE", ANSWER, status=502, times=TRIES)
        stage.discord.fail("POST", "/webhooks/", status=502, times=TRIES)
        fault = stage.discord.fail("GET", ANSWER, hold=True)
        refused = imagine(stage)
        await stage.discord.until(lambda: fault.times == 0)
        assert kept.requests.keys() == {refused.token}
        assert stage.discord.message(refused)["flags"] & LOADING
        stage.discord.heal()
        await until_answered(stage, refused)
        await stage.discord.until(lambda: not kept.requests)


async def test_whom_another_front_has_left_is_answered_once_discord_can_be_reached(stage: Stage) -> None:
    async with stage.bot():
        pass
    left = think(stage)
    kept = Kept(OpenRequest(left.token, "a cat on a chair"))
    fault = stage.discord.fail("GET", ANSWER, status=502, times=TRIES)
    async with stage.bot(open_requests=kept):
        assert "a cat on a chair" in words(await stage.until("stopped before it took this", left))
        assert fault.times == 0
        await stage.discord.until(lambda: not kept.left_over)


async def test_a_refusal_that_is_interrupted_once_the_message_is_deleted_is_finished_by_the_next_front(
    stage: Stage,
) -> None:
    kept = Kept()
    async with stage.bot(limits=Limits(jobs=1), open_requests=kept):
        stage.hold()
        await stage.until("[Cancel]", imagine(stage))
        fault = stage.discord.fail("POST", "/webhooks/", hold=True)
        refused = imagine(stage)
        await stage.discord.until(lambda: fault.times == 0)
        assert kept.requests.keys() == {refused.token}
    stage.discord.heal()
    async with stage.bot(open_requests=Kept(*kept.requests.values())):
        assert "stopped before it took this" in await stage.ephemeral_followup(refused)


async def test_a_person_is_known_to_other_fronts_before_they_are_told_that_the_bot_thinks(stage: Stage) -> None:
    kept = Kept()
    async with stage.bot(open_requests=kept):
        fault = stage.discord.fail("POST", "/callback", hold=True)
        asked = imagine(stage)
        await stage.discord.until(lambda: fault.times == 0)
        assert kept.requests == {asked.token: OpenRequest(asked.token, "a cat")}
        stage.discord.heal()
        await stage.result(asked)
        await stage.discord.until(lambda: not kept.requests)


async def test_a_person_is_told_if_the_bot_does_not_hear_that_they_read_that_it_thinks(stage: Stage) -> None:
    kept = Kept()
    async with stage.bot(open_requests=kept):
        stage.discord.fail("POST", "/callback", status=502, after=True)
        stage.discord.fail("POST", "/callback", status=502)
        asked = imagine(stage)
        assert "a cat" in words(await stage.until(NOT_ANSWERED, asked))
        await stage.discord.until(lambda: not kept.requests)


async def test_a_person_whom_nothing_has_reached_is_forgotten(stage: Stage) -> None:
    kept = Kept()
    async with stage.bot(open_requests=kept):
        stage.discord.fail("POST", "/callback", status=502, times=TRIES)
        asked = imagine(stage)
        await stage.discord.until(lambda: asked.token in {request.token for request in kept.seen} and not kept.requests)
        assert asked.original is None
