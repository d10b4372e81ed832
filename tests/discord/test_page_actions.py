"""What somebody presses on the page does the same as the button in Discord, for whoever presses it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from app.config.settings import Budget, Limits
from app.core.jobs.job import Job
from app.discord.text import escape
from app.discord.ui import modals
from app.service.jobs.follow_ups import is_kept
from app.service.page_actions import PageAction, PageActions
from app.texts.discord import job_message as texts
from app.texts.reasons.text import reason_text
from app.workflows.model import WorkflowError
from tests.discord.fake import Interaction, Payload
from tests.discord.fake.world import MANAGE_MESSAGES, MEMBER, SEND_MESSAGES, VIEW_CHANNEL, Channel, Person
from tests.discord.one_backend import only_on
from tests.discord.stage import Life, Stage, ended, files, job_of, parts, words
from tests.discord.test_limits import refused

anyio_backend = only_on("asyncio")

NOTHING: Mapping[str, str] = {}
MODERATORS = "1500000000000000001"
SAVE = "Save as my defaults"


def page(life: Life) -> PageActions:
    assert life.app.page_frontend is not None
    assert life.app.page_frontend.actions is not None
    return life.app.page_frontend.actions


async def imagined(stage: Stage, life: Life, **more: object) -> tuple[Payload, Job]:
    """A finished picture of alice's, and its job."""
    options = {"prompt": "a cat", "width": 64, "height": 64, "steps": 4, "count": 1, **more}
    message = await stage.result(stage.discord.slash("txt2img", options))
    return message, await ended(life, job_of(message))


async def pressed(
    life: Life,
    person: Person,
    job: Job,
    verb: str,
    number: int = 0,
    result: int = 0,
    workflow: str = "",
    *,
    fields: Mapping[str, str] = NOTHING,
) -> Job:
    """The job that a press on the page makes, once it has ended."""
    made = await page(life).press(person.id, job, verb, number=number, result=result, workflow=workflow, fields=fields)
    assert made is not None
    return await ended(life, made)


def about(action: PageAction) -> tuple[str, int, int, str]:
    """What is given back to press an action."""
    return action.verb, action.number, action.result, action.workflow


async def refusal(
    life: Life, person: Person, job: Job, verb: str, fields: Mapping[str, str] = NOTHING, workflow: str = ""
) -> str:
    """Why the page does nothing, as Discord would show it."""
    with pytest.raises(WorkflowError) as raised:
        await page(life).press(person.id, job, verb, result=bool(workflow), workflow=workflow, fields=fields)
    return escape(reason_text(raised.value.reason))


def message_of(stage: Stage, job: Job) -> Payload:
    """The one message that shows a job."""
    (message,) = [
        message
        for message in stage.discord.messages
        if any(str(part.get("custom_id", "")).endswith(f":{job.id}") for part in parts(message))
    ]
    return message


def moderator(stage: Stage) -> Person:
    """Somebody with a role that manages messages."""
    stage.discord.guild.roles[MODERATORS] = 1
    stage.discord.guild.role_permissions[MODERATORS] = MEMBER | MANAGE_MESSAGES
    return stage.discord.person("mo", roles=[MODERATORS], permissions=MEMBER | MANAGE_MESSAGES)


async def offered(life: Life, person: Person, job: Job) -> dict[str, PageAction]:
    """What the page offers, by label."""
    actions = await page(life).offered(person.id, job)
    labels = {action.label: action for action in actions}
    assert len(labels) == len(actions), "each label once"
    return labels


FOLLOW_UPS = """
[[follow_ups]]
workflow = "img2img"
slot = "image"
title = "Redraw"
each = true
values = { denoise = 0.55 }

[[follow_ups]]
workflow = "img2img"
slot = "image"
title = "Image to image…"
"""


