"""More of what a manifest means in Discord, from a click to ComfyUI and back."""

from __future__ import annotations

import json

import anyio
import anyio.lowlevel
import pytest

from tests.discord.fake import Impossible, Interaction, Payload, Upload, buttons_of
from tests.discord.fake.wire import inner
from tests.discord.one_backend import only_on
from tests.discord.stage import EPHEMERAL, Stage, button, files, job_of, modal, photo, submit_texts
from tests.discord.test_manifest import SMALL, add, imagine, names

anyio_backend = only_on("trio")

MESSAGE = 4
"""The type of an answer that is a message (https://discord.com/developers/docs/interactions/receiving-and-responding)."""

SOUND = {
    "1": {"class_type": "LoadAudio", "inputs": {"audio": "x"}, "_meta": {"title": "Sound"}},
    "2": {"class_type": "SaveAudio", "inputs": {"audio": ["1", 0], "filename_prefix": "sound"}},
}
SOUND_SLOTS = """
[slots.sound]
kind = "audio"
node = "Sound"
input = "audio"
required = true
"""
PLAIN = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 48, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "plain"}},
}
COLOR = """
[slots.color]
kind = "integer"
node = "1"
input = "color"
"""


def write(stage: Stage, name: str, graph: object, manifest: str) -> None:
    """A workflow as a pair of files."""
    (stage.workflows / f"{name}.toml").write_text(manifest)
    (stage.workflows / f"{name}.json").write_text(json.dumps(graph))


def change(stage: Stage, name: str, old: str, new: str) -> None:
    path = stage.workflows / name / "manifest.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


async def filled_in(stage: Stage, interaction: Interaction) -> dict[str, str]:
    """The modal that an interaction opened."""
    return modal(await stage.answered(interaction))


async def keep(stage: Stage, message: Payload) -> str:
    shown = stage.press(message, "Details")
    await stage.ephemeral_followup(shown)
    return await stage.ephemeral_followup(stage.press(stage.discord.message(shown), "Save as my defaults"))


# Follow-ups


async def test_two_buttons_lead_into_one_workflow_with_values_of_their_own(stage: Stage) -> None:
    one = '[[follow_ups]]\nworkflow = "img2img"\nslot = "image"\ntitle = "{}"\nvalues = {{ denoise = {} }}\n'
    add(stage, "txt2img", one.format("Little", 0.25) + one.format("Much", 0.75))
    async with stage.bot():
        message = await stage.result(imagine(stage))
        job = job_of(message)
        assert [button(message, name) for name in ("Little", "Much")] == [
            f"use.img2img:{job}",
            f"use-2.img2img:{job}",
        ]
    async with stage.bot():
        opened = await stage.answered(stage.press(message, "Much"))
        assert modal(opened)["denoise"] == "0.75"
        sent = stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a drawing"})
        assert "**Strength** 0.75 " in await stage.details(await stage.result(sent))


async def test_a_follow_up_is_a_button_only_below_results_that_it_is_for(stage: Stage) -> None:
    one = '[[follow_ups]]\nworkflow = "img2img"\nslot = "image"\ntitle = "{}"\nresult = "{}"\n'
    add(stage, "txt2img", one.format("Draw", "image") + one.format("Film", "video"))
    async with stage.bot():
        found = buttons_of(await stage.result(imagine(stage)))
        assert "Draw" in found
        assert "Film" not in found


# Menus and forms


async def test_two_workflows_that_want_one_menu_do_not_keep_the_bot_from_starting(stage: Stage) -> None:
    (stage.workflows / "other").mkdir()
    for file in ("workflow.json", "manifest.toml"):
        told = (stage.workflows / "img2img" / file).read_text().replace('"remix"', '"other"')
        (stage.workflows / "other" / file).write_text(told)
    async with stage.bot():
        message = stage.discord.say("look", files=[photo()])
        assert "prompt" in await filled_in(stage, stage.discord.message_menu("Image to image", message))


async def test_what_is_only_among_the_settings_is_not_asked_at_a_menu_but_in_vary(stage: Stage) -> None:
    change(stage, "img2img", 'title = "Strength"', 'title = "Strength"\nshow = "settings"')
    async with stage.bot():
        message = stage.discord.say("look", files=[photo()])
        opened = await stage.answered(stage.discord.message_menu("Image to image", message))
        assert "denoise" not in modal(opened)
        made = await stage.result(stage.discord.submit_modal(opened, modal(opened) | {"prompt": "a drawing"}))
        assert (await filled_in(stage, stage.press(made, "Edit prompt")))["denoise"] == "0.6"
        with pytest.raises(Impossible, match="no option denoise"):
            stage.discord.slash("remix", prompt="x", image=photo(), denoise=0.5)


