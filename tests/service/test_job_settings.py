"""What made a job, as people read it in the details in Discord and on the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from app.core.jobs.job import Job, JobRequest, Upload, Variation
from app.events import JobId, NodeId
from app.service.job_settings import Setting, changed_picture, command_line, needs_files, settings_of
from app.workflows.load import Workflow, load

WORKFLOWS = Path(__file__).parents[2] / "workflows"


@pytest.fixture(scope="module")
def txt2img() -> Workflow:
    return load(WORKFLOWS, "txt2img")


@pytest.fixture(scope="module")
def kontext() -> Workflow:
    return load(WORKFLOWS, "kontext")


def request(workflow: str, **values: object) -> JobRequest:
    return JobRequest(job=JobId("a"), workflow=workflow, graph={}, folder="/results", values=values, seed=7)  # pyright: ignore[reportArgumentType]


def changed(request: JobRequest, workflow: Workflow | None) -> str:
    return changed_picture(request.variation, request.values, workflow)


def test_settings_are_those_that_were_chosen_and_those_of_the_workflow(txt2img: Workflow) -> None:
    asked = replace(request("txt2img", prompt="a fox", steps=30), variation=Variation("strong", "/results/b.png"))
    settings = {setting.title: setting.value for setting in settings_of(Job(request=asked), txt2img)}
    assert next(iter(settings.items())) == ("Change", "Vary strong")
    assert settings["Steps"] == "30"
    assert settings["Width"] == "768"
    assert not {"Prompt", "Seed"} & settings.keys()
    unknown = settings_of(Job(request=asked), None)
    assert [(setting.title, setting.value) for setting in unknown] == [("Change", "Vary strong"), ("steps", "30")]


def test_a_command_is_one_line_with_what_was_chosen(txt2img: Workflow, kontext: Workflow) -> None:
    line = command_line(txt2img, request("txt2img", prompt="a fox\n in the   snow", steps=30, width=512))
    assert line.startswith("/txt2img prompt: a fox in the snow ")
    assert {"steps: 30", "width: 512", "seed: 7"} <= {
        " ".join(pair) for pair in zip(line.split(), line.split()[1:], strict=False)
    }
    asked = request("kontext", prompt="add a hat", image="/inputs/a.png")
    assert "/inputs" not in command_line(kontext, asked)
    assert needs_files(kontext, asked)
    assert not needs_files(txt2img, request("txt2img", prompt="a fox"))


def test_the_picture_that_was_changed_is_that_of_the_variation_or_of_the_prompt(
    txt2img: Workflow, kontext: Workflow
) -> None:
    plain = request("txt2img", prompt="a fox")
    assert changed(plain, txt2img) == ""
    assert changed(replace(plain, variation=Variation("strong", "/results/b.png")), None) == "/results/b.png"
    assert changed(request("kontext", prompt="add a hat", image="/inputs/a.png"), kontext) == "/inputs/a.png"
    assert changed(request("kontext", prompt="add a hat", image="/inputs/a.png"), None) == ""


def test_of_a_workflow_that_is_gone_files_are_named_without_the_folders_of_the_bot() -> None:
    picture = "/data/inputs/1/cat.png"
    asked = replace(
        request("gone", prompt="a cat", steps=4, image=picture), uploads=(Upload(NodeId("1"), "image", picture),)
    )
    assert settings_of(Job(request=asked), None) == [Setting("steps", "4"), Setting("image", "cat.png")]
