"""The workflows that come with Atelier: sound, filled with anything that is allowed, and run to a file."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from app.core.jobs.job import JobRequest
from app.discord.ui.menus import menus
from app.discord.ui.options import command
from app.events import Finished, JobId
from app.ports import Graph, Json
from app.service.jobs.follow_ups import SUFFIXES, list_follow_ups
from app.simulator.engine.simulator import Simulator
from app.simulator.media import flac
from app.simulator.version import V0_33_0
from app.workflows.api_graph import inputs
from app.workflows.binding.bind import bind
from app.workflows.load import Workflow, list_names, load
from app.workflows.model import UPLOADED, Slot
from app.workflows.nodes.definitions import Definitions
from app.workflows.offers.audit import audit
from app.workflows.offers.availability import conflicts
from tests.workflows.test_workflows import FOLDER
from tests.world import Watcher, world

NAMES = list_names(FOLDER)
DYPE = Path(__file__).parents[1] / "data" / "nodes" / "dype.json"
"""The one class that is not ComfyUI's own; its description says where it was read."""

MODELS_3D = {"hunyuan-3d"}
"""The workflows that make files for which there is no kind of result."""

AWKWARD = 'a "quoted" {brace} \\ back %date% ]} 🎨\n' + "long " * 350

LOADERS = {
    "CheckpointLoaderSimple": ("checkpoints", ("ckpt_name",)),
    "UNETLoader": ("diffusion_models", ("unet_name",)),
    "CLIPLoader": ("text_encoders", ("clip_name",)),
    "DualCLIPLoader": ("text_encoders", ("clip_name1", "clip_name2")),
    "QuadrupleCLIPLoader": ("text_encoders", ("clip_name1", "clip_name2", "clip_name3", "clip_name4")),
    "VAELoader": ("vae", ("vae_name",)),
    "UpscaleModelLoader": ("upscale_models", ("model_name",)),
    "AudioEncoderLoader": ("audio_encoders", ("audio_encoder_name",)),
    "ImageOnlyCheckpointLoader": ("checkpoints", ("ckpt_name",)),
    "LTXAVTextEncoderLoader": ("text_encoders", ("text_encoder",)),
    "LTXVAudioVAELoader": ("checkpoints", ("ckpt_name",)),
}
"""Which class loads what from where."""


@pytest.fixture(params=NAMES)
def workflow(request: pytest.FixtureRequest) -> Workflow:
    return load(FOLDER, request.param)


@cache
def models() -> dict[str, tuple[str, ...]]:
    """Every model that a shipped workflow names, by folder."""
    files: dict[str, dict[str, None]] = {folder: {} for folder, _ in LOADERS.values()}
    for name in NAMES:
        for folder, file in needed(load(FOLDER, name).graph):
            files[folder][file] = None
    return {folder: tuple(names) for folder, names in files.items()} | {
        "loras": ("ink.safetensors", "film.safetensors")
    }


def needed(graph: Graph) -> Iterator[tuple[str, str]]:
    for node, entry in graph.items():
        folder, fields = LOADERS.get(str(entry["class_type"]), ("", ()))
        yield from ((folder, str(inputs(graph, node)[field])) for field in fields)


def equipped(folder: Path) -> Simulator:
    """A server with all models."""
    return Simulator(folder, version=V0_33_0, any_node=True, models=models())


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    nodes: dict[str, Json] = {**equipped(tmp_path_factory.mktemp("server")).catalog.describe_all()}
    return Definitions(nodes | json.loads(DYPE.read_text()))


def picture(folder: Path) -> str:
    path = folder / "picture.png"
    Image.new("RGB", (96, 64), "teal").save(path)
    return str(path)


def sound(folder: Path) -> str:
    path = folder / "sound.flac"
    path.write_bytes(flac.encode(1.0))
    return str(path)


def extreme_value(slot: Slot, folder: Path, *, largest: bool) -> Json:
    """The least or the most that a slot takes."""
    match slot.kind:
        case "text":
            return AWKWARD if largest else "x"
        case "image":
            return picture(folder)
        case "audio":
            return sound(folder)
        case "lora":
            return "ink:2, film:-1" if largest else ""
        case "integer" | "number" | "seed":
            return slot.maximum if largest else slot.minimum
        case "choice":
            return slot.choices[-1 if largest else 0]
        case _:
            return slot.default


