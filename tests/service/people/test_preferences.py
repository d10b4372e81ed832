"""One's own settings, and how values are written."""

from __future__ import annotations

import pytest

from app.core.jobs.job import JobRequest
from app.events import JobId, NodeId
from app.ports import Json
from app.service.people.preferences import savable_values, usable_values
from app.service.slot_values import current_value, format_value
from app.workflows.model import Target
from tests.discord.flows import slot, workflow

SIZE = slot("size", "size", targets=(Target(NodeId("1"), "width"), Target(NodeId("1"), "height")))
FLOW = workflow(
    slot("prompt", required=True),
    slot("negative"),
    slot("seed", "seed"),
    slot("image", "image"),
    slot("clip", "video"),
    slot("steps", "integer", minimum=1, maximum=50),
    slot("sampler", "choice", choices=("euler", "heun")),
    SIZE,
)


def test_words_seeds_and_files_are_never_kept() -> None:
    values: dict[str, Json] = {
        "prompt": "a cat",
        "negative": "a dog",
        "seed": 5,
        "image": "/data/a.png",
        "clip": "/data/a.mp4",
        "steps": 7,
        "size": "64x32",
        "gone": 1,
    }
    request = JobRequest(job=JobId("job"), workflow="paint", graph={}, folder="", values=values)
    assert savable_values(request, FLOW) == {"steps": 7, "size": "64x32"}


def test_what_a_workflow_no_longer_takes_is_left_out_and_the_rest_stays() -> None:
    saved: dict[str, Json] = {"steps": 99, "sampler": "gone", "size": "64x32", "old": 1, "prompt": "a cat", "seed": 5}
    assert usable_values(saved, FLOW) == {"size": "64x32"}


@pytest.mark.parametrize(
    ("value", "text"),
    [("64x32", "64x32"), ([64, 32], "64x32"), (None, ""), ([1, 2, 3], ""), (True, "true"), (7, "7"), ({}, "")],
)
def test_values_are_written_as_one_would_type_them(value: Json, text: str) -> None:
    assert format_value(SIZE, value) == text


def test_what_stands_in_a_graph_is_both_sides_of_a_size_and_no_connection() -> None:
    graph: dict[str, dict[str, Json]] = {"1": {"class_type": "Size", "inputs": {"width": 64, "height": 32}}}
    assert current_value(SIZE, graph) == [64, 32]
    graph["1"]["inputs"] = {"width": ["2", 0], "height": 32}
    assert current_value(SIZE, graph) is None
    assert current_value(slot("width", "integer"), graph) is None
    assert current_value(SIZE, {}) is None
