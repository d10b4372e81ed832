"""Workflows as data: the shipped ones, and filling in."""

from __future__ import annotations

import copy
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.jobs.job import FirstChoice, JobRequest, Upload
from app.events import JobId
from app.ports import Json
from app.simulator.engine.simulator import Simulator
from app.workflows.binding.bind import bind
from app.workflows.load import Workflow, list_names, load
from app.workflows.model import LARGEST_SEED
from tests.refusals import refused

FOLDER = Path(__file__).parent.parent.parent / "workflows"
GIVEN: dict[str, dict[str, Json]] = {"txt2img": {"prompt": "x"}, "img2img": {"prompt": "x", "image": __file__}}


def fill(workflow: Workflow, values: Mapping[str, Json], *sets: tuple[str, str]) -> JobRequest:
    return bind(workflow, JobId("job"), values, sets, rng=random.Random(1), folder="out")


def value(request: JobRequest, node: str, name: str) -> Json:
    inputs = request.graph[node]["inputs"]
    assert isinstance(inputs, dict)
    return inputs[name]


def test_the_starters_have_the_commands_that_people_know() -> None:
    assert [load(FOLDER, name).command for name in ("txt2img", "img2img")] == ["txt2img", "remix"]


@pytest.mark.parametrize("name", ["txt2img", "img2img"])
def test_a_shipped_workflow_is_valid_for_a_real_servers_nodes(name: str, tmp_path: Path) -> None:
    simulator = Simulator(tmp_path)
    (tmp_path / "input" / "input.png").write_bytes(b"any")
    request = fill(load(FOLDER, name), GIVEN[name])
    request.graph["1"]["inputs"] = {"ckpt_name": "dreamscape-v1.safetensors"}
    status, answer = simulator.submit({"prompt": {node: dict(entry) for node, entry in request.graph.items()}})
    assert (status, answer) == (200, {**dict(answer), "node_errors": {}})  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_a_workflow_of_an_earlier_folder_replaces_one_of_the_same_name(tmp_path: Path) -> None:
    for name in ("txt2img", "zebra"):
        shutil.copytree(FOLDER / "upscale", tmp_path / name)
    folders = (tmp_path, FOLDER)
    assert list_names(folders) == ["txt2img", "zebra", *(name for name in list_names(FOLDER) if name != "txt2img")]
    assert [load(folders, name).command for name in ("txt2img", "img2img")] == ["enlarge", "remix"]
    with refused(f"no workflow called “nothing” in {tmp_path}"):
        load(folders, "nothing")


def test_texts_become_what_the_node_wants() -> None:
    request = fill(load(FOLDER, "txt2img"), {"prompt": "7", "steps": "8", "cfg": "3"})
    assert (value(request, "2", "text"), value(request, "5", "steps"), value(request, "5", "cfg")) == ("7", 8, 3.0)


def test_without_a_checkpoint_the_servers_first_is_used() -> None:
    assert fill(load(FOLDER, "txt2img"), {"prompt": "x"}).choices == (FirstChoice("1", "ckpt_name"),)  # pyright: ignore[reportArgumentType]
    assert fill(load(FOLDER, "txt2img"), {"prompt": "x", "checkpoint": "a"}).choices == ()


def test_a_picture_is_uploaded_later() -> None:
    request = fill(load(FOLDER, "img2img"), GIVEN["img2img"])
    assert request.uploads == (Upload("4", "image", __file__),)  # pyright: ignore[reportArgumentType]


def test_a_seed_that_is_given_stands_and_zero_is_a_seed() -> None:
    request = fill(load(FOLDER, "txt2img"), {"prompt": "x", "seed": 0})
    assert (request.seed, value(request, "5", "seed")) == (0, 0)


def test_a_seed_that_is_not_given_is_drawn_and_told() -> None:
    request = fill(load(FOLDER, "txt2img"), {"prompt": "x"})
    assert request.seed == value(request, "5", "seed")
    assert request.seed is not None
    assert 0 < request.seed <= LARGEST_SEED


def test_every_seed_of_a_file_without_a_manifest_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "two.json"
    path.write_text(
        '{"1": {"class_type": "KSampler", "inputs": {"seed": 5}},'
        ' "2": {"class_type": "RandomNoise", "inputs": {"noise_seed": 5}},'
        ' "3": {"class_type": "KSampler", "inputs": {"seed": ["2", 0]}}}'
    )
    request = fill(load(FOLDER, str(path)), {})
    assert value(request, "1", "seed") != 5
    assert value(request, "2", "noise_seed") != 5
    assert value(request, "3", "seed") == ["2", 0]
    request = fill(load(FOLDER, str(path)), {}, ("1.seed", "5"))
    assert (value(request, "1", "seed"), request.seed) == (5, 5)


def test_a_node_is_addressed_by_title_class_or_id_and_typed_by_what_stands_there() -> None:
    workflow = load(FOLDER, "txt2img")
    for where in ("Sampler.steps", "KSampler.steps", "5.steps", "sampler.steps"):
        assert value(fill(workflow, {"prompt": "x"}, (where, "9")), "5", "steps") == 9


def test_a_class_that_two_nodes_have_is_ambiguous() -> None:
    with refused("There are 2 nodes called “CLIPTextEncode”: use one of the ids 2, 3"):
        fill(load(FOLDER, "txt2img"), {"prompt": "x"}, ("CLIPTextEncode.text", "y"))


VALUES = st.fixed_dictionaries(
    {"prompt": st.text(min_size=1)}, optional={"steps": st.integers(1, 150), "seed": st.integers(0, 9)}
)


@given(VALUES)
def test_filling_in_never_changes_the_workflow_and_only_declared_inputs_differ(values: dict[str, Json]) -> None:
    workflow = load(FOLDER, "txt2img")
    before = copy.deepcopy(workflow.graph)
    request = fill(workflow, values)
    assert workflow.graph == before
    declared = {(target.node, target.input) for slot in workflow.slots for target in slot.targets}
    for node, entry in request.graph.items():
        inputs, old = entry["inputs"], before[node]["inputs"]
        assert isinstance(inputs, dict)
        assert isinstance(old, dict)
        assert {(node, name) for name in inputs if inputs[name] != old[name]} <= declared