async def test_every_action_of_a_result_makes_a_job_that_its_channel_shows(stage: Stage) -> None:
    manifest = stage.workflows / "txt2img" / "manifest.toml"
    manifest.write_text(manifest.read_text().partition("[[follow_ups]]")[0] + FOLLOW_UPS)
    async with stage.bot() as life:
        _, job = await imagined(stage, life, count=2)
        alice, bob = stage.discord.alice, stage.discord.person("bob")
        actions = await offered(life, alice, job)
        changes = [f"{change}: picture {number}" for change in texts.CHANGES.values() for number in (1, 2)]
        redraws = [f"Redraw: picture {number}" for number in (1, 2)]
        assert list(actions) == ["Again", "Edit prompt", *changes, *redraws, "Image to image", SAVE, "Delete"]
        assert [action.label for action in actions.values() if action.style == "primary"] == ["Again"]
        again = await pressed(life, bob, job, "again")
        assert (again.request.owner, again.request.parent) == (bob.id, job.id)
        assert again.request.seed != job.request.seed
        assert (again.request.guild, again.request.channel) == (stage.discord.guild.id, stage.discord.channel.id)
        message = message_of(stage, again)
        assert message["channel_id"] == stage.discord.channel.id
        assert f"<@{bob.id}>" in words(message)
        assert len(files(message)) == 2
        first = stage.discord.history(message)[0].state
        assert f"<@{bob.id}> asked for this on the page." in words(first)
        varied = await pressed(life, alice, job, "strong", result=2)
        assert varied.request.variation is not None
        assert Path(varied.request.variation.picture).name.endswith("-02.png")
        redrawn = await pressed(life, alice, job, *about(actions["Redraw: picture 2"]))
        assert (redrawn.request.workflow, redrawn.request.parent) == ("img2img", job.id)
        assert redrawn.request.values["denoise"] == 0.55
        assert str(redrawn.request.values["image"]).endswith("-02.png")
        image_to_image = actions["Image to image"]
        assert {"prompt", modals.RESULT} <= {field.name for field in image_to_image.fields}
        fields = {field.name: field.value for field in image_to_image.fields} | {modals.RESULT: "2", "prompt": "a dog"}
        made = await pressed(life, alice, job, *about(image_to_image), fields=fields)
        assert made.request.values["prompt"] == "a dog"
        assert str(made.request.values["image"]).endswith("-02.png")
        assert message_of(stage, made)["channel_id"] == stage.discord.channel.id


async def test_other_values_are_asked_for_and_nothing_else_changes(stage: Stage) -> None:
    async with stage.bot() as life:
        _, job = await imagined(stage, life, seed=7)
        fields = {field.name: field for field in (await offered(life, stage.discord.alice, job))["Edit prompt"].fields}
        assert (fields["prompt"].kind, fields["prompt"].value, fields["prompt"].required) == ("long", "a cat", True)
        assert (fields["steps"].kind, fields["steps"].value) == ("number", "4")
        assert (fields["seed"].kind, fields["seed"].value) == ("text", "7")
        assert ("euler", "euler") in fields["sampler"].choices
        assert len(fields["sampler"].choices) > 25, "the page has lists of any length"
        assert fields["checkpoint"].kind == "choice"
        filled = {name: field.value for name, field in fields.items()} | {"prompt": "a dog", "sampler": "euler"}
        made = await pressed(life, stage.discord.alice, job, "vary", fields={**filled, "csrf": "a token"})
        kept = {**job.request.values, "prompt": "a dog", "sampler": "euler"}
        assert {name: made.request.values.get(name) for name in kept} == kept
        assert made.request.seed == 7
        # What a browser sends of an empty field, and what it cannot send.
        assert "needs Prompt" in await refusal(life, stage.discord.alice, job, "vary", {**filled, "prompt": " "})
        assert "sampler cannot be" in await refusal(
            life, stage.discord.alice, job, "vary", {**filled, "sampler": "magic"}
        )
        assert "a whole number" in await refusal(life, stage.discord.alice, job, "vary", {**filled, "steps": "many"})
        assert len(stage.simulator.history) == 2


