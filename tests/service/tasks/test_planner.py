"""What a request for a task becomes: a workflow and its values, by the models that servers have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from msgspec.structs import replace

from app.config.settings import DefaultModels, Preset
from app.core.jobs.cost import Run
from app.events import JobId, NodeId, ServerName
from app.ports import Json
from app.service.offers.speeds import Speeds
from app.service.requests import AttachedFile, CreateJob, Person
from app.service.tasks.models import TaskModels
from app.service.tasks.planner import OPTIONS, TaskPlanner, TaskRequest
from app.service.tasks.presets import INCLUDED, available
from app.texts.reasons.text import reason_text
from app.workflows.load import Workflow, load
from app.workflows.model import Slot, Target, WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.task import TASK_COMMANDS, TASKS, Task
from tests.workflows.test_shipped import FOLDER

ANN = Person(user="1")
PICTURE = AttachedFile("image", "https://cdn.discordapp.com/a.png", "a.png", 10)

SHIPPED = {name: load(FOLDER, name) for name in ("txt2img", "flux", "z-image", "img2img", "kontext", "upscale", "grid")}


def listing(kind: str, name: str, *files: str) -> dict[str, Json]:
    return {kind: {"input": {"required": {name: [list(files)]}}, "output": []}}


def checkpoints(*files: str) -> Definitions:
    return Definitions(
        listing("CheckpointLoaderSimple", "ckpt_name", *files)
        | listing("UpscaleModelLoader", "model_name", "RealESRGAN_x4.pth")
    )


class Here:
    """What is offered: these workflows, each on servers with these checkpoints."""

    def __init__(self, *names: str, servers: Sequence[Definitions] = (), **more: Workflow) -> None:
        self.workflows: Mapping[str, Workflow] = {name: SHIPPED[name] for name in names} | more
        self.servers = list(servers)

    def able_definitions(self, name: str) -> Sequence[Definitions]:
        return self.servers if name in self.workflows else []


BOTH = checkpoints("dreamscapeXL-v2.safetensors", "ink/night_ink.ckpt")


def planner(here: Here, **defaults: str) -> TaskPlanner:
    return TaskPlanner(TaskModels(here, DefaultModels(**defaults)), INCLUDED)


def labels(here: Here, task: Task = "imagine", typed: str = "") -> list[str]:
    return TaskModels(here).suggest(task, typed, ANN, 25)


def planned(here: Here, task: Task = "imagine", **given: object) -> CreateJob:
    request = TaskRequest(task=task, **given)  # pyright: ignore[reportArgumentType]
    return planner(here).plan(request, ANN)


def refusal(here: Here, task: Task = "imagine", **given: object) -> str:
    with pytest.raises(WorkflowError) as refused:
        planned(here, task, **given)
    return reason_text(refused.value.reason)


def test_every_task_has_options_and_a_command_is_for_a_task() -> None:
    assert OPTIONS.keys() == set(TASKS) >= set(TASK_COMMANDS)


def test_models_are_workflows_and_the_checkpoints_of_those_that_take_any() -> None:
    here = Here("flux", "txt2img", "z-image", "grid", servers=[BOTH])
    assert labels(here) == ["DreamscapeXL v2", "Z-Image turbo", "Flux", "Night ink"]
    assert labels(here, typed="ink") == ["Night ink"]
    assert labels(here, typed="dream v2") == ["DreamscapeXL v2"]
    assert labels(here, typed="nothing") == []


def test_the_models_of_all_servers_that_may_be_used_are_offered_and_of_no_other() -> None:
    here = Here("txt2img", servers=[checkpoints("a.safetensors"), checkpoints("b.safetensors", "a.safetensors")])
    assert labels(here) == ["A", "B"]
    here.servers.pop()
    assert labels(here) == ["A"], "a server that is gone takes its models along"


def test_without_a_server_that_answered_a_workflow_has_its_own_name() -> None:
    assert labels(Here("txt2img")) == ["Text to image"]
    assert planned(Here("txt2img"), model="Text to image").values == {}


def test_the_files_of_several_workflows_are_told_apart_by_their_titles() -> None:
    own, same = replace(SHIPPED["txt2img"], name="own", title="Own"), replace(SHIPPED["txt2img"], name="same")
    here = Here("txt2img", servers=[checkpoints("a.safetensors", "x/a.safetensors")], own=own, same=same)
    assert sorted(labels(here)) == [
        "Own: A",
        "Own: A (x/a.safetensors)",
        "Text to image: A",
        "Text to image: A (2)",
        "Text to image: A (a.safetensors)",
        "Text to image: A (x/a.safetensors)",
    ]


def test_a_manifests_choices_are_models_as_far_as_a_server_has_them() -> None:
    slot = Slot(
        name="model",
        title="Model",
        kind="model",
        targets=(Target(NodeId("1"), "ckpt_name"),),
        default="a.safetensors",
        choices=("b.safetensors", "gone.safetensors"),
    )
    own = replace(SHIPPED["txt2img"], name="own", title="Own", slots=(slot,))
    assert labels(Here(servers=[checkpoints("a.safetensors", "b.safetensors", "c.safetensors")], own=own)) == [
        "Own",
        "Own: B",
    ]


@pytest.mark.parametrize("name", ["Night ink", "night  INK", "ink/night_ink.ckpt", "night"])
def test_a_model_is_found_by_what_people_would_write(name: str) -> None:
    job = planned(Here("txt2img", "flux", servers=[BOTH]), model=name, values={"prompt": "a cat"})
    assert (job.workflow, job.values) == ("txt2img", {"prompt": "a cat", "checkpoint": "ink/night_ink.ckpt"})


def test_a_workflow_is_found_by_its_title_name_or_command() -> None:
    here = Here("txt2img", "z-image", servers=[BOTH])
    assert {planned(here, model=name).workflow for name in ("Z-Image turbo", "z-image", "zimage")} == {"z-image"}


def test_a_model_that_disappeared_is_one_sentence_that_names_one_that_is_there() -> None:
    here = Here("txt2img", servers=[BOTH])
    assert refusal(here, model="Nigt ink") == "There is no model “Nigt ink” here now; did you mean “Night ink”?"
    assert "choose from DreamscapeXL v2, Night ink" in refusal(here, model="Zzz")
    assert refusal(Here()) == "No model for “imagine” is available now. Ask the people who run this bot."


def test_the_default_is_the_first_included_one_or_the_operators_choice() -> None:
    here = Here("flux", "z-image", servers=[BOTH])
    assert planned(here).workflow == "z-image"
    assert planner(here, imagine="Flux").plan(TaskRequest(task="imagine"), ANN).workflow == "flux"
    assert planner(here, imagine="gone").plan(TaskRequest(task="imagine"), ANN).workflow == "z-image"


def test_a_default_checkpoint_gives_way_to_what_a_person_saved() -> None:
    here = Here("txt2img", servers=[BOTH])
    assert planned(here).values == {}, "the server's first, or the person's own"
    job = planner(here, imagine="Night ink").plan(TaskRequest(task="imagine"), ANN)
    assert (job.values, job.defaults) == ({}, {"checkpoint": "ink/night_ink.ckpt", "count": 4})


def test_who_may_not_use_a_workflow_is_not_offered_its_models() -> None:
    own = replace(SHIPPED["z-image"], name="own", title="Own", users=("2",))
    here = Here("flux", own=own)
    assert labels(here) == ["Flux"]
    assert TaskModels(here).suggest("imagine", "", Person(user="2"), 25) == ["Flux", "Own"]
    assert "no model “Own”" in refusal(here, model="Own")


def test_four_pictures_are_made_where_one_takes_little_time() -> None:
    here = Here("txt2img", "flux", servers=[BOTH])
    assert planned(here).defaults == {"count": 4}
    assert planned(here, model="Flux").defaults == {}, "20 seconds are expected for one"
    speeds = Speeds()
    run = Run(job=JobId("j"), person="1", workflow="flux", server=ServerName("a"), work=20.0, seconds=6.0)
    speeds.learn([run])
    fast = TaskPlanner(TaskModels(here), {}, speeds.seconds)
    assert fast.plan(TaskRequest(task="imagine", model="Flux"), ANN).defaults == {"count": 4}
    speeds.learn([])
    assert fast.plan(TaskRequest(task="imagine", model="Flux"), ANN).defaults == {}


def test_a_format_becomes_the_size_of_the_model() -> None:
    here = Here("txt2img", "flux", servers=[BOTH])
    job = planned(here, model="DreamscapeXL v2", format="16:9")
    assert (job.values["width"], job.values["height"]) == (1344, 768)
    assert planned(here, format="16:9").values == {"width": 1024, "height": 576}
    assert refusal(here, format="2:1") == "There is no format “2:1”. Choose one of 1:1, 3:4, 4:3, 9:16, 16:9."


@pytest.mark.parametrize(
    ("given", "option"),
    [({"format": "1:1"}, "format"), ({"values": {"negative": "fog"}}, "negative"), ({"values": {"count": 2}}, "count")],
)
def test_an_option_that_the_model_lacks_is_one_sentence_with_those_that_it_has(
    given: dict[str, object], option: str
) -> None:
    told = refusal(Here("kontext"), "edit", files=(PICTURE,), **given)
    assert told == f"“Edit by words” has no option “{option}”. It has image, prompt, model, seed, preset."


def test_one_picture_may_be_asked_of_a_model_that_always_makes_one() -> None:
    assert planned(Here("kontext"), "edit", files=(PICTURE,), values={"count": 1}).values == {}


def test_a_default_of_the_operator_that_is_no_model_is_told() -> None:
    here = Here("txt2img", servers=[BOTH])
    models = TaskModels(here, DefaultModels(imagine="Nigt ink", edit="", film="ltx"))
    assert [reason_text(reason) for reason in models.unknown_defaults()] == [
        "There is no model “Nigt ink” here now; did you mean “Night ink”?",
        "There is no model “ltx” here now.",
    ]


def test_the_lists_are_brought_up_to_date_only_while_people_choose() -> None:
    models = TaskModels(Here("txt2img", servers=[BOTH]))
    models.prepare()
    assert [models.were_asked(), models.were_asked()] == [True, False], "once at the start"
    models.suggest("imagine", "x", ANN, 5)
    assert [models.were_asked(), models.were_asked()] == [True, False]


def test_a_preset_adds_to_the_prompt_and_only_sets_what_the_model_has() -> None:
    here = Here("txt2img", "flux", servers=[BOTH])
    presets = available({"ink": Preset(suffix="ink", negative="colour", format="3:4", values={"steps": 9, "odd": 1})})
    plan = TaskPlanner(TaskModels(here), presets)
    values: dict[str, Json] = {"prompt": "a cat,", "negative": "fog"}
    job = plan.plan(TaskRequest(task="imagine", preset="ink", values=values), ANN)
    assert job.values == {
        "prompt": "a cat, ink",
        "negative": "fog, colour",
        "steps": 9,
        "width": 640,
        "height": 896,
    }
    flux = plan.plan(TaskRequest(task="imagine", model="flux", preset="ink", values={"prompt": "a cat"}), ANN)
    assert "negative" not in flux.values
    assert plan.plan(TaskRequest(task="imagine", preset="ink", format="1:1"), ANN).values["width"] == 768


def test_a_models_own_preset_can_be_named_too_and_an_unknown_one_is_one_sentence() -> None:
    here = Here("txt2img", "flux", servers=[BOTH])
    assert planned(here, model="flux", preset="wide").preset == "wide"
    assert "no preset “wide” for this model" in refusal(here, preset="wide")
    assert planner(here).presets_of("imagine", ANN) == [*INCLUDED, "quick", "wide", "tall"]


def test_an_empty_preset_of_the_operator_removes_the_included_one() -> None:
    assert available({"photo": Preset()}).keys() == INCLUDED.keys() - {"photo"}


def test_a_picture_is_the_start_where_the_model_can() -> None:
    here = Here("txt2img", "flux", "img2img", "kontext", servers=[BOTH])
    job = planned(here, model="Night ink", files=(PICTURE,), values={"prompt": "in oil"})
    assert (job.workflow, job.files[0].slot) == ("img2img", "image")
    assert job.values == {"prompt": "in oil", "checkpoint": "ink/night_ink.ckpt"}
    assert (planned(here, files=(PICTURE,)).workflow, planned(here, files=(PICTURE,)).values) == ("img2img", {})
    told = refusal(here, model="Flux", files=(PICTURE,))
    assert told == "“Flux” cannot start from a picture. Choose DreamscapeXL v2, Night ink, or use /edit."
    assert "no option “format”" in refusal(here, format="1:1", files=(PICTURE,))


def test_a_picture_goes_to_the_editing_model_if_no_other_can_start_from_it() -> None:
    assert planned(Here("flux", "kontext"), files=(PICTURE,)).workflow == "kontext"
    assert refusal(Here("flux", "kontext"), model="Flux", files=(PICTURE,)).endswith("Use /edit instead.")


def test_the_models_of_upscaling_are_the_upscalers_and_the_picture_may_have_any_name() -> None:
    slot = Slot(name="photo", title="Photo", kind="image", targets=(Target(NodeId("1"), "image"),))
    own = replace(SHIPPED["upscale"], name="own", title="Own", slots=(slot,))
    here = Here("upscale", servers=[BOTH], own=own)
    assert labels(here, "upscale") == ["RealESRGAN x4", "Own"]
    job = planned(here, "upscale", model="Own", files=(PICTURE,))
    assert [file.slot for file in job.files] == ["photo"]
    assert planned(here, "upscale", files=(PICTURE,), values={"factor": 3.0}).values == {"factor": 3.0}
