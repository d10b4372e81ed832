"""What the gateway may send, and what it may do, without an end of the bot; and what is answered meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.discord.gateway import connection
from app.discord.gateway.connection import decode
from tests.discord.fake import Interaction, Payload
from tests.discord.stage import Stage, button
from tests.discord.test_error_boundary import IDENTIFIER, imagine, said, still_works

__all__ = ["said"]

DEEP = b'{"op":0,"t":"INTERACTION_CREATE","s":9,"d":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def without(*names: str) -> Callable[[Payload], Payload]:
    """A payload without one field, somewhere in it."""

    def cut(payload: Payload) -> Payload:
        where: Any = payload
        for name in names[:-1]:
            where = where[name]
        del where[names[-1]]
        return payload

    return cut


UNREADABLE: tuple[Callable[[Payload], Payload], ...] = (
    without("locale"),
    without("channel", "type"),
    without("authorizing_integration_owners"),
    without("member", "user", "username"),
    without("data", "name"),
    lambda payload: payload | {"attachment_size_limit": None, "app_permissions": "many"},
)
"""What hikari raises an exception for."""

UNANSWERABLE: tuple[Callable[[Payload], object], ...] = (
    without("id"),
    without("token"),
    lambda _: None,
    lambda _: [],
    lambda payload: payload | {"id": "../../gateway/bot"},
    lambda payload: payload | {"token": "../../../oauth2/applications/@me?"},
    lambda payload: payload | {"type": 77},
)
"""What nobody can answer."""


async def test_an_interaction_that_hikari_cannot_decode_is_answered_with_an_id(
    stage: Stage, said: Callable[[], str]
) -> None:
    async with stage.bot():
        for tamper in UNREADABLE:
            stage.discord.tamper = tamper
            asked = imagine(stage)
            stage.discord.tamper = None
            found = IDENTIFIER.search((await stage.ephemeral_followup(asked)).replace("\\", ""))
            assert found
            assert f"id={found[1]}" in said()
        await still_works(stage)


async def test_autocomplete_that_hikari_cannot_decode_offers_nothing(stage: Stage) -> None:
    async with stage.bot():
        stage.discord.tamper = without("locale")
        typed = stage.discord.autocomplete("txt2img", "checkpoint", "dream")
        stage.discord.tamper = None
        assert (await stage.answered(typed)).data["choices"] == []


async def test_an_interaction_that_cannot_be_answered_is_left_alone(stage: Stage) -> None:
    async with stage.bot():
        for tamper in UNANSWERABLE:
            stage.discord.tamper = tamper
            imagine(stage)
            stage.discord.tamper = None
        await still_works(stage)
        assert not stage.discord.requested("GET", "/oauth2/applications/@me?")


NO_PAYLOADS = (
    b"this is no JSON",
    b"\xff\xfe\x00",
    b"[]",
    b"null",
    b"{}",
    b'{"op":"0"}',
    b'{"op":0,"t":null,"s":1,"d":{}}',
    b'{"op":0,"t":"INTERACTION_CREATE","d":{}}',
    b'{"op":0,"t":"NOBODY_KNOWS_THIS","s":1,"d":{}}',
    b'{"op":9}',
    b'{"op":99,"d":null}',
    DEEP,
)


async def test_a_payload_that_is_none_is_skipped_on_the_same_connection(stage: Stage) -> None:
    async with stage.bot():
        for raw in NO_PAYLOADS:
            stage.discord.gateway.send_raw(raw)
        await still_works(stage)
        assert stage.discord.gateway.count(2) == 1


async def test_a_ready_that_lacks_a_field_is_followed_by_a_new_connection(stage: Stage) -> None:
    async with stage.bot():
        stage.discord.gateway.send_raw(b'{"op":0,"t":"READY","s":1,"d":{}}')
        await stage.discord.until(lambda: stage.discord.gateway.count(2) == 2 and stage.discord.gateway.connected, 20)
        await still_works(stage)


@pytest.mark.slow
@pytest.mark.parametrize("code", [4000, 4003, 4012])
async def test_a_close_that_waiting_can_mend_is_followed_by_a_new_connection(stage: Stage, code: int) -> None:
    gateway = stage.discord.gateway
    async with stage.bot():
        before = gateway.count(2) + gateway.count(6)
        gateway.close(code)
        await stage.discord.until(lambda: gateway.count(2) + gateway.count(6) > before and gateway.connected, 20)
        await still_works(stage)


async def test_what_the_bot_does_is_shown_on_the_next_connection_too(stage: Stage) -> None:
    gateway = stage.discord.gateway
    async with stage.bot():
        await stage.discord.until(lambda: "Making pictures" in str(gateway.presences), 20)
        gateway.close(4003)
        await stage.discord.until(lambda: gateway.count(2) == 2, 20)
        assert "Making pictures" in str(gateway.presences[-1])


@pytest.mark.slow
async def test_a_gateway_that_never_greets_is_dialled_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE", 1.0)
    gateway = stage.discord.gateway
    async with stage.bot():
        gateway.mute = True
        gateway.close(4003)
        await stage.discord.until(lambda: gateway.count(2) == 3, 20)
        gateway.mute = False
        await stage.discord.until(lambda: gateway.connected, 20)
        await still_works(stage)
        assert len([one for one in gateway.sessions.values() if one.line]) == 1


@pytest.mark.slow
async def test_what_arrives_right_after_ready_is_answered(stage: Stage) -> None:
    async with stage.bot():
        first = await stage.result(imagine(stage))
    asked: list[Interaction] = []

    def at_once() -> None:
        discord = stage.discord
        asked.extend([imagine(stage), discord.slash("status"), discord.click(first, button(first, "Details"))])
        asked.append(discord.autocomplete("txt2img", "checkpoint", "dream"))

    stage.discord.gateway.after_ready = at_once
    stage.discord.fail("GET", "/commands", delay=2.0)
    async with stage.bot():
        for one in asked:
            await stage.answered(one)
            assert (one.latency or 9.0) < 2.0
        await stage.result(asked[0])


async def test_a_command_that_was_taken_away_says_so(stage: Stage) -> None:
    async with stage.bot():
        stage.discord.tamper = lambda payload: payload | {"data": payload["data"] | {"name": "gone"}}
        asked = imagine(stage)
        stage.discord.tamper = None
        assert "out of date" in await stage.ephemeral_followup(asked)


async def test_a_button_that_is_none_of_ours_says_so(stage: Stage) -> None:
    async with stage.bot():
        message = await stage.result(imagine(stage))
        pressed = stage.discord.forge(3, {"custom_id": "another bot's", "component_type": 2, "id": 1}, message=message)
        assert "out of date" in await stage.ephemeral_followup(pressed)


def test_a_payload_is_decoded_as_it_is() -> None:
    assert decode(b'{"op":11,"d":null}') == {"op": 11, "d": None}
