"""What a manifest's keys mean in Discord: presets, one's own settings, who may, what follows, who can run it."""

from __future__ import annotations

import json
import tomllib

import pytest

from tests.discord.fake import Interaction, buttons_of
from tests.discord.one_backend import only_on
from tests.discord.stage import Stage, job_of, modal, words

anyio_backend = only_on("asyncio")

SMALL = {"width": 64, "height": 64}


def imagine(stage: Stage, **more: object) -> Interaction:
    return stage.discord.slash("txt2img", {"prompt": "a cat", **SMALL, **more})  # pyright: ignore[reportArgumentType]


def add(stage: Stage, name: str, text: str) -> None:
    """Put keys at the top of a manifest, or tables at its end, in the place of the shipped follow-ups."""
    path = stage.workflows / name / "manifest.toml"
    told = path.read_text().partition("[[follow_ups]]")[0]
    told = f"{told}\n{text}\n" if text.startswith("[") else f"{text}\n{told}"
    tomllib.loads(told)
    path.write_text(told)


async def test_a_preset_counts_less_than_what_is_said(stage: Stage) -> None:
    add(stage, "txt2img", "[presets.quick]\nsteps = 3\ncfg = 2.0")
    async with stage.bot():
        message = await stage.result(imagine(stage, preset="quick", cfg=4.0))
        assert "**Steps** 3 " in await stage.details(message)
        assert "**Guidance** 4.0 " in await stage.details(message)
        again = await stage.result(stage.press(message, "Again"))
        assert "**Steps** 3 " in await stage.details(again)


async def test_settings_are_kept_as_ones_own_and_given_back(stage: Stage) -> None:
    async with stage.bot():
        message = await stage.result(imagine(stage, steps=3, seed=5))
        shown = stage.press(message, "Details")
        await stage.ephemeral_followup(shown)
        card = stage.discord.message(shown)
        assert "Your defaults for Text to image" in await stage.ephemeral_followup(
            stage.press(card, "Save as my defaults")
        )
        mine = await stage.result(stage.discord.slash("txt2img", prompt="a dog"))
        assert "**Steps** 3 " in await stage.details(mine)
        assert "seed `5`" not in words(mine)
        bob = stage.discord.person("bob")
        his = stage.discord.slash("txt2img", {"prompt": "a bird", **SMALL}, user=bob)
        assert "**Steps** 3 " not in await stage.details(await stage.result(his))
        assert "Steps" in await stage.ephemeral_followup(stage.discord.slash("settings"))
        assert "no saved settings" in await stage.ephemeral_followup(
            stage.discord.slash("settings", reset="everything")
        )
        assert "**Steps** 3 " not in await stage.details(await stage.result(imagine(stage)))
        assert "You have no saved settings" in await stage.ephemeral_followup(
            stage.discord.slash("settings", reset="txt2img")
        )


async def test_who_is_not_named_may_not_use_it(stage: Stage) -> None:
    add(stage, "txt2img", 'users = ["1"]')
    async with stage.bot():
        assert "Only some people" in await stage.ephemeral_followup(imagine(stage))
        assert not stage.simulator.ended_at


async def test_a_manifest_can_hide_every_result(stage: Stage) -> None:
    add(stage, "txt2img", "spoiler = true")
    async with stage.bot():
        message = await stage.result(imagine(stage))
        assert '"spoiler": true' in json.dumps(message["components"])


async def test_follow_ups_are_those_of_the_manifest(stage: Stage) -> None:
    add(
        stage,
        "txt2img",
        '[[follow_ups]]\nworkflow = "img2img"\nslot = "image"\ntitle = "Dream on"\nvalues = { denoise = 0.25 }',
    )
    async with stage.bot():
        message = await stage.result(imagine(stage))
        assert "Dream on" in buttons_of(message)
        asked = await stage.answered(stage.press(message, "Dream on"))
        assert modal(asked)["denoise"] == "0.25"


async def test_without_follow_ups_those_of_the_menu_are_there(stage: Stage) -> None:
    add(stage, "txt2img", "")
    async with stage.bot():
        assert "Image to image" in buttons_of(await stage.result(imagine(stage)))


async def test_a_workflow_that_no_server_can_run_is_not_offered(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    path = stage.workflows / "txt2img" / "workflow.json"
    path.write_text(path.read_text().replace('"KSampler"', '"KSamplerOfNobody"'))
    async with stage.bot():
        await stage.discord.until(lambda: "txt2img" not in names(stage))
        assert "remix" in names(stage)
    assert "KSamplerOfNobody" in "".join(capfd.readouterr())


async def test_a_workflow_of_the_editor_is_offered_once_a_server_explains_it(stage: Stage) -> None:
    drawing = {
        "nodes": [
            {"id": 1, "type": "EmptyImage", "widgets_values": [64, 64, 1, 0], "inputs": []},
            {
                "id": 2,
                "type": "SaveImage",
                "widgets_values": ["x"],
                "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
            },
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    }
    (stage.workflows / "plain.json").write_text(json.dumps(drawing))
    (stage.workflows / "plain.toml").write_text('command = "plain"\n')
    async with stage.bot():
        await stage.discord.until(lambda: "plain" in names(stage))
        assert job_of(await stage.result(stage.discord.slash("plain")))


def names(stage: Stage) -> set[str]:
    """The commands that Discord knows now."""
    return {str(one["name"]) for one in stage.discord.commands()}
