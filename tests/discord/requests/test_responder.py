"""How a person is answered directly: by which calls, and what a failure does."""

from __future__ import annotations

from typing import cast

import anyio.lowlevel
import pytest

from app.discord.message_ref import MessageRef, Seen
from app.discord.messages.open_requests import OpenRequests
from app.discord.messages.ports import Away, MessageSender
from app.discord.requests.responder import Responder
from app.discord.ui.components import Card, Text
from app.discord.user_request import Caller

pytestmark = pytest.mark.anyio

ANSWER = Card((Text("Here it is."),))


class Calls:
    """A sender that records what it is asked to do, and does not reach Discord if it is `away`."""

    def __init__(self, *, away: bool = False) -> None:
        self.made: list[str] = []
        self._away = away

    async def _call(self, what: str) -> Seen:
        await anyio.lowlevel.checkpoint()
        self.made.append(what)
        if self._away:
            raise Away("Discord does not answer.")
        return Seen("channel", "message")

    async def edit_original(self, token: str, card: Card) -> Seen:
        return await self._call(f"edit {token}: {_text(card)}")

    async def ephemeral_followup(self, token: str, card: Card) -> None:
        await self._call(f"whisper {token}: {_text(card)}")

    async def delete_original(self, token: str) -> None:
        await self._call(f"delete {token}")

    async def delete(self, channel: str, message: str) -> None:
        await self._call(f"delete {channel}/{message}")


def _text(card: Card) -> str:
    return "\n".join(block.text for block in card.blocks if isinstance(block, Text)).replace("\\", "")


def responder(calls: Calls) -> Responder:
    return Responder(cast("MessageSender", cast("object", calls)), OpenRequests())


def caller(*, fresh: bool = False, alone: bool = False) -> Caller:
    return Caller(user="ada", channel="channel", token="t", message="m1", fresh=fresh, alone=alone)


async def test_an_answer_fills_the_message_that_was_made_for_it() -> None:
    calls = Calls()
    await responder(calls).tell(caller(fresh=True), ANSWER)
    assert calls.made == ["edit t: Here it is."]


async def test_an_answer_to_a_button_is_for_the_person_alone() -> None:
    calls = Calls()
    await responder(calls).tell(caller(), ANSWER)
    assert calls.made == ["whisper t: Here it is."]


async def test_a_refusal_removes_the_public_message_and_gives_back_what_was_typed() -> None:
    calls = Calls()
    await responder(calls).refuse(caller(fresh=True), "Try again.", "a long story")
    assert calls.made == ["delete t", "whisper t: Try again.\nYou wrote:\n>>> a long story"]


async def test_a_refusal_that_only_the_person_sees_anyway_needs_no_second_message() -> None:
    calls = Calls()
    await responder(calls).refuse(caller(fresh=True, alone=True), "Try again.")
    assert calls.made == ["edit t: Try again."]


async def test_a_person_who_cannot_be_reached_is_no_failure() -> None:
    calls = Calls(away=True)
    await responder(calls).refuse(caller(fresh=True), "Try again.")
    assert len(calls.made) == 2, "the refusal is tried although the message could not be removed"


async def test_deleting_a_job_deletes_what_continues_its_message_wherever_it_is() -> None:
    calls = Calls()
    place = MessageRef(channel="channel", user="ada", message="m1", more=("m2", "elsewhere/m3"))
    await responder(calls).remove(caller(), place)
    assert calls.made == ["delete t", "delete channel/m2", "delete elsewhere/m3"]


async def test_what_continues_a_message_that_cannot_be_deleted_is_deleted_all_the_same() -> None:
    calls = Calls(away=True)
    await responder(calls).remove(caller(), MessageRef(channel="channel", user="ada", message="m1", more=("m2", "m3")))
    assert calls.made == ["delete t", "delete channel/m2", "delete channel/m3"]


async def test_a_message_that_show_made_has_no_continuation() -> None:
    calls = Calls()
    await responder(calls).remove(caller(), MessageRef(channel="channel", user="ada", message="other", more=("m2",)))
    assert calls.made == ["delete t"]
