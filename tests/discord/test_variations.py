"""A picture is varied, and extended on its sides, with one press; the result is a job like any other."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from PIL import Image, ImageChops, ImageStat

from app.core.jobs.job import Job
from app.simulator.nodes.images import resized
from app.simulator.version import V0_33_0
from app.workflows.api_graph import inputs
from app.workflows.variations.derive import STRENGTHS
from tests.discord.fake import FakeDiscord, Payload
from tests.discord.flows import FOLDER
from tests.discord.one_backend import only_on
from tests.discord.stage import Life, Stage, ended, files, job_of, modal, parts, photo, stage_for, words
from tests.workflows.test_shipped import models

anyio_backend = only_on("trio")


async def imagined(stage: Stage, **more: object) -> Payload:
    """A finished picture of alice's."""
    asked = stage.discord.slash("txt2img", prompt="a cat", width=64, height=64, **more)  # pyright: ignore[reportArgumentType]
    return await stage.result(asked)


async def opened(stage: Stage, message: Payload, *, picture: int = 0) -> Payload:
    """What More… shows below a result; of several pictures, what it shows for this one."""
    pressed = stage.press(message, "More…")
    await stage.ephemeral_followup(pressed)
    shown = stage.discord.message(pressed)
    if picture:
        (select,) = [part for part in parts(shown) if part["type"] == 3]
        chosen = stage.discord.click(shown, str(select["custom_id"]), values=[str(picture)])
        await stage.ephemeral_followup(chosen)
        shown = stage.discord.message(chosen)
    return shown


async def job_made(life: Life, message: Payload) -> Job:
    return await ended(life, job_of(message))


def with_button(stage: Stage, message: Payload, custom_id: str) -> Payload:
    """The message as a version of the bot made it that had only this button."""
    button = {"type": 2, "id": 3, "style": 2, "label": "old", "custom_id": custom_id}
    frame = {"type": 17, "id": 1, "components": [{"type": 1, "id": 2, "components": [button]}]}
    old = message | {"components": [frame]}
    stage.discord.state.messages.all[message["id"]] = old
    return old


def sampler(job: Job) -> dict[str, object]:
    (node,) = [node for node, entry in job.request.graph.items() if entry["class_type"] == "KSampler"]
    return dict(inputs(job.request.graph, node))


def picture_of(job: Job) -> Path:
    assert job.request.variation is not None
    return Path(job.request.variation.picture)


