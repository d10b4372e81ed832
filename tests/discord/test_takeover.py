"""A front that has become the active one, and one that is not any more: what people see is what is true."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy

import anyio.lowlevel
import pytest

from app.discord import app
from app.events import JobId
from app.ports import OpenRequest
from tests.discord.fake import Interaction
from tests.discord.fake.wire import LOADING
from tests.discord.stage import ENOUGH, Stage, ended, job_of, words

MESSAGE = r"/channels/\d+/messages/\d+$"


class Kept:
    """What outlives the bot of the requests that it has not answered."""

    def __init__(self, *left: OpenRequest) -> None:
        self.requests: dict[str, OpenRequest] = {}
        self.seen: list[OpenRequest] = []
        self.left_over = {request.token: request for request in left}

    def put(self, request: OpenRequest) -> None:
        self.seen.append(request)
        self.requests[request.token] = request

    def remove(self, token: str) -> None:
        if self.left_over.pop(token, None) is None:
            del self.requests[token]

    async def kept(self, token: str) -> None:
        await anyio.lowlevel.checkpoint()
        assert token in self.requests

    async def left(self) -> Sequence[OpenRequest]:
        await anyio.lowlevel.checkpoint()
        return list(self.left_over.values())


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


async def test_a_result_is_looked_at_although_the_front_that_showed_it_is_replaced_as_well(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stage.bot():
        # Results have no hint any more from here on.
        await stage.result(imagine(stage))
        stage.hold()
        asked = imagine(stage)
        before = deepcopy(await stage.until("[Cancel]", asked))
    async with stage.bot(active_for=forever) as life:
        stage.go_on()
        shown = await stage.result(asked)
        result, job = words(shown), job_of(shown)
        await ended(life, job)
    old: dict[str, object] = {"components": before["components"], "attachments": []}
    stage.discord.state.do(lambda: stage.discord.state.messages.edit(before["id"], old, {}))
    monkeypatch.setattr(app, "SETTLED", 0.0)
    async with stage.bot(active_for=forever) as life:
        assert words(await stage.result(asked)) == result
        with anyio.fail_after(ENOUGH):
            while await life.journal.late_edits():
                await anyio.lowlevel.checkpoint()
    assert len(stage.discord.message(asked)["attachments"]) == len(shown["attachments"])


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


def think(stage: Stage) -> Interaction:
    """Somebody asks a bot that says that it thinks, and dies."""
    asked, state = imagine(stage), stage.discord.state
    state.do(lambda: state.interactions.respond(asked.id, asked.token, {"type": 5}, {}))
    return asked


async def test_who_was_left_at_thinking_reads_that_nothing_comes_and_gets_the_text_back(stage: Stage) -> None:
    async with stage.bot():
        pass
    left, answered = think(stage), think(stage)
    state, content = stage.discord.state, {"content": "an answer"}
    state.do(lambda: state.messages.edit(answered.original or "", content, {}))
    kept = Kept(OpenRequest(left.token, "a cat on a chair"), OpenRequest(answered.token, "a dog"))
    async with stage.bot(open_requests=kept):
        assert "a cat on a chair" in words(await stage.until("stopped before it took this", left))
        assert stage.discord.message(answered)["content"] == "an answer"


async def test_who_waits_for_a_job_that_the_journal_has_is_not_told_that_nothing_comes(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        job = job_of(await stage.until("[Cancel]", imagine(stage)))
    left = think(stage)
    async with stage.bot(open_requests=Kept(OpenRequest(left.token, "a cat", JobId(job)))):
        stage.go_on()
        await stage.result(imagine(stage))
    assert stage.discord.message(left)["flags"] & LOADING


async def test_a_request_is_kept_until_it_is_answered(stage: Stage) -> None:
    kept = Kept()
    async with stage.bot(open_requests=kept):
        stage.hold()
        asked = imagine(stage)
        job = job_of(await stage.until("[Cancel]", asked))
        help_asked = stage.discord.slash("help")
        await stage.answered(help_asked)
        await stage.discord.until(lambda: not kept.requests)
    assert {request.token for request in kept.seen} == {asked.token, help_asked.token}
    assert OpenRequest(asked.token, "a cat", JobId(job)) in kept.seen
