"""A waiting job is edited: from the press of its button to the picture."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from app.core.jobs.job import State
from app.events import JobId
from tests.discord.fake import Interaction, Payload
from tests.discord.fake.world import MANAGE_MESSAGES, MEMBER, Person
from tests.discord.one_backend import only_on
from tests.discord.stage import ENOUGH, EPHEMERAL, Life, Stage, ended, files, job_of, modal, photo, words
from tests.discord.test_manifest import add

anyio_backend = only_on("trio")


async def waiting(stage: Stage, prompt: str = "a cat", command: str = "txt2img", **more: object) -> Interaction:
    """Fill the server, and ask for one more picture, which waits here."""
    stage.hold()
    for number in range(2):
        await stage.until("[Cancel]", stage.discord.slash("txt2img", prompt=f"before {number}", width=64, height=64))
    options: dict[str, object] = {"prompt": prompt, **({"width": 64, "height": 64} if command == "txt2img" else {})}
    asked = stage.discord.slash(command, options | more)
    await stage.until("[Edit]", asked)
    return asked


async def form_of(stage: Stage, asked: Interaction, user: Person | None = None) -> Interaction:
    """Open the form."""
    message = stage.discord.state.messages.all[asked.original or ""]
    return await stage.answered(stage.press(message, "Edit", user=user))


async def edit(stage: Stage, asked: Interaction, prompt: str, user: Person | None = None) -> Interaction:
    """Edit the prompt."""
    opened = await form_of(stage, asked, user)
    return await stage.answered(stage.discord.submit_modal(opened, modal(opened) | {"prompt": prompt}))


def prompts_made(stage: Stage) -> list[str]:
    """The prompts of all pictures that the server made."""
    history = str(stage.simulator.history)
    return [prompt for prompt in ("a cat", "a dog", "an elk", "before 0", "before 1") if f"'{prompt}'" in history]


def public(stage: Stage) -> list[Payload]:
    """The messages that everybody sees."""
    return [message for message in stage.discord.messages if not message["flags"] & EPHEMERAL]


async def test_the_form_has_everything_filled_in_and_the_picture_is_that_of_the_new_prompt(stage: Stage) -> None:
    async with stage.bot() as life:
        asked = await waiting(stage, steps=7)
        job = job_of(stage.discord.state.messages.all[asked.original or ""])
        opened = await form_of(stage, asked)
        filled_in = modal(opened)
        assert filled_in["prompt"] == "a cat"
        assert filled_in["+format"] == "64x64"
        filled_in |= {"prompt": "a dog", "+format": "768x768"}
        stage.discord.submit_modal(opened, filled_in)
        shown = await stage.until("### a dog", asked)
        assert "[Edit]" in words(shown), "it still waits"
        before = len(public(stage))
        stage.go_on()
        made = await stage.result(asked)
        assert "### a dog" in words(made)
        assert len(files(made)) == 1
        assert job_of(made) == job
        assert len(public(stage)) == before
        assert "**Steps** 7 · **Guidance** 6.5 · **Sampler** dpmpp\\_2m · **Width** 768" in await stage.details(made)
        assert prompts_made(stage) == ["a dog", "before 0", "before 1"]
        found = await ended(life, job)
        assert found.request.values["prompt"] == "a dog"
        assert found.edits == 1


async def test_only_a_job_that_waits_here_has_the_button(stage: Stage) -> None:
    async with stage.bot():
        asked = await waiting(stage)
        others = [message for message in stage.discord.messages if "before" in words(message)]
        assert len(others) == 2
        assert not any("[Edit]" in words(message) for message in others), "the server has them"
        stage.go_on()
        assert "[Edit]" not in words(await stage.result(asked))


async def test_an_edited_job_keeps_its_place_in_line(stage: Stage) -> None:
    async with stage.bot():
        asked = await waiting(stage)
        last = stage.discord.slash("txt2img", prompt="an elk", width=64, height=64)
        await stage.until("3 ahead of you", last)
        await edit(stage, asked, "a dog")
        assert "2 ahead of you" in words(await stage.until("### a dog", asked))
        stage.go_on()
        await stage.result(asked)
        await stage.result(last)
        results = [message for message in stage.discord.messages if files(message)]
        assert len(results) == 4


async def test_what_was_sent_while_the_form_was_open_stays_and_the_form_is_offered_again(stage: Stage) -> None:
    async with stage.bot():
        asked = await waiting(stage)
        opened = await form_of(stage, asked)
        stage.go_on()
        first = await stage.result(asked)
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a dog", "seed": "9"})
        told = await stage.ephemeral_followup(sent)
        assert "This has already ended. Press Edit prompt to make another one with these settings." in told
        assert "a dog" in told
        assert "### a cat" in words(stage.discord.message(first))
        (offer,) = sent.followups
        again = await stage.answered(stage.press(stage.discord.state.messages.all[offer], "Edit prompt"))
        assert modal(again)["prompt"] == "a dog"
        assert modal(again)["seed"] == "9"
        second = await stage.result(stage.discord.submit_modal(again, modal(again)))
        assert "### a dog" in words(second)
        assert "seed `9`" in words(second)
        assert second["id"] != first["id"]


async def test_what_the_server_has_got_meanwhile_says_so(stage: Stage) -> None:
    async with stage.bot() as life:
        asked = await waiting(stage, steps=150)
        opened = await form_of(stage, asked)
        job = job_of(stage.discord.state.messages.all[asked.original or ""])
        stage.go_on()
        with anyio.fail_after(ENOUGH):
            while await state_of(life, job) is State.ACCEPTED:
                await anyio.lowlevel.checkpoint()
        stage.hold()
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a dog"})
        told = await stage.ephemeral_followup(sent)
        assert "This was started meanwhile. Press Edit prompt to make another one with these settings." in told
        stage.go_on()
        assert "### a cat" in words(await stage.result(asked))


async def press_late(stage: Stage, asked: Interaction) -> str:
    """Press the button of a message as it was a moment ago."""
    job = job_of(stage.discord.state.messages.all[asked.original or ""])
    data = {"custom_id": f"edit:{job}", "component_type": 2, "id": 1}
    message = stage.discord.state.messages.all[asked.original or ""]
    return await stage.ephemeral_followup(stage.discord.forge(3, data, message=message))


async def test_the_button_of_a_message_that_is_out_of_date_opens_no_form(stage: Stage) -> None:
    async with stage.bot() as life:
        asked = await waiting(stage)
        stage.go_on()
        await ended(life, job_of(await stage.result(asked)))
        assert "This has already ended." in await press_late(stage, asked)
        stage.hold()
        asked = stage.discord.slash("txt2img", prompt="an elk")
        await stage.until("[Cancel]", asked)
        await state_of(life, job_of(stage.discord.state.messages.all[asked.original or ""]))
        assert "This was started meanwhile." in await press_late(stage, asked)


async def state_of(life: Life, job: JobId) -> State:
    found = await life.journal.find(job)
    assert found is not None
    return found.state


async def test_what_is_wrong_in_the_form_is_a_sentence_and_nothing_changes(stage: Stage) -> None:
    async with stage.bot():
        asked = await waiting(stage)
        opened = await form_of(stage, asked)
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a dog", "seed": "nine"})
        told = await stage.ephemeral_followup(sent)
        assert "seed must be a whole number" in told
        assert "a dog" in told
        assert "nine" in told
        stage.go_on()
        assert "### a cat" in words(await stage.result(asked))


@pytest.mark.parametrize("when", ["at the press", "at the form"])
async def test_a_stranger_may_not_edit_it(stage: Stage, when: str) -> None:
    async with stage.bot():
        asked, bob = await waiting(stage), stage.discord.person("bob")
        if when == "at the press":
            message = stage.discord.state.messages.all[asked.original or ""]
            told = await stage.ephemeral_followup(stage.press(message, "Edit", user=bob))
        else:
            opened = await form_of(stage, asked)
            told = await stage.ephemeral_followup(stage.discord.submit_modal(opened, modal(opened), user=bob))
        assert "can edit it." in told
        stage.go_on()
        assert "### a cat" in words(await stage.result(asked))


async def test_a_moderator_may_edit_it_and_it_stays_that_of_its_owner(stage: Stage) -> None:
    async with stage.bot() as life:
        asked = await waiting(stage)
        moderator = stage.discord.person("mo", permissions=MEMBER | MANAGE_MESSAGES)
        await edit(stage, asked, "a dog", user=moderator)
        await stage.until("### a dog", asked)
        stage.go_on()
        made = await stage.result(asked)
        assert f"<@{stage.discord.alice.id}>" in words(made)
        assert (await ended(life, job_of(made))).request.owner == stage.discord.alice.id


async def test_the_picture_that_was_attached_is_kept(stage: Stage) -> None:
    async with stage.bot() as life:
        asked = await waiting(stage, command="remix", image=photo())
        job = job_of(stage.discord.state.messages.all[asked.original or ""])
        before = await life.journal.find(job)
        assert before is not None
        await edit(stage, asked, "a dog")
        await stage.until("### a dog", asked)
        stage.go_on()
        await stage.result(asked)
        after = await ended(life, job)
        assert after.request.values["image"] == before.request.values["image"]
        assert after.request.values["prompt"] == "a dog"


async def test_a_message_shows_the_edit_after_a_restart_and_can_be_edited_again(stage: Stage) -> None:
    async with stage.bot():
        asked = await waiting(stage)
        await edit(stage, asked, "a dog")
        await stage.until("### a dog", asked)
    async with stage.bot():
        await stage.until("### a dog", asked)
        await stage.until("[Edit]", asked)
        await edit(stage, asked, "an elk")
        await stage.until("### an elk", asked)
        stage.go_on()
        assert "### an elk" in words(await stage.result(asked))
        assert "an elk" in prompts_made(stage)


async def test_whoever_may_not_use_the_workflow_any_more_may_not_edit(stage: Stage) -> None:
    async with stage.bot():
        asked = await waiting(stage)
    add(stage, "txt2img", "roles = [180000000000000002]")
    async with stage.bot():
        await stage.until("[Edit]", asked)
        message: Payload = stage.discord.state.messages.all[asked.original or ""]
        assert "Only some people" in await stage.ephemeral_followup(stage.press(message, "Edit"))
        stage.go_on()
        assert "### a cat" in words(await stage.result(asked))


async def test_what_came_too_late_is_in_the_next_form_after_a_restart(stage: Stage) -> None:
    async with stage.bot():
        asked = await waiting(stage)
        opened = await form_of(stage, asked)
        stage.go_on()
        await stage.result(asked)
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a dog"})
        assert "has already ended" in await stage.ephemeral_followup(sent)
        (offer,) = sent.followups
    async with stage.bot():
        again = await stage.answered(stage.press(stage.discord.state.messages.all[offer], "Edit prompt"))
        assert modal(again)["prompt"] == "a dog"