async def test_settings_are_saved_as_ones_own_as_by_the_button_in_discord(stage: Stage) -> None:
    async with stage.bot() as life:
        _, job = await imagined(stage, life, steps=7)
        bob = stage.discord.person("bob")
        assert SAVE in await offered(life, bob, job)
        assert await page(life).press(bob.id, job, "keep", fields={}) is None
        saved = (await life.journal.preferences(bob.id))["txt2img"]
        assert saved["steps"] == 7
        assert not {"prompt", "seed"} & saved.keys()
        assert await life.journal.preferences(stage.discord.alice.id) == {}
        plain = await ended(life, job_of(await stage.result(stage.discord.slash("txt2img", prompt="a cat"))))
        assert SAVE not in await offered(life, bob, plain)
        assert "nothing to save" in await refusal(life, bob, plain, "keep")


async def test_a_job_that_waits_is_edited_and_cancelled_by_its_person_alone(stage: Stage) -> None:
    async with stage.bot() as life:
        stage.hold()
        for _ in range(2):
            await stage.until("[Cancel]", stage.discord.slash("txt2img", prompt="ahead"))
        asked = stage.discord.slash("txt2img", prompt="a cat")
        job = await life.journal.find(job_of(await stage.until("[Edit]", asked)))
        assert job is not None
        bob, mo = stage.discord.person("bob"), moderator(stage)
        assert list(await offered(life, stage.discord.alice, job)) == ["Edit", "Cancel"]
        assert list(await offered(life, mo, job)) == ["Edit", "Cancel"]
        assert list(await offered(life, bob, job)) == []
        for verb in ("edit", "cancel"):
            assert "Only the person who asked" in await refusal(life, bob, job, verb, {"prompt": "a dog"})
        assert await page(life).press(stage.discord.alice.id, job, "edit", fields={"prompt": "a dog"}) is None
        await stage.until("### a dog", asked)
        await page(life).cancel(mo.id, job.id)
        await stage.until("Cancelled", asked)
        assert "already ended" in await refusal(life, stage.discord.alice, await ended(life, job.id), "cancel")
        stage.go_on()


async def test_a_job_of_the_page_survives_a_restart_with_its_one_message(stage: Stage) -> None:
    async with stage.bot() as life:
        _, job = await imagined(stage, life)
        stage.hold()
        made = await page(life).press(stage.discord.alice.id, job, "again", fields={})
        assert made is not None

        def waiting() -> list[Payload]:
            return [message for message in stage.discord.state.messages.all.values() if "on the page" in words(message)]

        (message,) = await stage.discord.until(waiting)
        assert "[Cancel]" in words(message)
    async with stage.bot() as life:
        stage.go_on()
        again = await ended(life, made)
        assert message_of(stage, again)["id"] == message["id"]
        assert len(files(stage.discord.message(message))) == 1


async def test_a_result_comes_although_its_message_could_not_be_posted_at_first(stage: Stage) -> None:
    async with stage.bot() as life:
        _, job = await imagined(stage, life)
        stage.discord.fail("POST", "/channels/.*/messages", status=500, times=2)
        again = await pressed(life, stage.discord.alice, job, "again")
        assert len(files(message_of(stage, again))) == 1


