"""Results that Discord refuses: each has another place to go to, or is kept and tried again."""

from __future__ import annotations

import pytest

from tests.discord.fake import Interaction
from tests.discord.stage import Stage, ended, files, job_of, words

ALL = r"/webhooks/|/channels/\d+/messages"
"""Every way to post or edit a message."""


async def held(stage: Stage) -> Interaction:
    """A job that runs until ComfyUI goes on."""
    stage.hold()
    asked = stage.discord.slash("txt2img", {"prompt": "a cat", "width": 64, "height": 64})
    await stage.until("[Cancel]", asked)
    return asked


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, 20009),  # explicit content
        (400, 50083),  # an archived thread
        (400, 160005),  # a locked thread
        (400, 30046),  # an old message that was edited too often
        (400, 50035),  # the form is invalid (discord-api-docs#7529)
        (403, 50001),  # no access
        (403, 50013),  # a missing permission
        (404, 10003),  # an unknown channel
        (409, 40066),  # something that hikari has no class for
        (422, 99999),  # something that nobody has documented
    ],
)
async def test_a_result_that_its_message_refuses_goes_elsewhere(stage: Stage, status: int, code: int) -> None:
    """On one backend: what each error means is decided in hikari's loop, which is asyncio's on both."""
    async with stage.bot() as life:
        asked = await held(stage)
        job = job_of(stage.discord.message(asked))
        stage.discord.fail("PATCH", status=status, code=code, times=None)
        stage.go_on()
        await ended(life, job)
        (result,) = [message for message in stage.discord.messages if "[Again]" in words(message)]
        assert len(files(result)) == 1
        assert result["id"] != asked.original


async def test_a_result_that_only_its_content_loses_becomes_a_plain_message_that_sends_it_again(stage: Stage) -> None:
    async with stage.bot() as life:
        asked = await held(stage)
        job = job_of(stage.discord.message(asked))
        # The result is refused by the token, as the bot, as a new message, as a follow-up and as a direct message.
        stage.discord.fail(path=ALL, status=400, code=50035, times=5)
        stage.go_on()
        await ended(life, job)
        plain = await stage.until("It is kept", asked)
        again = await stage.result(stage.press(plain, "Send again"))
        assert len(files(again)) == 1


@pytest.mark.parametrize("answer", ["", "[1]", "null", "7"])
async def test_a_page_of_a_proxy_before_discord_is_no_answer_of_discord(stage: Stage, answer: str) -> None:
    async with stage.bot():
        asked = await held(stage)
        stage.discord.fail("PATCH", status=403, times=2, html=not answer, body=answer)
        stage.go_on()
        message = await stage.result(asked)
        assert message["id"] == asked.original