def filled(workflow: Workflow, folder: Path, values: dict[str, Json], definitions: Definitions) -> JobRequest:
    needs = {slot.name: extreme_value(slot, folder, largest=False) for slot in workflow.slots if slot.required}
    job, rng = JobId(workflow.name), random.Random(7)
    return bind(workflow, job, needs | values, rng=rng, folder=str(folder), definitions=definitions)


def test_it_is_sound(workflow: Workflow, definitions: Definitions) -> None:
    assert audit(workflow.graph, workflow.slots, definitions) == []
    assert workflow.notes == ()
    assert workflow.description.endswith(".")
    assert workflow.result or workflow.name in MODELS_3D


def test_it_becomes_a_command_and_its_buttons_lead_somewhere(workflow: Workflow) -> None:
    made = command(workflow)
    assert made.name == workflow.command
    everything = {name: load(FOLDER, name) for name in NAMES}
    follow_up = list_follow_ups(workflow, everything)
    assert len(follow_up) == len(workflow.follow_ups) or not workflow.follow_ups
    assert all(button.slot.kind in UPLOADED for button in follow_up)


def test_together_they_do_not_contradict_each_other() -> None:
    everything = {name: load(FOLDER, name) for name in NAMES}
    assert list(conflicts(list(everything.values()))) == []
    labels = [entry.menu for entry in menus(everything)]
    assert {"Upscale", "Edit…", "Animate…"} <= set(labels)
    assert len(labels) == 5


def test_a_picture_can_be_enlarged_and_then_set_in_motion() -> None:
    everything = {name: load(FOLDER, name) for name in NAMES}
    for maker, follower in (("txt2img", "upscale"), ("upscale", "animate"), ("flux", "kontext")):
        assert follower in {button.workflow for button in list_follow_ups(everything[maker], everything)}


@pytest.mark.parametrize("largest", [False, True])
def test_it_takes_the_extremes_of_every_slot(
    workflow: Workflow, definitions: Definitions, tmp_path: Path, largest: bool
) -> None:
    for slot in workflow.slots:
        request = filled(workflow, tmp_path, {slot.name: extreme_value(slot, tmp_path, largest=largest)}, definitions)
        simulator = equipped(tmp_path)
        for upload in request.uploads:
            (tmp_path / "input").mkdir(exist_ok=True)
            Image.new("RGB", (8, 8)).save(tmp_path / "input" / "there.png")
            inputs(request.graph, upload.node)[upload.input] = "there.png"
        for choice in request.choices:
            loader = str(request.graph[choice.node]["class_type"])
            inputs(request.graph, choice.node)[choice.input] = models()[LOADERS[loader][0]][0]
        status, answer = simulator.submit({"prompt": dict(request.graph)})
        assert status == 200, answer
        assert isinstance(answer, dict)
        assert not answer["node_errors"]
        if slot.kind == "text" and largest:
            assert AWKWARD in (inputs(request.graph, target.node)[target.input] for target in slot.targets)


@pytest.mark.slow
async def test_it_runs_to_a_file_of_its_kind(workflow: Workflow, definitions: Definitions, tmp_path: Path) -> None:
    small: dict[str, float] = {"width": 256, "height": 256, "frames": 5, "factor": 1.0}
    names = {slot.name: slot for slot in workflow.slots}
    values: dict[str, Json] = {
        name: max(value, names[name].minimum or 0) for name, value in small.items() if name in names
    }
    if workflow.name == "flux-4k":
        values |= {"width": 1024, "height": 1024}
    async with world(tmp_path, version=V0_33_0, steps=2, step_time=0.0, any_node=True, models=models()) as running:
        watcher = Watcher()
        await running.make(filled(workflow, tmp_path, values, definitions), watcher)
    assert isinstance(watcher.last, Finished), watcher.last
    assert watcher.last.files or watcher.last.texts
    suffixes = SUFFIXES.get(workflow.result, {".glb"} if workflow.name in MODELS_3D else set())
    assert {Path(file).suffix for file in watcher.last.files} <= suffixes


@pytest.mark.parametrize(("factor", "size"), [(1.0, (96, 64)), (2.0, (192, 128)), (3.5, (336, 224))])
async def test_the_factor_decides_how_large_it_gets(
    factor: float, size: tuple[int, int], definitions: Definitions, tmp_path: Path
) -> None:
    async with world(tmp_path, steps=2, step_time=0.0, any_node=True, models=models()) as running:
        watcher = Watcher()
        await running.make(filled(load(FOLDER, "upscale"), tmp_path, {"factor": factor}, definitions), watcher)
    assert isinstance(watcher.last, Finished)
    with Image.open(watcher.last.files[0]) as large:
        assert large.size == size
