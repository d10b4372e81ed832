"""What the check against Discord says of an answer."""

from __future__ import annotations

import aiohttp
import hikari
import msgspec

from app.discord.gateway.live_check import answer_of
from app.discord.gateway.outage import SetupError
from app.discord.gateway.rest.client import translated
from app.discord.messages.ports import SendError

URL = "https://discord.com/api/v10/webhooks/1/secret-token"


def refused(errors: dict[str, dict[str, object]]) -> hikari.BadRequestError:
    body = msgspec.json.encode({"message": "Invalid Form Body", "code": 50035, "errors": errors})
    return hikari.BadRequestError(
        url=URL, headers={}, raw_body=body, message="Invalid Form Body", code=50035, errors=errors
    )


def sent(error: Exception) -> SendError:
    """The error as a sender raises it."""
    try:
        with translated():
            raise error
    except SendError as translation:
        return translation


def test_each_field_that_discord_refuses_is_named() -> None:
    too_long = {"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 4000 or fewer in length."}
    error = refused({"components": {"0": {"content": {"_errors": [too_long]}}}})
    told = "status 400, code 50035: Invalid Form Body (components.0.content: Must be 4000 or fewer in length.)"
    assert answer_of(error) == answer_of(sent(error)) == told


def test_addresses_are_left_out_because_they_hold_tokens() -> None:
    unknown = b'{"message": "Unknown Message", "code": 10008}'
    error = hikari.NotFoundError(url=URL, headers={}, raw_body=unknown, message="Unknown Message", code=10008)
    assert answer_of(sent(error)) == "status 404, code 10008: Unknown Message"
    away = hikari.InternalServerError(url=URL, status=502, headers={}, raw_body=b"<html>")
    assert answer_of(sent(away)) == "status 502, code 0: no message"
    body = b'{"code": 130000, "message": "API resource is currently overloaded"}'
    busy = hikari.InternalServerError(url=URL, status=503, headers={}, raw_body=body)
    assert answer_of(sent(busy)) == "status 503, code 130000: API resource is currently overloaded"


def test_a_limit_whose_length_is_unknown_is_described() -> None:
    text = '{"message": "You are being blocked.", "code": 0}'
    limited = hikari.HTTPResponseError(url=URL, status=429, headers={}, raw_body=text, message=text)
    assert answer_of(sent(limited)) == "status 429, code 0: You are being blocked."


def test_what_is_no_answer_is_described() -> None:
    assert "does not answer" in answer_of(sent(aiohttp.ClientPayloadError("cut")))
    assert answer_of(KeyError("flags")) == "KeyError: 'flags'"
    assert answer_of(TimeoutError()) == "Discord did not answer in time"
    assert answer_of(SetupError("A sentence.")) == "A sentence."