async def test_what_must_be_told_in_a_form_is_asked_for_after_the_command(stage: Stage) -> None:
    change(stage, "txt2img", 'title = "Prompt"', 'title = "Prompt"\nshow = "modal"')
    async with stage.bot():
        opened = await stage.answered(stage.discord.slash("txt2img", {**SMALL, "steps": 3}))
        assert set(modal(opened)) == {"prompt"}
        told = await stage.details(await stage.result(stage.discord.submit_modal(opened, {"prompt": "a long story"})))
        assert "a long story" in told
        assert "**Steps** 3 " in told
        again = stage.discord.submit_modal(opened, {"prompt": "once more"})
        told = await stage.ephemeral_followup(again)
        assert "out of date" in told
        assert "once more" in told


async def test_a_form_that_a_command_opened_is_taken_after_a_restart(stage: Stage) -> None:
    change(stage, "txt2img", 'title = "Prompt"', 'title = "Prompt"\nshow = "modal"')
    async with stage.bot():
        opened = await stage.answered(stage.discord.slash("txt2img", {**SMALL, "steps": 3}))
        message = stage.discord.say("look", files=[photo()])
        menu = await stage.answered(stage.discord.message_menu("Image to image", message))
    async with stage.bot():
        bob = stage.discord.person("bob")
        stolen = stage.discord.submit_modal(opened, {"prompt": "of another person"}, user=bob)
        assert "of another person" in await stage.ephemeral_followup(stolen)
        made = await stage.result(stage.discord.submit_modal(opened, {"prompt": "a long story"}))
        assert "**Steps** 3 " in await stage.details(made)
        await stage.result(stage.discord.submit_modal(menu, modal(menu) | {"prompt": "as a drawing"}))


async def test_a_preset_can_be_named_in_the_form_of_vary(stage: Stage) -> None:
    add(stage, "txt2img", "[presets.quick]\nsteps = 3\ncfg = 2.0")
    async with stage.bot():
        opened = await stage.answered(stage.press(await stage.result(imagine(stage)), "Edit prompt"))
        told = modal(opened) | {"preset": "quick"}
        varied = await stage.details(await stage.result(stage.discord.submit_modal(opened, told)))
        assert "**Steps** 3 " in varied
        assert "**Guidance** 2.0 " in varied


async def test_more_than_25_presets_are_completed_and_a_wrong_one_is_a_sentence(stage: Stage) -> None:
    add(stage, "txt2img", "\n".join(f"[presets.p{number}]\nsteps = {number + 1}" for number in range(30)))
    async with stage.bot():
        offered = await stage.answered(stage.discord.autocomplete("txt2img", "preset", "p2", prompt="x"))
        assert "p29" in {choice["value"] for choice in offered.data["choices"]}
        assert "no preset called “p99”" in await stage.ephemeral_followup(imagine(stage, preset="p99"))
        assert "**Steps** 30 " in await stage.details(await stage.result(imagine(stage, preset="p29")))


async def test_a_size_can_be_varied_where_only_the_graph_says_what_it_is(stage: Stage) -> None:
    slots = '[slots.size]\nkind = "size"\nnode = "1"\n' + COLOR
    write(stage, "plain", PLAIN, f'command = "plain"\n{slots}')
    async with stage.bot():
        first = await stage.result(stage.discord.slash("plain"))
        opened = await stage.answered(stage.press(first, "Edit prompt"))
        assert modal(opened)["size"] == "64x48"
        await stage.result(stage.discord.submit_modal(opened, modal(opened)))
        assert "64x48" in await stage.ephemeral_followup(stage.press(first, "Details"))


# One's own settings


async def test_ones_own_settings_stand_in_the_forms_of_menus_and_follow_ups(stage: Stage) -> None:
    async with stage.bot():
        made = await stage.result(stage.discord.slash("remix", prompt="x", image=photo(), steps=3, denoise=0.35))
        assert "0.35" in await keep(stage, made)
        message = stage.discord.say("look", files=[photo()])
        told = await filled_in(stage, stage.discord.message_menu("Image to image", message))
        assert told["denoise"] == "0.35"
        assert told["prompt"] == ""
        picture = await stage.result(imagine(stage))
        assert (await filled_in(stage, stage.press(picture, "Image to image")))["denoise"] == "0.35"
        bob = stage.discord.person("bob")
        his = await filled_in(stage, stage.press(picture, "Image to image", user=bob))
        assert his["denoise"] == "0.6"


async def test_a_preset_counts_more_than_ones_own_settings_and_what_is_said_more_than_both(stage: Stage) -> None:
    add(stage, "txt2img", "[presets.quick]\nsteps = 3")
    async with stage.bot():
        await keep(stage, await stage.result(imagine(stage, steps=7, cfg=3.0)))
        told = await stage.details(await stage.result(imagine(stage, preset="quick")))
        assert "**Steps** 3 " in told
        assert "**Guidance** 3.0 " in told
        assert "**Steps** 5 " in await stage.details(await stage.result(imagine(stage, preset="quick", steps=5)))


