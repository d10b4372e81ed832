"""/imagine and the other commands of tasks: one command for every model, from the typing to the result."""

from __future__ import annotations

import shutil
from typing import cast

import pytest

from app.config.settings import DefaultModels, Limits, Preset
from tests.discord.fake import Interaction, Payload
from tests.discord.flows import FOLDER
from tests.discord.stage import Stage, files, job_of, photo, words

PORTRAIT = "portrait-xl.safetensors"


def imagine(stage: Stage, **more: object) -> Interaction:
    return stage.discord.slash("imagine", {"prompt": "a cat", "count": 1, **more})  # pyright: ignore[reportArgumentType]


def small(stage: Stage) -> None:
    """Have pictures made small and in one step, where nothing else is asked for."""
    manifest = stage.workflows / "txt2img" / "manifest.toml"
    manifest.write_text(
        manifest.read_text().replace("default = 768", "default = 64").replace("default = 24", "default = 1")
    )


async def offered(stage: Stage, command: str, option: str, typed: str) -> list[str]:
    """What autocomplete shows."""
    answered = await stage.answered(stage.discord.autocomplete(command, option, typed))
    return [choice["name"] for choice in answered.data["choices"]]


def sent(stage: Stage, number: int = -1) -> dict[str, object]:
    """The inputs of the nodes of a prompt that ComfyUI got, by their titles."""
    history = cast("dict[str, dict[str, list[dict[str, Payload]]]]", stage.simulator.history)
    graph = list(history.values())[number]["prompt"][2]
    return {entry["_meta"]["title"]: entry["inputs"] for entry in graph.values()}


async def test_one_command_makes_four_pictures_of_a_prompt(stage: Stage) -> None:
    small(stage)
    async with stage.bot():
        assert {"imagine", "edit", "txt2img"} <= {one["name"] for one in stage.discord.commands()}
        assert "animate" not in {one["name"] for one in stage.discord.commands()}, "no workflow is for it"
        message = await stage.result(stage.discord.slash("imagine", prompt="a *cat*"))
        assert len(files(message)) == 4
        assert "a \\*cat\\*" in words(message)


async def test_models_are_offered_by_human_name_while_people_type(stage: Stage) -> None:
    async with stage.bot():
        assert await offered(stage, "imagine", "model", "") == ["Dreamscape v1", "Portrait XL"]
        assert await offered(stage, "imagine", "model", "port") == ["Portrait XL"]
        assert await offered(stage, "imagine", "preset", "paint") == ["painting"]
        message = await stage.result(imagine(stage, model="Portrait XL", format="16:9", seed=5, negative="fog"))
        inputs = sent(stage)
        assert inputs["Checkpoint"] == {"ckpt_name": PORTRAIT}
        assert inputs["Size"] == {"width": 1344, "height": 768, "batch_size": 1}
        assert inputs["Negative prompt"] == {"text": "fog", "clip": ["1", 1]}
        assert "seed `5`" in words(message)


async def test_a_model_that_disappeared_while_somebody_typed_is_told_and_the_prompt_is_given_back(stage: Stage) -> None:
    async with stage.bot():
        told = await stage.ephemeral_followup(imagine(stage, prompt="a long story", model="Portrait XXL"))
        assert "no model “Portrait XXL”" in told
        assert "did you mean “Portrait XL”?" in told
        assert "a long story" in told
        assert not stage.simulator.history


@pytest.mark.parametrize(
    ("command", "given", "sentence"),
    [
        ("edit", {"mask": "image"}, "has no option “mask”. It has image, prompt, model, count, negative"),
        ("imagine", {"preset": "impressionsm"}, "There is no preset “impressionsm” for this model"),
        ("imagine", {"count": 9}, "count is 9, but must be between 1 and 8"),
    ],
)
async def test_what_the_model_cannot_do_is_one_sentence_that_says_what_it_can(
    stage: Stage, command: str, given: dict[str, object], sentence: str
) -> None:
    files_given = {name: photo() for name, kind in given.items() if kind == "image"}
    values = {name: value for name, value in given.items() if value != "image"}
    image = {"image": photo()} if command == "edit" else {}
    options = {"prompt": "in oil and ink", **values, **files_given, **image}
    async with stage.bot():
        told = await stage.ephemeral_followup(stage.discord.slash(command, options))  # pyright: ignore[reportArgumentType]
        assert sentence in told
        assert "in oil and ink" in told


async def test_a_picture_starts_an_image_to_image(stage: Stage) -> None:
    async with stage.bot():
        message = await stage.result(imagine(stage, prompt="in oil", model="Portrait XL", image=photo()))
        assert "Image to image" in await stage.details(message)
        assert sent(stage)["Checkpoint"] == {"ckpt_name": PORTRAIT}


async def test_pictures_are_edited_and_enlarged_by_the_models_that_do_that(stage: Stage) -> None:
    shutil.copytree(FOLDER / "upscale", stage.workflows / "upscale")
    async with stage.bot():
        assert await offered(stage, "upscale", "model", "") == ["4x crisp"]
        options = {"image": photo((24, 16)), "prompt": "in oil", "count": 2, "seed": 3}
        edited = await stage.result(stage.discord.slash("edit", options))  # pyright: ignore[reportArgumentType]
        assert len(files(edited)) == 2
        enlarged = await stage.result(stage.discord.slash("upscale", {"image": photo((24, 16)), "factor": 2.0}))
        assert "Upscale" in await stage.details(enlarged)