async def test_who_may_not_write_there_or_see_it_makes_nothing(stage: Stage) -> None:
    discord = stage.discord
    quiet = discord.open_channel("quiet", bot_permissions=MEMBER & ~SEND_MESSAGES)
    secret = discord.open_channel("secret")
    bob, gone = discord.person("bob"), discord.person("gone")
    async with stage.bot() as life:

        async def made_in(channel: Channel) -> Job:
            asked = discord.slash("txt2img", {"prompt": "a cat", "width": 64, "height": 64}, channel=channel)
            return await ended(life, job_of(await stage.result(asked)))

        here, there, hidden = [await made_in(channel) for channel in (discord.channel, quiet, secret)]
        own = await ended(life, job_of(await stage.result(discord.slash("txt2img", prompt="mine", user=gone))))
        discord.channel.overwrites = [{"id": bob.id, "type": 1, "allow": "0", "deny": str(SEND_MESSAGES)}]
        secret.overwrites = [{"id": bob.id, "type": 1, "allow": "0", "deny": str(VIEW_CHANNEL)}]
        discord.guild.left.add(gone.id)
        assert "You cannot write in the channel" in await refusal(life, bob, here, "again")
        assert list(await offered(life, bob, here)) == [SAVE], "nothing is made of that"
        assert "I cannot post in the channel" in await refusal(life, discord.alice, there, "again")
        assert list(await offered(life, discord.alice, there)) == [SAVE, "Delete"]
        for person, job in ((bob, hidden), (gone, here)):
            for verb in ("again", "cancel", "delete"):
                assert "This job was removed" in await refusal(life, person, job, verb)
            assert list(await offered(life, person, job)) == []
        assert "You cannot write in the channel" in await refusal(life, gone, own, "again")
        assert list(await offered(life, gone, own)) == ["Delete"], "what is one's own stays one's own"
        discord.fail("GET", "/guilds", status=503, times=None)
        stranger = discord.person("late")
        assert "Discord does not say now" in await refusal(life, stranger, here, "again")
        discord.heal()
        assert len(stage.simulator.history) == 4


async def test_direct_messages_and_threads_are_places_like_any_other(stage: Stage) -> None:
    discord = stage.discord
    thread, locked, direct = discord.open_thread("old"), discord.open_thread("locked"), discord.dm()
    bob = discord.person("bob")
    async with stage.bot() as life:
        jobs = [
            await ended(life, job_of(await stage.result(discord.slash("txt2img", prompt="a cat", channel=channel))))
            for channel in (thread, locked, direct)
        ]
        thread.archived = locked.locked = True
        again = await pressed(life, bob, jobs[0], "again")
        assert message_of(stage, again)["channel_id"] == thread.id
        assert again.request.channel == discord.channel.id, "a thread counts as its channel"
        assert "You cannot write in the channel" in await refusal(life, bob, jobs[1], "again")
        mine = await pressed(life, discord.alice, jobs[2], "again")
        assert message_of(stage, mine)["channel_id"] == direct.id
        assert (mine.request.guild, mine.request.channel) == ("", direct.id)
        assert "This job was removed" in await refusal(life, bob, jobs[2], "again")


async def told(stage: Stage, interaction: Interaction) -> str:
    """What Discord shows only to who pressed a button."""
    return await stage.ephemeral_followup(await stage.answered(interaction))


async def test_what_discord_refuses_the_page_refuses_in_the_same_words(stage: Stage) -> None:
    alice, bob, mo = stage.discord.alice, stage.discord.person("bob"), moderator(stage)
    manifest = stage.workflows / "img2img" / "manifest.toml"
    manifest.write_text(f'users = ["{alice.id}"]\n{manifest.read_text()}')
    async with stage.bot(limits=Limits(jobs=1), guarded=["cancel", "delete", "edit", "again"]) as life:
        stage.fault(fail_prompt={"count": 1, "status": 400})
        broken = await stage.until("[Retry]", stage.discord.slash("txt2img", prompt="a cat", user=bob))
        message, _ = await imagined(stage, life)
        verbs = {"Again": "again", "Edit prompt": "vary", "Vary strong": "strong", "Image to image": "use"}
        verbs |= {"Retry": "retry", "Edit": "edit", "Cancel": "cancel", "Delete": "delete"}

        async def compare(person: Person, sentence: str, *labels: str, of: Payload = message) -> None:
            """Each of these buttons is refused in this way, and in the same words on the page and in Discord."""
            job = await life.journal.find(job_of(of))
            assert job is not None
            for label in labels:
                workflow = "img2img" if label == "Image to image" else ""
                on_page = await refusal(life, person, job, verbs[label], {"prompt": "a dog"}, workflow)
                assert sentence in on_page, label
                if label == "Delete":
                    assert on_page in words(await refused(stage, await stage.delete(of, user=person)))
                elif label == "Cancel":
                    assert on_page in words(await refused(stage, stage.press(of, label, user=person)))
                else:
                    assert on_page in await told(stage, stage.press(of, label, user=person)), label

        await compare(bob, "Only the person who asked", "Again", "Delete")
        await compare(bob, "Only some people here can use", "Image to image")
        await stage.answered(stage.discord.slash("ban", who=bob.id, reason="spam", user=mo))
        await stage.discord.until(lambda: "Banned" in "".join(map(words, stage.discord.state.messages.all.values())))
        await compare(bob, "You are banned", "Edit prompt", "Vary strong")
        await compare(bob, "You are banned", "Retry", of=broken)
        # Over a limit, nothing is accepted, and no message of it remains.
        stage.hold()
        asked = stage.press(message, "Again")
        running = await stage.until("[Cancel]", asked)
        await compare(bob, "Only the person who asked", "Cancel", of=running)
        job = await ended(life, job_of(message))
        sentence = await refusal(life, alice, job, "again")
        assert "You have 1 of 1 job running or waiting." in sentence
        assert sentence in words(await refused(stage, stage.press(message, "Again")))
        assert len(await life.journal.unfinished()) == 1
        stage.go_on()
        await stage.result(asked)
        shutil.rmtree(stage.data / "results")
        await compare(alice, "was deleted", "Vary strong", "Image to image")
        life.house.draining.set()
        await compare(alice, "about to restart", "Again", "Edit prompt")


