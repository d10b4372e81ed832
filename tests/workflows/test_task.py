"""What a workflow is for, if its manifest does not say so."""

from __future__ import annotations

import pytest

from app.ports import Graph
from app.workflows.model import Kind, Slot
from app.workflows.task import task_of

PROMPT, ASKED = "prompt:text", "prompt:text!"
PICTURE, PICTURES, RECORDING = "image:image!", "more:image!", "voice:audio!"


def slots(*described: str) -> list[Slot]:
    """Slots such as `image:image!`: a name, a kind, and ! if it is required."""
    kinds: dict[str, Kind] = {"text": "text", "image": "image", "audio": "audio", "video": "video", "lora": "lora"}
    made: list[Slot] = []
    for text in described:
        name, kind = text.removesuffix("!").split(":")
        made.append(Slot(name=name, title=name, kind=kinds[kind], targets=(), required=text.endswith("!")))
    return made


@pytest.mark.parametrize(
    ("result", "given", "task"),
    [
        ("image", (ASKED,), "imagine"),
        ("image", ("style:lora",), ""),
        ("image", (ASKED, PICTURE), "edit"),
        ("image", (ASKED, PICTURE, PICTURES), "edit"),
        ("image", (ASKED, PICTURE, RECORDING), ""),
        ("image", (PICTURE,), ""),
        ("video", (ASKED,), "film"),
        ("video", (PROMPT, PICTURE), "animate"),
        ("video", (PROMPT, PICTURE, RECORDING), ""),
        ("text", (PROMPT, PICTURE), "describe"),
        ("text", (ASKED,), ""),
        ("audio", (ASKED,), "sound"),
        ("audio", (ASKED, RECORDING), ""),
        ("", (ASKED,), ""),
    ],
)
def test_it_is_what_the_result_is_made_from(result: str, given: tuple[str, ...], task: str) -> None:
    assert task_of({}, result, slots(*given)) == task


def test_a_picture_made_larger_is_upscaled_and_a_3d_model_is_sculpted() -> None:
    enlarging: Graph = {"1": {"class_type": "ImageUpscaleWithModel", "inputs": {}}}
    modelling: Graph = {"1": {"class_type": "SaveGLB", "inputs": {}}}
    assert task_of(enlarging, "image", slots(PICTURE)) == "upscale"
    assert task_of(modelling, "", slots(PICTURE)) == "sculpt"
