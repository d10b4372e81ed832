"""Sizes for formats: near what a model was made for, and within its limits."""

from __future__ import annotations

import pytest

from app.config.settings import FORMATS
from app.ports import Graph
from app.service.tasks.formats import sized
from app.workflows.load import Workflow, load
from app.workflows.model import Slot, Target
from tests.workflows.test_shipped import FOLDER

NODE = Target("1", "width"), Target("1", "height")  # pyright: ignore[reportArgumentType]


def made(**slot: float | str | None) -> Workflow:
    """A workflow for pictures of 1024 by 1024 pixels, with one slot for the size."""
    graph: Graph = {"1": {"class_type": "Size", "inputs": {"width": 1024, "height": 1024}}}
    size = Slot(name="size", title="Size", kind="size", targets=NODE, **slot)  # pyright: ignore[reportArgumentType]
    return Workflow(name="w", graph=graph, slots=(size,))


def sizes(workflow: str, model: str = "") -> list[tuple[object, object]]:
    loaded = load(FOLDER, workflow)
    found = [sized(loaded, name, model) or {} for name in FORMATS]
    return [(size["width"], size["height"]) for size in found]


def test_sdxl_gets_the_sizes_that_it_was_trained_with_and_sd15_smaller_ones() -> None:
    native = [(1024, 1024), (896, 1152), (1152, 896), (768, 1344), (1344, 768)]
    assert sizes("txt2img", "dreamscapeXL-v2.safetensors") == sizes("flux") == native
    assert sizes("txt2img", "v1-5-pruned.safetensors") == [(512, 512), (448, 576), (576, 448), (384, 704), (704, 384)]
    assert sizes("txt2img") == [(768, 768), (640, 896), (896, 640), (576, 1024), (1024, 576)]


def test_a_video_keeps_the_number_of_pixels_that_it_has_by_itself() -> None:
    assert sizes("animate")[-1] == (832, 480)
    assert sizes("animate")[-2] == (480, 832)


def test_a_size_in_one_slot_is_a_text_and_stays_within_its_limits() -> None:
    assert sized(made(), "16:9") == {"size": "1344x768"}
    assert sized(made(default="512x512"), "1:1") == {"size": "512x512"}
    assert sized(made(maximum=1024), "16:9") == {"size": "1024x576"}
    assert sized(made(minimum=1024), "16:9") is None
    assert sized(made(step=28), "1:1") == {"size": "1036x1036"}


@pytest.mark.parametrize("name", ["kontext", "upscale", "describe"])
def test_a_workflow_without_a_size_has_no_format(name: str) -> None:
    assert sized(load(FOLDER, name), "1:1") is None