async def test_again_is_the_same_whoever_presses_it(stage: Stage) -> None:
    async with stage.bot():
        bob = stage.discord.person("bob")
        his = await stage.result(stage.discord.slash("txt2img", {"prompt": "x", **SMALL}, user=bob))
        await keep(stage, await stage.result(imagine(stage, steps=7)))
        assert "**Steps** 24 " in await stage.details(await stage.result(stage.press(his, "Again")))


async def test_ones_own_settings_outlive_a_restart_and_a_changed_manifest(stage: Stage) -> None:
    async with stage.bot():
        await keep(stage, await stage.result(imagine(stage, steps=90, cfg=3.0)))
    change(stage, "txt2img", "maximum = 150", "maximum = 50")
    async with stage.bot():
        told = await stage.details(await stage.result(imagine(stage)))
        assert "**Guidance** 3.0 " in told
        assert "**Steps** 24 " in told


# Who may


async def test_a_role_lets_in_and_everybody_else_is_told_before_a_form_opens(stage: Stage) -> None:
    painter = stage.discord.person("painter", roles=["180000000000000002"])
    add(stage, "txt2img", "roles = [180000000000000002]")
    async with stage.bot():
        made = await stage.result(stage.discord.slash("txt2img", {"prompt": "x", **SMALL}, user=painter))
        before = len(stage.discord.requests)
        for name in ("Again", "Edit prompt"):
            assert "Only some people" in await stage.ephemeral_followup(stage.press(made, name))
        command = stage.discord.slash("txt2img", {"prompt": "x", **SMALL})
        assert "Only some people" in await stage.ephemeral_followup(command)
        assert private(stage, since=before), "nobody else saw that the bot was asked"
        assert await filled_in(stage, stage.press(made, "Edit prompt", user=painter))


def private(stage: Stage, since: int) -> bool:
    """Whether everything that the bot has answered was for the person alone, from the first moment."""
    sent = [request.json for request in stage.discord.requests[since:] if request.method in {"POST", "PATCH"}]
    # A follow-up, such as the hint below a first picture, has no type.
    return all(
        isinstance(said, dict)
        and said.get("type", MESSAGE) == MESSAGE
        and inner(said, "data").get("flags", said.get("flags", 0)) & EPHEMERAL
        for said in sent
    )


async def test_a_form_that_may_not_be_sent_any_more_gives_back_what_was_typed_and_stays_private(stage: Stage) -> None:
    async with stage.bot() as life:
        made = await stage.result(imagine(stage))
        form = await stage.answered(stage.press(made, "Edit prompt"))
        life.house.draining.set()
        before = len(stage.discord.requests)
        sent = stage.discord.submit_modal(form, {**modal(form), "prompt": "a long and careful prompt"})
        sentence = await stage.ephemeral_followup(sent)
        assert "about to restart" in sentence
        assert "a long and careful prompt" in sentence
        assert private(stage, since=before)


# Files


async def test_a_sound_reaches_comfyui_as_it_is(stage: Stage) -> None:
    write(stage, "hear", SOUND, f'command = "hear"\nmenu = "Hear it"\n{SOUND_SLOTS}')
    content = b"fLaC" + bytes(range(256)) * 4
    async with stage.bot() as life:
        upload = Upload("voice.flac", content, "audio/flac")
        made = await stage.result(stage.discord.slash("hear", sound=upload))
        job = await life.journal.find(job_of(made))
        assert job is not None
        kept = str(job.request.values["sound"])
        assert kept.endswith(".flac")
        lying = [path.read_bytes() for path in (stage.data.parent / "server" / "input").rglob("*.flac")]
        assert lying == [content]
        again = stage.discord.message_menu("Hear it", stage.discord.say("listen", files=[upload]))
        assert files(await stage.result(again))


@pytest.mark.parametrize(
    ("upload", "sentence"),
    [
        (Upload("voice.flac", b"#!/bin/sh", "audio/flac"), "not a sound that can be used"),
        (Upload("photo.png", photo().content, "image/png"), "not a sound that can be used"),
        (Upload("long.mp3", b"ID3" + bytes(65 * 2**20), "audio/mpeg"), "Make the sound smaller"),
    ],
    ids=["something else inside", "a picture", "too large"],
)
async def test_a_sound_that_cannot_be_used_is_a_sentence(stage: Stage, upload: Upload, sentence: str) -> None:
    write(stage, "hear", SOUND, f'command = "hear"\n{SOUND_SLOTS}')
    stage.discord.state.upload_limit = 100 * 2**20
    async with stage.bot() as life:
        assert sentence in await stage.ephemeral_followup(stage.discord.slash("hear", sound=upload))
        assert not await life.journal.unfinished()


