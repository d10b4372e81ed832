"""Every command: what it makes, what it says, and who sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.discord.fake import FakeDiscord
from tests.discord.fake.world import MANAGE_MESSAGES, MEMBER
from tests.discord.stage import (
    EPHEMERAL,
    Stage,
    button,
    ended,
    files,
    job_of,
    modal,
    parts,
    photo,
    stage_for,
    words,
)


async def test_a_command_becomes_a_picture_in_the_same_message(stage: Stage) -> None:
    async with stage.bot() as life:
        asked = stage.discord.slash("txt2img", prompt="a *cat*", steps=7)
        message = await stage.result(asked)
        assert message["id"] == asked.original
        assert not message["flags"] & EPHEMERAL
        assert len(files(message)) == 1
        assert stage.discord.file(message["attachments"][0]["url"]).startswith(b"\x89PNG")
        assert "a \\*cat\\*" in words(message)
        assert "**Steps** 7 " in await stage.details(message)
        job = await ended(life, job_of(message))
        assert (job.receipt, job.request.owner) == (asked.original, stage.discord.alice.id)


async def test_a_picture_is_made_after_a_picture(stage: Stage) -> None:
    async with stage.bot():
        asked = stage.discord.slash("remix", prompt="as a drawing", image=photo())
        assert len(files(await stage.result(asked))) == 2, "it is shown beside the one before"


async def test_several_pictures_are_one_gallery(stage: Stage) -> None:
    async with stage.bot():
        message = await stage.result(stage.discord.slash("txt2img", prompt="cats", count=3, width=64, height=64))
        (gallery,) = [part for part in parts(message) if part.get("items")]
        assert len(gallery["items"]) == len(files(message)) == 3


@pytest.mark.slow
async def test_a_spoiler_stays_hidden(stage: Stage) -> None:
    async with stage.bot():
        message = await stage.result(stage.discord.slash("txt2img", prompt="a secret", spoiler=True))
        (gallery,) = [part for part in parts(message) if part.get("items")]
        assert gallery["items"][0]["spoiler"] is True


@pytest.mark.slow
async def test_progress_and_previews_are_shown_before_the_result(discord: FakeDiscord, tmp_path: Path) -> None:
    async with stage_for(discord, tmp_path, step_time=0.03, steps=120, previews=True) as stage, stage.bot():
        asked = discord.slash("txt2img", prompt="slow", width=64, height=64)
        await stage.result(asked)
        seen = [revision.state for revision in discord.history(asked)]
        assert any("▰" in words(state) and "Sampler" in words(state) for state in seen)
        assert any(files(state) == ["preview.jpeg"] for state in seen)
        assert files(seen[-1]) != ["preview.jpeg"]


@pytest.mark.slow
async def test_jobs_lists_my_own_with_a_link_and_a_way_to_cancel(stage: Stage) -> None:
    async with stage.bot():
        mine = await stage.result(stage.discord.slash("txt2img", prompt="mine"))
        bob = stage.discord.person("bob")
        await stage.result(stage.discord.slash("txt2img", prompt="his", user=bob))
        stage.hold()
        running = stage.discord.slash("txt2img", prompt="unfinished")
        await stage.until("[Cancel]", running)
        listed = await stage.until("Your jobs", stage.discord.slash("jobs"))
        assert listed["flags"] & EPHEMERAL
        assert "mine" in words(listed)
        assert "his" not in words(listed)
        channel = stage.discord.channel
        assert f"(https://discord.com/channels/{stage.discord.guild.id}/{channel.id}/{mine['id']})" in words(listed)
        stage.press(listed, "Cancel")
        await stage.until("Cancelled", running)


async def test_queue_lists_everybodys_by_position(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        bob = stage.discord.person("bob")
        for user in (stage.discord.alice, bob, bob):
            await stage.until("[Cancel]", stage.discord.slash("txt2img", prompt="x", user=user))
        listed = words(await stage.until("Queue", stage.discord.slash("queue")))
        owners = [line.partition("<@")[2].partition(">")[0] for line in listed.splitlines() if "<@" in line]
        assert owners == [stage.discord.alice.id, bob.id, bob.id]


async def test_cancel_takes_back_the_newest_or_the_one_that_is_named(stage: Stage) -> None:
    async with stage.bot():
        stage.hold()
        first = stage.discord.slash("txt2img", prompt="first")
        job = job_of(await stage.until("[Cancel]", first))
        second = stage.discord.slash("txt2img", prompt="second")
        await stage.until("[Cancel]", second)
        assert "Cancelling" in await stage.ephemeral_followup(stage.discord.slash("cancel"))
        await stage.until("Cancelled", second)
        offered = await stage.answered(stage.discord.autocomplete("cancel", "job", "fir"))
        assert [choice["value"] for choice in offered.data["choices"]] == [job]
        assert "Cancelling" in await stage.ephemeral_followup(stage.discord.slash("cancel", job=job))
        await stage.until("Cancelled", first)
        assert "You have nothing in the queue" in await stage.ephemeral_followup(stage.discord.slash("cancel"))


@pytest.mark.slow
async def test_show_brings_back_any_result_of_mine_with_its_buttons(stage: Stage) -> None:
    async with stage.bot():
        message = await stage.result(stage.discord.slash("txt2img", prompt="a cat"))
        shown = await stage.result(stage.discord.slash("show", job=job_of(message)))
        assert shown["id"] != message["id"]
        assert len(files(shown)) == 1
        assert button(shown, "Edit prompt") == button(message, "Edit prompt")
        stranger = stage.discord.slash("show", job=job_of(message), user=stage.discord.person("bob"))
        assert "None of your jobs" in await stage.ephemeral_followup(stranger)


async def test_models_come_from_the_server(stage: Stage) -> None:
    async with stage.bot():
        shown = words(await stage.until("Checkpoint", stage.discord.slash("models")))
        assert ".safetensors" not in shown
        assert "**Text to image**" in shown
        assert "pictures from words" in shown
        offered = await stage.answered(stage.discord.autocomplete("txt2img", "checkpoint", "SAFE", prompt="x"))
        names = [choice["value"] for choice in offered.data["choices"]]
        assert names
        assert all("safe" in name for name in names)


async def test_more_than_25_choices_are_completed(stage: Stage) -> None:
    async with stage.bot():
        offered = await stage.answered(stage.discord.autocomplete("txt2img", "sampler", "euler", prompt="x"))
        assert offered.data["choices"][0]["value"] == "euler"


async def test_status_tells_of_every_server(stage: Stage) -> None:
    async with stage.bot():
        told = words(await stage.until("Status", stage.discord.slash("status")))
        assert "ComfyUI 0.3.64" in told
        assert "0 running, 0 waiting" in told


async def test_help_is_made_of_what_there_is(stage: Stage) -> None:
    async with stage.bot():
        told = words(await stage.until("Make something", stage.discord.slash("help")))
        ids = {command["name"]: command["id"] for command in stage.discord.commands()}
        assert all(
            f"</{name}:{ids[name]}>" in told for name in ("imagine", "txt2img", "remix", "jobs", "queue", "show")
        )
        assert "limits" not in told, "only moderators have it"
        moderator = stage.discord.person("mod", permissions=MEMBER | MANAGE_MESSAGES)
        told = words(await stage.until("Make something", stage.discord.slash("help", {}, user=moderator)))
        assert f"</limits:{ids['limits']}>" in told


async def test_a_menu_takes_the_picture_of_a_message(stage: Stage) -> None:
    async with stage.bot():
        message = stage.discord.say("look", files=[photo()])
        opened = await stage.answered(stage.discord.message_menu("Image to image", message))
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "as a drawing"})
        assert "as a drawing" in words(await stage.result(sent))


@pytest.mark.slow
async def test_a_menu_takes_one_of_our_own_results(stage: Stage) -> None:
    async with stage.bot():
        message = await stage.result(stage.discord.slash("txt2img", prompt="a cat"))
        opened = await stage.answered(stage.discord.message_menu("Image to image", message))
        await stage.result(stage.discord.submit_modal(opened, modal(opened) | {"prompt": "more"}))


async def test_a_menu_at_a_message_without_a_picture_says_so(stage: Stage) -> None:
    async with stage.bot():
        opened = stage.discord.message_menu("Image to image", stage.discord.say("no picture"))
        assert "no picture" in await stage.ephemeral_followup(opened)


@pytest.mark.slow
async def test_commands_appear_only_where_they_are_wanted(stage: Stage) -> None:
    async with stage.bot(guilds=(stage.discord.guild.id,)):
        assert not stage.discord.commands()
        assert "txt2img" in {one["name"] for one in stage.discord.commands(guild=stage.discord.guild.id)}
        await stage.result(stage.discord.slash("txt2img", prompt="a cat"))


@pytest.mark.parametrize("name", ["txt2img", "jobs"])
async def test_commands_are_for_servers_and_the_bots_own_messages(stage: Stage, name: str) -> None:
    async with stage.bot():
        (command,) = [one for one in stage.discord.commands() if one["name"] == name]
        assert (command["contexts"], command["integration_types"]) == ([0, 1], [0])