async def test_presets_of_the_operator_and_saved_defaults_apply(stage: Stage) -> None:
    small(stage)
    presets = {"ink": Preset(suffix="ink on paper", values={"steps": 3}), "photo": Preset()}
    async with stage.bot(presets=presets, tasks=DefaultModels(imagine="Portrait XL")):
        assert "ink" in await offered(stage, "imagine", "preset", "")
        assert "photo" not in await offered(stage, "imagine", "preset", "")
        message = await stage.result(imagine(stage, preset="ink", seed=1))
        inputs = sent(stage)
        assert inputs["Prompt"] == {"text": "a cat, ink on paper", "clip": ["1", 1]}
        assert inputs["Checkpoint"] == {"ckpt_name": PORTRAIT}
        shown = stage.press(message, "Details")
        await stage.ephemeral_followup(shown)
        await stage.ephemeral_followup(stage.press(stage.discord.message(shown), "Save as my defaults"))
        again = await stage.result(stage.discord.slash("imagine", prompt="a dog"))
        assert "**Steps** 3 " in await stage.details(again)
        assert len(files(again)) == 1, "the saved count has priority over the usual one"


async def test_a_job_goes_to_the_server_that_has_its_model(stage: Stage) -> None:
    small(stage)
    async with stage.another_server("second", models={"checkpoints": ("night-ink.safetensors",)}) as second:
        async with stage.bot():
            names = await offered(stage, "imagine", "model", "")
            assert names == ["Dreamscape v1", "Portrait XL", "Night ink"]
            for _ in range(2):
                await stage.result(imagine(stage, model="Night ink"))
                await stage.result(imagine(stage, model="Dreamscape v1"))
        assert (len(second.history), len(stage.simulator.history)) == (2, 2)


async def test_a_model_is_only_for_those_who_may_use_its_workflow(stage: Stage) -> None:
    manifest = stage.workflows / "txt2img" / "manifest.toml"
    manifest.write_text(f"users = [{stage.discord.alice.id}]\n{manifest.read_text()}")
    async with stage.bot():
        assert await offered(stage, "imagine", "model", "dream") == ["Dreamscape v1"]
        bob = stage.discord.person("bob")
        answered = await stage.answered(stage.discord.autocomplete("imagine", "model", "", user=bob))
        assert answered.data["choices"] == []
        told = await stage.ephemeral_followup(stage.discord.slash("imagine", prompt="a cat", user=bob))
        assert "No model for “imagine” is available now" in told


async def test_a_workflow_whose_command_a_task_has_gets_another_one(stage: Stage) -> None:
    """A folder of the previous version, in which the text-to-image was /imagine."""
    manifest = stage.workflows / "txt2img" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('command = "txt2img"', 'command = "imagine"'))
    async with stage.bot():
        commands: dict[str, Payload] = {one["name"]: one for one in stage.discord.commands()}
        assert {option["name"] for option in commands["imagine"]["options"]} >= {"model", "format"}
        assert {option["name"] for option in commands["txt2img"]["options"]} >= {"steps", "checkpoint"}
        message = await stage.result(stage.discord.slash("txt2img", prompt="a cat", steps=2, width=64, height=64))
        shown = stage.press(message, "Details")
        await stage.ephemeral_followup(shown)
        copied = await stage.ephemeral_followup(stage.press(stage.discord.message(shown), "Copy as command"))
        assert "/txt2img prompt: a cat" in copied


async def test_the_operator_chooses_which_workflows_have_commands(stage: Stage) -> None:
    small(stage)
    async with stage.bot(workflow_commands=("img2img",)):
        names = {one["name"] for one in stage.discord.commands()}
        assert {"imagine", "edit", "remix"} <= names
        assert "txt2img" not in names
        message = await stage.result(imagine(stage))
        assert "Copy as command" not in words(stage.discord.message(await shown(stage, message)))


async def shown(stage: Stage, message: Payload) -> Interaction:
    details = stage.press(message, "Details")
    await stage.ephemeral_followup(details)
    return details


@pytest.mark.parametrize("people", [12, 50])
async def test_many_people_at_once_each_get_their_own_picture(stage: Stage, people: int) -> None:
    small(stage)
    async with stage.bot():
        asked: list[Interaction] = []
        for number in range(people):
            person = stage.discord.person(f"user{number}")
            stage.discord.autocomplete("imagine", "model", "dream", user=person)
            options = {"prompt": f"harbour{number} at dawn", "count": 1, "model": "Dreamscape v1"}
            asked.append(stage.discord.slash("imagine", options, user=person))  # pyright: ignore[reportArgumentType]
        for number, each in enumerate(asked):
            assert f"harbour{number} at dawn" in words(await stage.result(each))
        assert len({job_of(await stage.result(each)) for each in asked}) == people


async def test_fewer_pictures_are_made_by_default_if_gpu_seconds_are_left_only_for_them(stage: Stage) -> None:
    small(stage)
    # A picture is expected to take ten seconds until one was measured.
    async with stage.bot(limits=Limits(seconds=25)):
        assert len(files(await stage.result(stage.discord.slash("imagine", prompt="a cat")))) == 2
