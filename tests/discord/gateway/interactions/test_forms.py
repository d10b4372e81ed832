"""Forms that hikari does not know: sent, refused, read, and whatever else arrives as one."""

from __future__ import annotations

import pytest

from app.core.journal_port import JournalUnavailable
from app.discord.gateway.interactions import forms
from app.discord.requests.dispatcher import RequestDispatcher
from app.discord.ui.submission import Component
from tests.discord.fake import Interaction, Payload, Upload
from tests.discord.fake.options import Impossible
from tests.discord.one_backend import only_on
from tests.discord.stage import Stage, job_of, modal, modal_fields, photo, submit_texts, words
from tests.discord.test_buttons import imagined

anyio_backend = only_on("trio")


async def edit_prompt(stage: Stage, message: Payload) -> Interaction:
    """Open the form of a result."""
    return await stage.answered(stage.press(message, "Edit prompt"))


def kinds(opened: Interaction) -> list[int]:
    return [field["type"] for field in modal_fields(opened)]


async def test_a_form_has_choices_and_a_place_for_a_file(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await stage.result(stage.discord.slash("remix", prompt="a drawing", image=photo()))
        opened = await edit_prompt(stage, first)
        text, radio, file = Component.TEXT_INPUT, Component.RADIO_GROUP, Component.FILE_UPLOAD
        assert kinds(opened) == [text, text, file, text, radio]
        fields = modal(opened) | {"checkpoint": "portrait-xl.safetensors"}
        second = await stage.result(stage.discord.submit_modal(opened, {**fields, "image": photo((32, 32))}))
        before, after = [await life.journal.find(job_of(message)) for message in (first, second)]
        assert before is not None
        assert after is not None
        assert after.request.values["checkpoint"] == "portrait-xl.safetensors"
        assert after.request.values["image"] != before.request.values["image"]
        assert after.request.values["denoise"] == before.request.values.get("denoise", 0.6)


async def test_a_file_that_is_no_picture_is_a_sentence_and_the_text_is_given_back(stage: Stage) -> None:
    async with stage.bot():
        first = await stage.result(stage.discord.slash("remix", prompt="a drawing", image=photo()))
        opened = await edit_prompt(stage, first)
        text = Upload("notes.txt", b"no picture", "text/plain")
        sent = stage.discord.submit_modal(opened, {**modal(opened), "prompt": "a long story", "image": text})
        told = await stage.ephemeral_followup(sent)
        assert "PNG" in told
        assert "a long story" in told


async def test_where_discord_refuses_a_form_its_fields_are_texts_and_that_is_remembered(
    stage: Stage,
) -> None:
    async with stage.bot():
        first = await imagined(stage)
        refused = stage.discord.fail("POST", "callback", status=400, code=50035)
        opened = await edit_prompt(stage, first)
        assert refused.times == 0
        assert set(kinds(opened)) == {Component.TEXT_INPUT}
        assert modal(opened)["+format"] == "64x64"
        fields = modal(opened) | {"prompt": "a dog", "+format": "128x64", "checkpoint": "portrait-xl.safetensors"}
        second = await stage.result(stage.discord.submit_modal(opened, fields))
        assert "a dog" in words(second)
        assert "128 × 64" in words(second)
        wrong = stage.discord.submit_modal(opened, fields | {"checkpoint": "magic"})
        assert "Checkpoint cannot be “magic”" in await stage.ephemeral_followup(wrong)
        assert set(kinds(await edit_prompt(stage, first))) == {Component.TEXT_INPUT}, "it was remembered"


async def test_after_a_while_a_whole_form_is_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "REMEMBERED", 0.0)
    async with stage.bot():
        first = await imagined(stage)
        stage.discord.fail("POST", "callback", status=400, code=50035)
        assert set(kinds(await edit_prompt(stage, first))) == {Component.TEXT_INPUT}
        assert Component.RADIO_GROUP in kinds(await edit_prompt(stage, first))


async def test_a_form_that_lacks_fields_is_a_sentence_and_the_text_is_given_back(stage: Stage) -> None:
    async with stage.bot():
        opened = await edit_prompt(stage, await imagined(stage))
        sent = submit_texts(stage, opened, {"negative": "rain and wind"})
        told = await stage.ephemeral_followup(sent)
        assert "needs Prompt" in told
        assert "rain and wind" in told


@pytest.mark.parametrize(
    ("component", "sentence"),
    [
        ({"type": 18, "component": {"type": 21, "custom_id": "checkpoint", "value": "m" * 101}}, "arrived damaged"),
        ({"type": 18, "component": {"type": 21, "custom_id": "checkpoint", "value": "magic"}}, "cannot be “magic”"),
        ({"type": 18, "component": {"type": 4, "custom_id": "stepz", "value": "3"}}, "no setting “stepz”"),
        ({"type": 18, "component": {"type": 19, "custom_id": "prompt", "values": ["1"]}}, "arrived damaged"),
        ({"type": 18}, "arrived damaged"),
    ],
)
async def test_a_form_that_no_client_sends_is_a_sentence(stage: Stage, component: Payload, sentence: str) -> None:
    async with stage.bot():
        first = await imagined(stage)
        text = {"type": 4, "id": 2, "custom_id": "prompt", "value": "a long story"}
        prompt = {"type": 18, "id": 1, "component": text}
        data = {"custom_id": f"vary.txt2img:{job_of(first)}", "components": [prompt, component]}
        told = await stage.ephemeral_followup(stage.discord.forge(5, data, message=first))
        assert sentence in told
        assert "a long story" in told
        # It is the same bot, and it goes on.
        assert modal(await edit_prompt(stage, first))["prompt"] == "a cat"


async def test_more_fields_than_a_form_has_are_a_sentence(stage: Stage) -> None:
    async with stage.bot():
        opened = await edit_prompt(stage, await imagined(stage))
        fields = {"prompt": "a dog", **dict.fromkeys(("steps", "cfg", "count", "width", "height"), "1")}
        told = await stage.ephemeral_followup(submit_texts(stage, opened, fields))
        assert "arrived damaged" in told
        assert "a dog" in told


async def test_a_model_that_disappears_while_the_form_is_open_is_a_sentence(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        opened = await edit_prompt(stage, first)
        with pytest.raises(Impossible):
            stage.discord.submit_modal(opened, modal(opened) | {"checkpoint": "gone.safetensors"})
        opened.data["components"][2]["component"]["options"].append({"label": "Gone", "value": "gone.safetensors"})
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a dog", "checkpoint": "gone.safetensors"})
        told = await stage.ephemeral_followup(sent)
        assert "Checkpoint cannot be “gone.safetensors”" in told
        assert "a dog" in told


async def test_a_form_that_was_open_while_the_bot_restarted_is_taken(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        opened = await edit_prompt(stage, first)
    async with stage.bot():
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a dog"})
        assert "a dog" in words(await stage.result(sent))


async def test_a_form_that_the_bot_cannot_handle_gives_the_text_back(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> str | None:
        raise JournalUnavailable("The disk of the journal is full.")

    async with stage.bot():
        opened = await edit_prompt(stage, await imagined(stage))
        monkeypatch.setattr(RequestDispatcher, "refusal", fail)
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a long story"})
        assert "a long story" in await stage.ephemeral_followup(sent)
