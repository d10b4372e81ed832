"""A front that has become the active one, and one that is not any more: what people see is what is true."""

from __future__ import annotations

import math
from copy import deepcopy

import pytest

from app.discord import app
from tests.discord.fake import Interaction
from tests.discord.stage import Stage, words

MESSAGE = r"/channels/\d+/messages/\d+$"


def imagine(stage: Stage) -> Interaction:
    return stage.discord.slash("txt2img", {"prompt": "a cat", "width": 64, "height": 64})


def forever() -> float:
    return math.inf


async def test_a_result_that_the_front_before_has_overwritten_is_shown_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "SETTLED", 0.0)
    async with stage.bot():
        stage.hold()
        asked = imagine(stage)
        before = deepcopy(await stage.until("[Cancel]", asked))
    async with stage.bot(active_for=forever):
        fault = stage.discord.fail("GET", MESSAGE, hold=True)
        stage.go_on()
        result = words(await stage.result(asked))
        await stage.discord.until(lambda: fault.times == 0)
        # What the front before had sent arrives only now.
        old: dict[str, object] = {"components": before["components"], "attachments": []}
        stage.discord.state.do(lambda: stage.discord.state.messages.edit(before["id"], old, {}))
        assert words(stage.discord.message(asked)) == words(before)
        stage.discord.heal()
        assert words(await stage.result(asked)) == result


async def test_a_result_that_still_stands_is_not_sent_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "SETTLED", 0.0)
    async with stage.bot():
        stage.hold()
        asked = imagine(stage)
        await stage.until("[Cancel]", asked)
    async with stage.bot(active_for=forever):
        stage.go_on()
        await stage.result(asked)
        await stage.discord.until(lambda: stage.discord.requested("GET", "/messages/{message}"))
    assert sum("[Again]" in words(revision.state) for revision in stage.discord.history(asked)) == 1