async def test_a_menu_looks_for_the_kind_of_file_that_it_takes(stage: Stage) -> None:
    write(stage, "hear", SOUND, f'menu = "Hear it"\n{SOUND_SLOTS}')
    async with stage.bot():
        message = stage.discord.say("look", files=[photo()])
        assert "no sound in this message" in await stage.ephemeral_followup(
            stage.discord.message_menu("Hear it", message)
        )


async def test_a_form_asks_for_a_second_file_and_without_it_there_is_a_sentence(stage: Stage) -> None:
    add(stage, "txt2img", '[[follow_ups]]\nworkflow = "img2img"\nslot = "image"\ntitle = "Draw"')
    path = stage.workflows / "img2img" / "manifest.toml"
    path.write_text(
        path.read_text() + '\n[slots.mask]\nkind = "image"\nrequired = true\nnode = "Picture"\ninput = "image"\n'
    )
    async with stage.bot():
        opened = await stage.answered(stage.press(await stage.result(imagine(stage)), "Draw"))
        with pytest.raises(Impossible, match="mask takes 1"):
            stage.discord.submit_modal(opened, modal(opened) | {"prompt": "x"})
        sent = submit_texts(stage, opened, modal(opened) | {"prompt": "x"})
        assert "also needs mask" in await stage.ephemeral_followup(sent)
        await stage.result(stage.discord.submit_modal(opened, {**modal(opened), "prompt": "x", "mask": photo()}))


# LoRAs


async def test_loras_are_completed_one_after_the_other_and_may_be_called_by_short_names(stage: Stage) -> None:
    add(stage, "txt2img", '[slots.lora]\nkind = "lora"\nnode = "Checkpoint"')
    async with stage.bot() as life:
        asked = stage.discord.autocomplete("txt2img", "lora", "ink-lines:0.8, sof", prompt="x")
        offered = await stage.answered(asked)
        assert [choice["value"] for choice in offered.data["choices"]] == ["ink-lines:0.8, soft-light.safetensors"]
        made = await stage.result(imagine(stage, lora="ink-lines:0.8, soft-light"))
        job = await life.journal.find(job_of(made))
        assert job is not None
        used = [entry["inputs"] for entry in job.request.graph.values() if entry["class_type"] == "LoraLoader"]
        assert [one["lora_name"] for one in used if isinstance(one, dict)] == [
            "ink-lines.safetensors",
            "soft-light.safetensors",
        ]
        assert "no LoRA called “oil”" in await stage.ephemeral_followup(imagine(stage, lora="oil"))


# Offers


async def test_a_job_is_sent_only_to_a_server_that_can_make_it(stage: Stage) -> None:
    async with stage.another_server("bare", models={"checkpoints": ()}) as bare, stage.bot() as life:
        asked = [imagine(stage) for _ in range(4)]
        for interaction in asked:
            job = await life.journal.find(job_of(await stage.result(interaction)))
            assert job is not None
            assert job.request.servers == ("simulator",)
        assert not bare.history


async def test_what_is_not_offered_is_told_in_status_and_by_old_buttons(stage: Stage) -> None:
    async with stage.bot():
        made = await stage.result(imagine(stage))
    path = stage.workflows / "txt2img" / "workflow.json"
    path.write_text(path.read_text().replace('"KSampler"', '"KSamplerOfNobody"'))
    async with stage.bot():
        assert "txt2img" not in names(stage), "the servers were asked before anything was offered"
        told = await stage.ephemeral_followup(stage.discord.slash("status"))
        assert "Not offered: No server can run “txt2img”" in told.replace("\\", "")
        assert "not available now" in await stage.ephemeral_followup(stage.press(made, "Again"))


async def test_discord_hears_of_a_change_only_where_it_sees_one(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    said = ""

    def changes() -> int:
        nonlocal said
        said += "".join(capfd.readouterr())
        return said.count("the workflows changed")

    def synced() -> int:
        return len([one for one in stage.discord.requests if one.method == "PUT" and one.path.endswith("/commands")])

    async with stage.bot():
        before = synced()
        write(stage, "plain", PLAIN, f'command = "plain"\n{COLOR}')
        await stage.discord.until(lambda: "plain" in names(stage))
        after, seen = synced(), changes()
        another = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "another"}}
        (stage.workflows / "plain.json").write_text(json.dumps({**PLAIN, "3": another}))
        with anyio.fail_after(60):
            while changes() == seen:
                await anyio.lowlevel.checkpoint()
        assert len(files(await stage.result(stage.discord.slash("plain")))) == 2, "the new graph is used"
        assert (after - before, synced() - after) == (1, 0)
