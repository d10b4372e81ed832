"""/help as people use it: examples that are requests like others."""

from __future__ import annotations

import pytest

from app.config.settings import Limits
from app.texts.discord.help import EXAMPLES
from tests.discord.fake import Payload
from tests.discord.one_backend import only_on
from tests.discord.stage import EPHEMERAL, Stage, ended, job_of, words

anyio_backend = only_on("trio")


async def help_of(stage: Stage, **more: object) -> Payload:
    asked = stage.discord.slash("help", {}, **more)  # pyright: ignore[reportArgumentType]
    return await stage.until("Make something", asked)


async def test_an_example_is_a_request_of_whoever_presses_it(stage: Stage) -> None:
    async with stage.bot() as life:
        bob = stage.discord.person("bob")
        page = await help_of(stage, user=bob)
        assert page["flags"] & EPHEMERAL
        assert "Type </imagine:" in words(page), "the command of what is made comes first"
        result = await stage.result(stage.press(page, EXAMPLES[1].label, user=bob))
        assert not result["flags"] & EPHEMERAL
        job = await ended(life, job_of(result))
        assert job.request.owner == bob.id
        assert job.request.values["prompt"] == EXAMPLES[1].prompt
        assert job.request.guild == stage.discord.guild.id


async def test_an_example_keeps_to_limits_and_is_refused_to_its_person_alone(stage: Stage) -> None:
    async with stage.bot(limits=Limits(jobs=1)):
        page = await help_of(stage)
        stage.hold()
        first = stage.press(page, EXAMPLES[0].label)
        await stage.until("[Cancel]", first)
        second = stage.press(page, EXAMPLES[0].label)
        assert "1 of 1" in await stage.ephemeral_followup(second)


@pytest.mark.parametrize("custom_id", ["example+9:help", "example:help", "example+1:elsewhere"])
async def test_a_forged_example_harms_nobody(stage: Stage, custom_id: str) -> None:
    async with stage.bot():
        page = await help_of(stage)
        forged: Payload = {"custom_id": custom_id, "component_type": 2, "id": 1}
        asked = stage.discord.forge(3, forged, message=page)
        if custom_id.startswith("example+1:"):
            await stage.result(asked)
        else:
            assert "out of date" in await stage.ephemeral_followup(asked)


async def test_where_nothing_can_be_made_of_words_there_are_no_examples_and_old_ones_say_so(stage: Stage) -> None:
    for file in (stage.workflows / "txt2img").iterdir():
        file.unlink()
    (stage.workflows / "txt2img").rmdir()
    async with stage.bot():
        text = words(await stage.until("Change a picture", stage.discord.slash("help")))
        assert EXAMPLES[0].label not in text
        page = stage.discord.say("an old page")
        forged: Payload = {"custom_id": "example+1:help", "component_type": 2, "id": 1}
        asked = stage.discord.forge(3, forged, message=page)
        assert "Nothing here makes a picture from words" in await stage.ephemeral_followup(asked)