async def test_a_press_is_carried_out_although_its_person_leaves_the_page(stage: Stage) -> None:
    async with stage.bot() as life:
        _, job = await imagined(stage, life)
        with anyio.CancelScope() as leaving:
            leaving.cancel()
            await page(life).press(stage.discord.alice.id, job, "again", fields={})
        assert leaving.cancelled_caught

        def shown() -> list[Payload]:
            return [message for message in stage.discord.state.messages.all.values() if "[Again]" in words(message)]

        await stage.discord.until(lambda: len(shown()) == 2)


async def test_a_result_is_deleted_in_discord_by_who_may(stage: Stage) -> None:
    async with stage.bot() as life:
        message, job = await imagined(stage, life, count=1)
        assert all(map(is_kept, job.paths))
        await page(life).delete(moderator(stage).id, job.id)
        assert not any(map(is_kept, job.paths))
        assert message["id"] not in {each["id"] for each in stage.discord.messages}
        row = await life.journal.gallery_row(job.id)
        assert row is not None
        assert row.hidden == "everybody"
        stuck, kept = await imagined(stage, life)
        stage.discord.fail("DELETE", "/messages", status=403, code=50013)
        assert "I cannot delete the message in Discord" in await refusal(life, stage.discord.alice, kept, "delete")
        assert stuck["id"] in {each["id"] for each in stage.discord.messages}


async def test_what_failed_is_tried_again_from_the_page(stage: Stage) -> None:
    async with stage.bot() as life:
        stage.fault(fail_prompt={"count": 1, "status": 400})
        asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64)
        job = await ended(life, job_of(await stage.until("[Retry]", asked)))
        assert list(await offered(life, stage.discord.alice, job)) == ["Retry", "Edit prompt", "Delete"]
        retried = await pressed(life, stage.discord.alice, job, "retry")
        assert retried.request.seed == job.request.seed
        assert len(files(message_of(stage, retried))) == 1


async def test_paid_services_are_paid_from_the_same_budget(stage: Stage) -> None:
    manifest = stage.workflows / "txt2img" / "manifest.toml"
    manifest.write_text(f"price = 0.06\n{manifest.read_text()}")
    async with stage.bot(limits=Limits(jobs=0), budget=Budget(day=0.1)) as life:
        message, job = await imagined(stage, life)
        sentence = await refusal(life, stage.discord.alice, job, "again")
        assert "This bot has $0.04 left of $0.10 a day for paid services" in sentence.replace("\\", "")
        assert sentence in words(await refused(stage, stage.press(message, "Again")))
