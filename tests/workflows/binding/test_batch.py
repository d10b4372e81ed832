"""Requests for several pictures become several requests for one, where each picture can be made alone."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.core.jobs.batches import requests_of
from app.core.jobs.job import JobRequest
from app.events import JobId
from app.ports import Json
from app.workflows.api_graph import inputs
from app.workflows.binding.batch import MOST, as_batch
from app.workflows.binding.bind import bind
from app.workflows.load import Workflow, load
from app.workflows.model import LARGEST_SEED
from tests.workflows.test_workflows import FOLDER


def bound(workflow: Workflow, tmp_path: Path, **values: Json) -> JobRequest:
    """A request for this workflow."""
    for slot in workflow.slots:
        if slot.kind == "image" and slot.required:
            photo = tmp_path / "photo.png"
            photo.write_bytes(b"photo")
            values[slot.name] = str(photo)
    request = bind(workflow, JobId("job"), values, rng=random.Random(1), folder=".")
    return as_batch(request, workflow.slots)


@pytest.mark.parametrize("name", ["flux", "hidream", "img2img", "qwen-image", "txt2img", "z-image"])
def test_every_shipped_workflow_with_a_count_makes_its_pictures_one_by_one(name: str, tmp_path: Path) -> None:
    workflow = load(FOLDER, name)
    request = bound(workflow, tmp_path, prompt="a cat", count=3, seed=5)
    assert request.batch is not None
    graphs = [each.graph for each in requests_of(request)]
    (count,) = next(slot.targets for slot in workflow.slots if slot.name == "count")
    (seed, *_) = next(slot.targets for slot in workflow.slots if slot.kind == "seed")
    assert [inputs(graph, count.node)[count.input] for graph in graphs] == [1, 1, 1]
    assert [inputs(graph, seed.node)[seed.input] for graph in graphs] == [5, 6, 7]
    assert request.values["count"] == 3, "what was asked for is kept, to be asked for again"


def test_one_picture_is_no_batch(tmp_path: Path) -> None:
    assert bound(load(FOLDER, "txt2img"), tmp_path, prompt="a cat", count=1).batch is None


def test_pictures_that_another_node_puts_together_are_made_together(tmp_path: Path) -> None:
    workflow = load(FOLDER, "txt2img")
    request = bind(workflow, JobId("job"), {"prompt": "a cat", "count": 3}, rng=random.Random(1), folder=".")
    decode = next(node for node, entry in request.graph.items() if entry["class_type"] == "VAEDecode")
    graph = {**request.graph, "grid": {"class_type": "ImageGrid", "inputs": {"images": [decode, 0]}}}
    assert as_batch(replace(request, graph=graph), workflow.slots).batch is None


def test_seeds_stay_below_the_largest_one(tmp_path: Path) -> None:
    workflow = load(FOLDER, "txt2img")
    assert bound(workflow, tmp_path, prompt="a cat", count=2, seed=LARGEST_SEED).batch is None


def test_a_very_large_count_is_left_to_one_server(tmp_path: Path) -> None:
    workflow = load(FOLDER, "txt2img")
    slots = tuple(replace(slot, maximum=None) if slot.name == "count" else slot for slot in workflow.slots)
    request = bound(replace(workflow, slots=slots), tmp_path, prompt="a cat", count=MOST + 1)
    assert request.batch is None
