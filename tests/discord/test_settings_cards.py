"""Cards of settings: from the press of a button over every form to the picture, also after a restart."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from app.core.drafts import LIFETIME
from app.discord.ui.modals import FORMAT
from app.journal.opening import JOURNAL
from tests.discord.fake import Interaction, Payload
from tests.discord.fake.options import Impossible
from tests.discord.fake.world import MANAGE_MESSAGES, MEMBER
from tests.discord.one_backend import only_on
from tests.discord.stage import ENOUGH, EPHEMERAL, Stage, button, ended, job_of, modal, parts, photo, words
from tests.discord.test_buttons import imagined, seed_of
from tests.discord.test_edit import waiting

anyio_backend = only_on("asyncio")


async def opened(stage: Stage, message: Payload, **more: object) -> Payload:
    """Open the card of a result."""
    beyond = stage.press(message, "More…", **more)
    await stage.ephemeral_followup(beyond)
    shown = stage.press(stage.discord.message(beyond), "Settings…", **more)
    assert "Settings · " in await stage.ephemeral_followup(shown)
    card = stage.discord.message(shown)
    assert card["flags"] & EPHEMERAL
    return card


async def fill(stage: Stage, card: Payload, label: str, fields: dict[str, object]) -> Interaction:
    """Open the form of a group, and send it with these fields."""
    form = await stage.answered(stage.press(card, label))
    return stage.discord.submit_modal(form, {**modal(form), **fields})  # pyright: ignore[reportArgumentType]


async def choose(stage: Stage, card: Payload, name: str, value: str) -> Interaction:
    """Choose in a select of the card."""
    custom_id = next(
        str(part["custom_id"]) for part in parts(card) if str(part.get("custom_id")).startswith(f"pick.{name}:")
    )
    return await stage.answered(stage.discord.click(card, custom_id, values=[value]))


async def shows(stage: Stage, card: Payload, text: str) -> Payload:
    """Wait until the card says this."""
    messages = stage.discord.state.messages.all
    await stage.discord.until(lambda: text in words(messages[card["id"]]), ENOUGH)
    return messages[card["id"]]


async def has_chosen(stage: Stage, card: Payload, value: str) -> None:
    """Wait until a select of the card shows this choice: Run may otherwise come before it."""
    messages = stage.discord.state.messages.all

    def chosen() -> bool:
        options = [option for part in parts(messages[card["id"]]) for option in part.get("options", ())]
        return any(option["value"] == value and option.get("default") for option in options)

    await stage.discord.until(chosen, ENOUGH)


async def told_of(stage: Stage, interaction: Interaction) -> str:
    """Wait for a sentence that is not the card itself."""
    messages = stage.discord.state.messages.all

    def seen() -> str:
        idents = [ident for ident in (interaction.original, *interaction.followups) if ident != interaction.source]
        return next((words(messages[ident]) for ident in idents if ident in messages and words(messages[ident])), "")

    return await stage.discord.until(seen, ENOUGH)


async def test_everything_is_set_on_the_card_and_run_makes_a_picture_of_it(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await imagined(stage, steps=7)
        card = await opened(stage, first)
        await fill(stage, card, "Texts…", {"prompt": "a dog", "negative": "rain"})
        card = await shows(stage, card, "**Prompt** a dog")
        await fill(stage, card, "Details…", {"steps": "9", "seed": "11"})
        card = await shows(stage, card, "**Steps** 9")
        await fill(stage, card, "Size and number…", {"count": "2"})
        card = await shows(stage, card, "**Count** 2")
        await fill(stage, card, "Sampler…", {"+1.sampler": [], "+2.sampler": ["uni_pc"]})
        card = await shows(stage, card, "uni\\_pc")
        await choose(stage, card, FORMAT, "576x1024")
        card = await shows(stage, card, "**Width** 576")
        await choose(stage, card, "checkpoint", "portrait-xl.safetensors")
        await has_chosen(stage, card, "portrait-xl.safetensors")
        made = await stage.result(stage.press(card, "Run"))
        assert "### a dog" in words(made)
        assert not made["flags"] & EPHEMERAL
        job = await life.journal.find(job_of(made))
        assert job is not None
        assert job.request.parent == job_of(first)
        values = {**job.request.values, "seed": job.request.seed}
        assert values == {
            **values,
            "prompt": "a dog",
            "negative": "rain",
            "steps": 9,
            "seed": 11,
            "count": 2,
            "sampler": "uni_pc",
            "width": 576,
            "height": 1024,
            "checkpoint": "portrait-xl.safetensors",
        }


async def test_a_card_survives_a_restart_in_the_middle_of_everything(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        card = await opened(stage, first)
        await fill(stage, card, "Texts…", {"prompt": "a dog"})
        card = await shows(stage, card, "**Prompt** a dog")
        form = await stage.answered(stage.press(card, "Details…"))
    async with stage.bot():
        stage.discord.submit_modal(form, modal(form) | {"steps": "9"})
        card = await shows(stage, card, "**Steps** 9")
        assert "**Prompt** a dog" in words(card)
    async with stage.bot():
        made = await stage.result(stage.press(card, "Run"))
        assert "### a dog" in words(made)
        assert "**Steps** 9 " in await stage.details(made)
        assert seed_of(made) == seed_of(first)
        # The draft stays: another picture of it takes one more form.
        await fill(stage, card, "Details…", {"seed": "12"})
        card = await shows(stage, card, "**Seed** 12")
        assert seed_of(await stage.result(stage.press(card, "Run"))) == "12"


async def test_a_picture_is_replaced_on_the_card(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await stage.result(stage.discord.slash("remix", prompt="a drawing", image=photo()))
        card = await opened(stage, first)
        assert "**Picture** as before" in words(card)
        await fill(stage, card, "Files…", {"image": photo((32, 32))})
        card = await shows(stage, card, "**Picture** photo.png")
        made = await stage.result(stage.press(card, "Run"))
        before, after = [await life.journal.find(job_of(message)) for message in (first, made)]
        assert before is not None
        assert after is not None
        assert before.request.values["image"] != after.request.values["image"]


async def test_what_is_wrong_in_a_form_of_the_card_is_a_sentence_and_the_text_is_given_back(stage: Stage) -> None:
    async with stage.bot():
        card = await opened(stage, await imagined(stage))
        sent = await fill(stage, card, "Details…", {"steps": "9000"})
        told = await told_of(stage, sent)
        assert "between 1 and 150" in told
        assert "9000" in told
        assert "9000" not in words(stage.discord.state.messages.all[card["id"]])


async def test_nobody_else_uses_a_card(stage: Stage) -> None:
    async with stage.bot():
        card = await opened(stage, await imagined(stage))
        bob = stage.discord.person("bob")
        with pytest.raises(Impossible):
            stage.press(card, "Run", user=bob)
        for label in ("Run", "Texts…", "Discard"):
            data = {"custom_id": button(card, label), "component_type": 2, "id": 1}
            forged = stage.discord.forge(3, data, message=card, user=bob)
            assert "somebody else's settings" in await told_of(stage, forged), label
        form = await stage.answered(stage.press(card, "Texts…"))
        sent = stage.discord.submit_modal(form, modal(form) | {"prompt": "a long story"}, user=bob)
        told = await told_of(stage, sent)
        assert "somebody else's settings" in told
        assert "a long story" in told


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("checkpoint", "magic", "Checkpoint cannot be “magic”"),
        (FORMAT, "huge", "a size such as 1024x768"),
        ("gone", "x", "has no setting “gone”"),
        ("preset", "x", "has no preset called “x”"),
    ],
)
async def test_a_choice_that_is_not_offered_is_a_sentence(stage: Stage, name: str, value: str, sentence: str) -> None:
    async with stage.bot():
        card = await opened(stage, await imagined(stage))
        custom_id = f"pick.{name}:{button(card, 'Run').partition(':')[2]}"
        data = {"custom_id": custom_id, "component_type": 3, "id": 1, "values": [value]}
        assert sentence in await told_of(stage, stage.discord.forge(3, data, message=card))


async def test_a_model_that_has_disappeared_is_a_sentence_and_the_settings_stay(stage: Stage) -> None:
    async with stage.bot():
        card = await opened(stage, await imagined(stage, checkpoint="portrait-xl.safetensors"))
        await fill(stage, card, "Texts…", {"prompt": "a dog"})
        card = await shows(stage, card, "**Prompt** a dog")
    models = stage.simulator.catalog._models["checkpoints"]  # pyright: ignore[reportPrivateUsage]
    models.remove("portrait-xl.safetensors")
    async with stage.bot():
        pressed = stage.press(card, "Run")
        assert "Checkpoint cannot be “portrait" in await stage.ephemeral_followup(pressed)
        await choose(stage, card, "checkpoint", "dreamscape-v1.safetensors")
        await has_chosen(stage, card, "dreamscape-v1.safetensors")
        assert "### a dog" in words(await stage.result(stage.press(card, "Run")))


async def test_a_draft_that_is_too_old_and_one_that_was_discarded_are_sentences(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        card, other = await opened(stage, first), await opened(stage, first)
        form = await stage.answered(stage.press(card, "Texts…"))
        stage.press(other, "Discard")
        discarded = await shows(stage, other, "These settings are discarded.")
        assert "[Run]" not in words(discarded)
        data = {"custom_id": button(other, "Run"), "component_type": 2, "id": 1}
        assert "not kept any more" in await told_of(stage, stage.discord.forge(3, data, message=other))
    with closing(sqlite3.connect(stage.data / JOURNAL)) as database, database:
        database.execute("UPDATE drafts SET changed = changed - ?", (LIFETIME,))
    async with stage.bot():
        sent = stage.discord.submit_modal(form, modal(form) | {"prompt": "a long story"})
        told = await told_of(stage, sent)
        assert "not kept any more" in told
        assert "a long story" in told


async def test_a_waiting_job_is_changed_on_the_card(stage: Stage) -> None:
    async with stage.bot() as life:
        asked = await waiting(stage)
        message = stage.discord.state.messages.all[asked.original or ""]
        job = job_of(message)
        bob = stage.discord.person("bob")
        assert "can edit it." in await stage.ephemeral_followup(stage.press(message, "Settings…", user=bob))
        pressed = stage.press(message, "Settings…")
        await stage.ephemeral_followup(pressed)
        card = stage.discord.message(pressed)
        await fill(stage, card, "Texts…", {"prompt": "a dog"})
        card = await shows(stage, card, "**Prompt** a dog")
        stage.press(card, "Save")
        await shows(stage, card, "Your waiting job has these settings now.")
        await stage.until("### a dog", asked)
        stage.go_on()
        made = await stage.result(asked)
        assert job_of(made) == job
        assert (await ended(life, job)).request.values["prompt"] == "a dog"


async def test_a_job_that_began_meanwhile_stays_and_the_card_makes_another_one(stage: Stage) -> None:
    async with stage.bot():
        asked = await waiting(stage)
        mo = stage.discord.person("mo", permissions=MEMBER | MANAGE_MESSAGES)
        pressed = stage.press(stage.discord.state.messages.all[asked.original or ""], "Settings…", user=mo)
        await stage.ephemeral_followup(pressed)
        card = stage.discord.message(pressed)
        form = await stage.answered(stage.press(card, "Texts…", user=mo))
        stage.discord.submit_modal(form, modal(form) | {"prompt": "a dog"})
        card = await shows(stage, card, "**Prompt** a dog")
        stage.go_on()
        await stage.result(asked)
        stage.press(card, "Save", user=mo)
        card = await shows(stage, card, "This has already ended. Press Run to make another one")
        assert "### a dog" in words(await stage.result(stage.press(card, "Run", user=mo)))