async def test_one_of_several_pictures_is_varied_with_one_press(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await imagined(stage, count=2, steps=7)
        second = await stage.result(stage.press(first, "Vary 2"))
        assert len(files(second)) == 4
        assert "[Vary 4]" in words(second)
        assert f"<@{stage.discord.alice.id}> · Vary strong · " in words(second)
        job = await job_made(life, second)
        assert picture_of(job).name.endswith("-02.png"), picture_of(job)
        assert picture_of(job).is_file()
        assert sampler(job)["denoise"] == STRENGTHS["strong"]
        assert sampler(job)["steps"] == 7
        assert (job.request.workflow, job.request.parent) == ("txt2img", job_of(first))
        assert job.request.values["prompt"] == "a cat"
        assert str(job.request.values["checkpoint"]).startswith("dreamscape"), "the one that the server chose before"


@pytest.mark.parametrize(("label", "strength"), [("Vary subtle", "subtle"), ("Vary strong", "strong")])
async def test_a_single_picture_is_varied_in_two_strengths(stage: Stage, label: str, strength: str) -> None:
    async with stage.bot() as life:
        first = await imagined(stage)
        second = await stage.result(stage.press(first, label))
        job = await job_made(life, second)
        assert sampler(job)["denoise"] == dict(STRENGTHS)[strength]  # pyright: ignore[reportArgumentType]
        assert job.request.pictures == 4
        details = await stage.details(second)
        assert f"**Change** {label} · " in details
        assert "**Made from** [Text to image" in details


async def test_a_picture_that_was_made_from_one_is_varied_too_and_so_is_a_variation(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await stage.result(stage.discord.slash("remix", prompt="a drawing", image=photo()))
        second = await stage.result(stage.press(first, "Vary subtle"))
        third = await stage.result(stage.press(second, "Vary 3"))
        job = await job_made(life, third)
        assert job_of(second)[:8] in picture_of(job).name
        assert sampler(job)["denoise"] == STRENGTHS["strong"]
        assert len(job.request.uploads) == 1, "the photo is not needed any more"


async def test_again_and_edit_prompt_keep_the_picture_that_is_varied(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await imagined(stage)
        second = await stage.result(stage.press(first, "Vary subtle"))
        varied = await job_made(life, second)
        again = await job_made(life, await stage.result(stage.press(second, "Again")))
        asked = await stage.answered(stage.press(second, "Edit prompt"))
        sent = stage.discord.submit_modal(asked, modal(asked) | {"prompt": "a dog"})
        edited = await job_made(life, await stage.result(sent))
        for job in (again, edited):
            assert job.request.variation == varied.request.variation
            assert sampler(job)["denoise"] == STRENGTHS["subtle"]
            assert job.request.seed != varied.request.seed or job is edited
            assert job.request.pictures == 4
        assert edited.request.values["prompt"] == "a dog"


async def test_edit_prompt_of_a_variation_with_another_file_starts_from_that(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await stage.result(stage.discord.slash("remix", prompt="a drawing", image=photo()))
        second = await stage.result(stage.press(first, "Vary subtle"))
        asked = await stage.answered(stage.press(second, "Edit prompt"))
        sent = stage.discord.submit_modal(asked, {**modal(asked), "image": photo((80, 80))})
        job = await job_made(life, await stage.result(sent))
        assert job.request.variation is None
        (upload,) = job.request.uploads
        with Image.open(upload.path) as picture:
            assert picture.size == (80, 80)


async def test_a_variation_that_waits_is_edited_and_stays_one(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await imagined(stage)
        stage.hold()
        for _ in range(3):
            await stage.answered(stage.discord.slash("txt2img", prompt="ahead", width=64, height=64))
        pressed = stage.press(first, "Vary strong")
        waiting = await stage.until("[Edit]", pressed)
        asked = await stage.answered(stage.press(waiting, "Edit"))
        stage.discord.submit_modal(asked, modal(asked) | {"prompt": "a dog"})
        await stage.until("a dog", pressed)
        stage.go_on()
        job = await job_made(life, await stage.result(pressed))
        assert sampler(job)["denoise"] == STRENGTHS["strong"]
        assert job.request.values["prompt"] == "a dog"


async def test_a_variation_survives_a_restart(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage)
        stage.hold()
        pressed = stage.press(first, "Vary strong")
        await stage.until("[Cancel]", pressed)
    async with stage.bot() as life:
        stage.go_on()
        job = await job_made(life, await stage.result(pressed))
        assert job.request.variation is not None
        assert job.request.pictures == 4


async def test_a_picture_that_was_deleted_is_one_sentence(stage: Stage) -> None:
    async with stage.bot():
        first = await imagined(stage, count=2)
        shown = await opened(stage, first, picture=1)
        shutil.rmtree(stage.data / "results")
        for message, label in ((first, "Vary 2"), (shown, "Zoom out"), (shown, "Vary subtle")):
            assert "The result was deleted." in await stage.ephemeral_followup(stage.press(message, label))
        late = stage.press(with_button(stage, first, f"strong+7:{job_of(first)}"), "old")
        assert "There are only 2 results here." in await stage.ephemeral_followup(late)
        assert len(stage.simulator.history) == 2


async def test_the_vary_of_the_version_before_still_starts_from_the_picture(stage: Stage) -> None:
    async with stage.bot() as life:
        first = await imagined(stage, count=2)
        job = job_of(first)
        for pressed in (f"go-2+2.img2img:{job}", f"go-2.img2img:{job}"):
            old = with_button(stage, first, pressed)
            made = await job_made(life, await stage.result(stage.press(old, "old")))
            assert made.request.workflow == "img2img"
            assert str(made.request.values["image"]).endswith("-02.png" if "+2" in pressed else "-01.png")
            assert made.request.values["prompt"] == "a cat"


async def test_a_workflow_whose_graph_is_not_understood_offers_no_variation_but_new_seeds(stage: Stage) -> None:
    path = stage.workflows / "txt2img" / "workflow.json"
    graph = msgspec.json.decode(path.read_bytes())
    (saver,) = [node for node in graph.values() if node["class_type"] == "SaveImage"]
    graph["negative"] = {"class_type": "ImageInvert", "inputs": {"image": saver["inputs"]["images"]}}
    saver["inputs"]["images"] = ["negative", 0]
    path.write_bytes(msgspec.json.encode(graph))
    async with stage.bot() as life:
        first = await imagined(stage)
        assert not [label for label in words(first).splitlines() if label.startswith(("[Vary", "[Zoom"))]
        assert "[Pan left]" not in words(await opened(stage, first))
        old = with_button(stage, first, f"strong:{job_of(first)}")
        job = await job_made(life, await stage.result(stage.press(old, "old")))
        assert job.request.variation is None
        assert job.request.workflow == "txt2img"
        late = stage.press(with_button(stage, first, f"zoom:{job_of(first)}"), "old")
        assert "out of date" in await stage.ephemeral_followup(late)


async def test_a_server_without_a_node_that_it_needs_is_one_sentence(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = stage.simulator.catalog.describe_all()
    del nodes["VAEEncode"]
    monkeypatch.setattr(stage.simulator.catalog, "describe_all", lambda: nodes)
    async with stage.bot():
        first = await imagined(stage)
        assert "lacks" in await stage.ephemeral_followup(stage.press(first, "Vary subtle"))


async def test_an_enlarged_picture_is_varied_by_what_made_it(stage: Stage) -> None:
    shutil.copytree(FOLDER / "upscale", stage.workflows / "upscale")
    async with stage.bot() as life:
        first = await imagined(stage, count=2)
        large = await stage.result(stage.press(first, "Upscale 2"))
        assert "[Vary subtle]\n[Vary strong]" in words(large)
        job = await job_made(life, await stage.result(stage.press(large, "Vary subtle")))
        assert job.request.workflow == "txt2img"
        assert job.request.parent == job_of(large)
        assert job_of(large)[:8] in picture_of(job).name
        assert "[Zoom out]" in words(await opened(stage, large))


async def test_others_may_vary_a_picture_unless_the_operator_says_no(stage: Stage) -> None:
    bob = stage.discord.person("bob")
    async with stage.bot():
        first = await imagined(stage)
        varied = await stage.result(stage.press(first, "Vary subtle", user=bob))
        assert f"<@{bob.id}>" in words(varied)
    async with stage.bot(guarded=("use",)):
        assert "Only the person" in await stage.ephemeral_followup(stage.press(first, "Vary subtle", user=bob))


@pytest.mark.parametrize(
    ("label", "size"),
    [("Zoom out", (256, 256)), ("Pan left", (384, 256)), ("Pan down", (256, 384))],
)
async def test_a_picture_is_extended_and_stays_where_it_was(stage: Stage, label: str, size: tuple[int, int]) -> None:
    async with stage.bot() as life:
        asked = stage.discord.slash("txt2img", prompt="a cat", width=256, height=256)
        first = await stage.result(asked)
        (source,) = (stage.data / "results").iterdir()
        second = await stage.result(stage.press(await opened(stage, first), label))
        job = await job_made(life, second)
        assert job.request.parent == job_of(first)
        made = sorted(set((stage.data / "results").iterdir()) - {source})
        assert len(made) == 4
        scale = 2 / 3 if label == "Zoom out" else 1.0
        for file in made:
            with Image.open(file) as larger, Image.open(source) as small:
                assert larger.size == size
                inner = round(small.width * scale / 16) * 16
                left = {"Zoom out": (size[0] - inner) // 2, "Pan left": 128}.get(label, 0)
                top = (size[1] - inner) // 2 if label == "Zoom out" else 0
                # The seam is feathered.
                edge = inner // 8
                inside = (left + edge, top + edge, left + inner - edge, top + inner // 2)
                kept = larger.convert("L").crop(inside)
                scaled = resized(small.convert("L"), (inner, inner), Image.Resampling.LANCZOS)
                was = scaled.crop((edge, edge, inner - edge, inner // 2))
                assert ImageStat.Stat(ImageChops.difference(kept, was)).mean[0] < 4
        assert "[Pan right]" in words(await opened(stage, second, picture=2)), "and it can be extended again"


async def test_what_its_own_graph_cannot_extend_is_extended_by_the_workflow_for_it(
    fake: FakeDiscord, tmp_path: Path
) -> None:
    equipped = stage_for(fake, tmp_path, version=V0_33_0, any_node=True, models=models(), steps=2)
    async with equipped as stage:
        shutil.copytree(FOLDER / "outpaint", stage.workflows / "outpaint")
        async with stage.bot() as life:
            first = await stage.result(stage.discord.slash("remix", prompt="a drawing", image=photo()))
            extended = await stage.result(stage.press(await opened(stage, first), "Pan left"))
            job = await job_made(life, extended)
            assert job.request.workflow == "outpaint"
            assert [job.request.values[side] for side in ("left", "right", "top", "bottom")] == [512, 0, 0, 0]
            assert job.request.values["prompt"] == "a drawing"
            assert job.request.parent == job_of(first)
            assert "[Pan left]" not in words(await opened(stage, extended))
