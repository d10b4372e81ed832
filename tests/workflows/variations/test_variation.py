"""A picture is varied or extended by the graph that made it, or a reason says why not."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from msgspec.structs import replace
from PIL import Image

from app.events import Finished, JobId
from app.ports import Graph, Json
from app.simulator.version import V0_33_0
from app.workflows.api_graph import copied, inputs
from app.workflows.load import list_names, load
from app.workflows.model import WorkflowError
from app.workflows.variations.derive import STRENGTHS, Change, Derived, can_be, derive, varied
from app.workflows.variations.extension import Extension, extended
from app.workflows.variations.picture_source import only_enlarges
from tests.refusals import refusal_of, refused
from tests.workflows import server_rules
from tests.workflows.templates import FOREIGN, converted, convertible, definitions, every_template, object_info
from tests.workflows.test_shipped import filled, models
from tests.workflows.test_workflows import FOLDER
from tests.world import Watcher, world

EXTENSIONS: tuple[Extension, ...] = get_args(Extension)
CHANGES: tuple[Change, ...] = (*STRENGTHS, *EXTENSIONS)

VARIED = {
    *("flux", "flux-2", "flux-4k", "hidream", "img2img", "kontext", "qwen-edit", "qwen-edit-2", "qwen-edit-2511"),
    *("qwen-edit-3", "qwen-image", "txt2img", "upscale-refine", "z-image"),
}
"""The shipped workflows whose pictures can be varied."""

EXTENDED = {"flux", "flux-2", "flux-4k", "hidream", "qwen-image", "txt2img", "z-image"}
"""Those whose pictures can be extended by themselves: the size at which they are sampled is known."""


def shipped(name: str) -> Graph:
    return copied(load(FOLDER, name).graph)


def kinds(graph: Graph) -> list[str]:
    return [str(entry["class_type"]) for entry in graph.values()]


def node_of(graph: Graph, kind: str) -> dict[str, Json]:
    (node,) = (node for node, entry in graph.items() if entry["class_type"] == kind)
    return inputs(graph, node)


def without_name(derived: Derived) -> Graph:
    """The graph as the server gets it, but for the name of the picture."""
    graph = copied(derived.graph)
    inputs(graph, derived.picture.node)[derived.picture.input] = "picture.png"
    return graph


def derived_or_refused(graph: Graph, change: Change) -> Derived | str:
    """What is derived from a graph, or the sentence why nothing is."""
    try:
        return derive(graph, change, definitions())
    except WorkflowError as error:
        return refusal_of(error)


def test_the_pictures_of_these_shipped_workflows_can_be_varied() -> None:
    graphs = {name: shipped(name) for name in list_names(FOLDER)}
    assert {name for name, graph in graphs.items() if can_be(graph, "subtle", definitions())} == VARIED
    assert {name for name, graph in graphs.items() if can_be(graph, "strong")} == VARIED, "without definitions"
    for extension in EXTENSIONS:
        assert {name for name, graph in graphs.items() if can_be(graph, extension, definitions())} == EXTENDED


@pytest.mark.parametrize("change", CHANGES)
def test_the_server_accepts_what_is_derived_from_any_template(change: Change) -> None:
    for name in convertible():
        derived = derived_or_refused(converted(name).graph, change)
        if isinstance(derived, str):
            assert derived.endswith("."), name
        else:
            assert server_rules.verdicts(without_name(derived), object_info()) == [], name


@pytest.mark.skipif(not os.environ.get("CI"), reason="converts all 506 templates")
def test_so_many_templates_can_be_varied_and_extended() -> None:
    graphs = [converted(name).graph for name in every_template() if name not in FOREIGN]
    assert sum(can_be(graph, "subtle", definitions()) for graph in graphs) == 87
    assert sum(can_be(graph, "zoom", definitions()) for graph in graphs) == 41


@pytest.mark.parametrize("name", sorted(VARIED))
@pytest.mark.parametrize("change", CHANGES)
def test_the_server_accepts_what_is_derived_from_a_shipped_workflow_and_again_from_that(
    name: str, change: Change
) -> None:
    derived = derived_or_refused(shipped(name), change)
    if isinstance(derived, str):
        assert name not in EXTENDED
        return
    if name != "flux-4k":
        # One of its nodes is not ComfyUI's own.
        assert server_rules.verdicts(without_name(derived), object_info()) == []
    for again in STRENGTHS:
        assert can_be(derived.graph, again, definitions())
    if name in EXTENDED:
        assert all(can_be(derived.graph, again, definitions()) for again in EXTENSIONS)


@pytest.mark.parametrize("name", sorted(VARIED))
def test_a_variation_of_a_variation_has_only_the_latest_strength(name: str) -> None:
    graph = shipped(name)
    pairs: tuple[tuple[Change, Change], ...] = (("subtle", "strong"), ("strong", "subtle"))
    for first, second in pairs:
        assert derive(derive(graph, first).graph, second).graph == derive(graph, second).graph


def test_the_sampler_starts_from_the_picture_in_its_own_size() -> None:
    graph = shipped("txt2img")
    derived = derive(graph, "subtle")
    assert "EmptyLatentImage" not in kinds(derived.graph)
    sampler = node_of(derived.graph, "KSampler")
    assert sampler["denoise"] == STRENGTHS["subtle"] < STRENGTHS["strong"] < 1
    encoded = node_of(derived.graph, "VAEEncode")
    assert encoded["vae"] == node_of(graph, "VAEDecode")["vae"]
    scaled, size = node_of(derived.graph, "ImageScale"), node_of(graph, "EmptyLatentImage")
    assert (scaled["width"], scaled["height"]) == (size["width"], size["height"])
    assert graph == shipped("txt2img"), "the graph itself does not change"


def test_a_schedule_without_a_strength_is_split() -> None:
    graph = derive(shipped("flux-2"), "strong").graph
    assert node_of(graph, "SplitSigmasDenoise")["denoise"] == STRENGTHS["strong"]
    assert node_of(graph, "SamplerCustomAdvanced")["sigmas"] == ["vary_sigmas", 1]
    assert "SplitSigmasDenoise" not in kinds(derive(graph, "zoom").graph), "what is new is sampled as a whole"


def with_schedule() -> Graph:
    graph = shipped("flux-2")
    for node, entry in graph.items():
        if entry["class_type"] == "Flux2Scheduler":
            model: list[Json] = ["1", 0]
            graph[node] = {
                "class_type": "BasicScheduler",
                "inputs": {"model": model, "scheduler": "simple", "steps": 20, "denoise": 1.0},
            }
    return graph


def test_a_schedule_with_a_strength_gets_it() -> None:
    graph = derive(with_schedule(), "subtle").graph
    assert node_of(graph, "BasicScheduler")["denoise"] == STRENGTHS["subtle"]
    assert "SplitSigmasDenoise" not in kinds(graph)


def in_two_stages(between: str, **settings: Json) -> Graph:
    """The text to image workflow with a second sampler that improves a larger latent."""
    graph = shipped("txt2img")
    (sampler,) = (node for node, entry in graph.items() if entry["class_type"] == "KSampler")
    larger: dict[str, Json] = {"samples": [sampler, 0], **settings}
    graph["larger"] = {"class_type": between, "inputs": larger}
    second: dict[str, Json] = {**inputs(graph, sampler), "latent_image": ["larger", 0], "denoise": 0.5}
    graph["second"] = {"class_type": "KSampler", "inputs": second}
    node_of(graph, "VAEDecode")["samples"] = ["second", 0]
    return graph


def test_of_two_samplers_the_second_one_starts_from_the_picture() -> None:
    graph = derive(in_two_stages("LatentUpscaleBy", upscale_method="bislerp", scale_by=1.5), "subtle").graph
    assert kinds(graph).count("KSampler") == 1
    assert "ImageScale" not in kinds(graph), "the picture has its size already"
    graph = derive(in_two_stages("LatentUpscale", upscale_method="area", width=1024, height=832), "zoom").graph
    padded = node_of(graph, "ImagePadForOutpaint")
    scaled = node_of(graph, "ImageScale")
    assert sum(int(str(padded[side])) for side in ("left", "right")) + int(str(scaled["width"])) == 1024
    assert sum(int(str(padded[side])) for side in ("top", "bottom")) + int(str(scaled["height"])) == 832


def test_a_picture_that_was_enlarged_after_it_was_made_is_scaled_back() -> None:
    graph = shipped("txt2img")
    saver = node_of(graph, "SaveImage")
    graph["larger"] = {"class_type": "ImageScaleBy", "inputs": {"image": saver["images"], "scale_by": 2.0}}
    saver["images"] = ["larger", 0]
    derived = derive(graph, "subtle").graph
    assert node_of(derived, "ImageScale")["width"] == node_of(graph, "EmptyLatentImage")["width"]
    graph = in_two_stages("LatentUpscaleBy", upscale_method="bislerp", scale_by=1.5)
    saver = node_of(graph, "SaveImage")
    graph["finer"] = {"class_type": "ImageScaleBy", "inputs": {"image": saver["images"], "scale_by": 2.0}}
    saver["images"] = ["finer", 0]
    with refused("size at which this picture was made is not known"):
        derive(graph, "subtle")


def in_parts(*parts: tuple[int, int, str, str]) -> Graph:
    """The text to image workflow with a sampler for each part of its 20 steps: start, end, adds noise, leaves noise."""
    graph = shipped("txt2img")
    (one,) = (node for node, entry in graph.items() if entry["class_type"] == "KSampler")
    settings = {name: value for name, value in inputs(graph, one).items() if name not in {"seed", "denoise"}}
    del graph[one]
    latent = settings["latent_image"]
    for number, (start, end, adds, leaves) in enumerate(parts):
        steps: dict[str, Json] = {"steps": 20, "start_at_step": start, "end_at_step": end}
        noise: dict[str, Json] = {"add_noise": adds, "return_with_leftover_noise": leaves, "noise_seed": 7}
        sampler: dict[str, Json] = {**settings, **steps, **noise, "latent_image": latent}
        graph[f"part{number}"] = {"class_type": "KSamplerAdvanced", "inputs": sampler}
        link: list[Json] = [f"part{number}", 0]
        latent = link
    node_of(graph, "VAEDecode")["samples"] = latent
    return graph


def test_the_later_start_of_an_advanced_sampler_is_its_strength() -> None:
    graph = derive(in_parts((0, 10_000, "enable", "disable")), "subtle").graph
    assert node_of(graph, "KSamplerAdvanced")["start_at_step"] == 12
    assert server_rules.verdicts(graph, object_info()) == []


def test_of_samplers_that_share_the_steps_the_first_one_starts_from_the_picture() -> None:
    graph = in_parts((0, 16, "enable", "enable"), (16, 10_000, "disable", "disable"))
    derived = derive(graph, "strong").graph
    assert inputs(derived, "part0")["start_at_step"] == 6
    assert inputs(derived, "part0")["latent_image"] == ["vary_encoded", 0]
    assert inputs(derived, "part1") == inputs(graph, "part1")
    assert server_rules.verdicts(derived, object_info()) == []
    early = in_parts((0, 8, "enable", "enable"), (8, 10_000, "disable", "disable"))
    with refused("It cannot be set how much"):
        derive(early, "subtle")


@pytest.mark.parametrize(
    "graph",
    [
        in_parts((0, 10_000, "enable", "enable")),
        in_parts((0, 10_000, "disable", "disable")),
        in_parts((0, 8, "enable", "disable"), (8, 10_000, "disable", "disable")),
    ],
)
def test_steps_that_nobody_begins_or_ends_are_refused(graph: Graph) -> None:
    with refused("Samplers share the steps of this workflow in an unusual way"):
        derive(graph, "subtle")


def test_a_damaged_graph_is_varied_or_refused_with_a_sentence() -> None:
    random, outcomes = Random(19), Counter[bool]()
    graphs = [shipped("txt2img"), with_schedule(), in_parts((0, 9, "enable", "enable"), (9, 99, "disable", "disable"))]
    for _ in range(3000):
        graph = copied(random.choice(graphs))
        for _ in range(random.randint(1, 3)):
            node_inputs = inputs(graph, random.choice(list(graph)))
            name = random.choice([*node_inputs, "width"])
            link: list[Json] = [random.choice(list(graph)), random.randint(-1, 3)]
            node_inputs[name] = random.choice([link, link, [], [link], {}, None, True, 0, -7, 1e300, "disable", ""])
            if random.random() < 0.2:
                del graph[random.choice(list(graph))]
        if not graph:
            continue
        derived = derived_or_refused(graph, random.choice(CHANGES))
        outcomes[isinstance(derived, str)] += 1
    assert min(outcomes[True], outcomes[False]) > 100, outcomes


def test_a_chain_of_loras_stays() -> None:
    graph = shipped("flux")
    sampler = node_of(graph, "KSampler")
    lora: dict[str, Json] = {"lora_name": "ink.safetensors", "strength_model": 0.8, "model": sampler["model"]}
    graph["lora"] = {"class_type": "LoraLoaderModelOnly", "inputs": lora}
    sampler["model"] = ["lora", 0]
    assert node_of(derive(graph, "strong").graph, "KSampler")["model"] == ["lora", 0]
    derived = derive(graph, "zoom").graph
    assert node_of(derived, "DifferentialDiffusion")["model"] == ["lora", 0]
    assert node_of(derive(derived, "left").graph, "DifferentialDiffusion")["model"] == ["lora", 0]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("grid", "saves its results in 2 places"),
        ("ltx", "saves its results in 1 places|saves no picture"),
        ("music", "saves no picture"),
        ("hunyuan-3d", "saves no picture"),
        ("describe", "saves no picture"),
        ("upscale", "changes the picture after it was made"),
        ("inpaint", "cannot start from a picture"),
        ("outpaint", "cannot start from a picture"),
        ("hidream-o1", "cannot start from a picture"),
    ],
)
def test_a_graph_that_is_not_understood_is_refused(name: str, sentence: str) -> None:
    with refused(sentence):
        derive(shipped(name), "subtle", definitions())


def test_a_graph_that_goes_round_in_circles_is_refused() -> None:
    graph = in_two_stages("LatentUpscaleBy", upscale_method="bislerp", scale_by=1.5)
    inputs(graph, "larger")["samples"] = ["second", 0]
    with refused("cannot start from a picture"):
        derive(graph, "subtle")
    del inputs(graph, "second")["latent_image"]
    with refused("cannot start from a picture"):
        derive(graph, "subtle")


def test_scalers_that_go_round_in_circles_are_refused() -> None:
    graph = shipped("txt2img")
    graph["larger"] = {"class_type": "ImageScaleBy", "inputs": {"image": ["larger", 0], "scale_by": 2.0}}
    node_of(graph, "SaveImage")["images"] = ["larger", 0]
    assert not only_enlarges(graph)
    with refused("changes the picture after it was made"):
        derive(graph, "subtle")


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize(("width", "height"), [(512, 512), (768, 1344), (1000, 600), (4096, 4096), (72, 4000), (1, 1)])
def test_what_is_added_fits_the_steps_of_every_node(extension: Extension, width: int, height: int) -> None:
    frame = extended(extension, width, height)
    assert all(side % 8 == 0 for side in (frame.left, frame.right, frame.top, frame.bottom))
    assert all(side % 16 == 0 and side >= 64 for side in frame.whole)
    added = {"left": frame.left, "right": frame.right, "up": frame.top, "down": frame.bottom}
    if extension == "zoom":
        assert max(abs(frame.whole[0] - max(64, width)), abs(frame.whole[1] - max(64, height))) <= 8
    else:
        assert [side for side, pixels in added.items() if pixels] == [extension]
        assert max(frame.whole) <= 2048 + 32


@pytest.fixture
def anyio_backend() -> str:
    """One is enough: what a graph makes does not depend on it."""
    return "trio"


@pytest.mark.anyio
async def test_what_is_derived_from_a_shipped_workflow_runs_to_a_picture_of_its_size(tmp_path: Path) -> None:
    picture = tmp_path / "made.png"
    Image.new("RGB", (320, 256), "teal").save(picture)
    async with world(tmp_path, version=V0_33_0, steps=2, step_time=0.0, any_node=True, models=models()) as running:
        # Pictures of the one left out are large, and take a second each.
        for name in sorted(VARIED - {"flux-4k"}):
            workflow = load(FOLDER, name)
            small = {"width": 320, "height": 256}
            values: dict[str, Json] = {slot.name: small[slot.name] for slot in workflow.slots if slot.name in small}
            request = filled(workflow, tmp_path, values, definitions())
            changes: tuple[Change, ...] = ("subtle", "left") if name in EXTENDED else ("subtle",)
            for change in changes:
                job, _ = varied(request, change, str(picture), definitions())
                job = replace(job, job=JobId(f"{name} {change}"))
                watcher = Watcher()
                await running.make(job, watcher)
                assert isinstance(watcher.last, Finished), (name, watcher.last)
                with Image.open(watcher.last.files[0]) as made:
                    if name in EXTENDED:
                        width, height = small["width"], small["height"]
                        assert made.size == (width if change == "subtle" else width * 3 // 2, height), name
