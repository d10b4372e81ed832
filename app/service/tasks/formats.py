"""Sizes in pixels for the formats that people name, near the number of pixels that a model was made for. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from app.ports import Json
from app.workflows.api_graph import inputs
from app.workflows.load import Workflow
from app.workflows.model import Slot, WorkflowError
from app.workflows.parsing import NotMeant, sides

MULTIPLE = 64
"""Pixels. The sides of the sizes that models were trained with are multiples of it, unless a slot has a step of
`LARGE_STEP` or more."""

LARGE_STEP = 32

SIDES_BY_NAME = ((1024, re.compile(r"xl|pony|illustrious|noob")), (512, re.compile(r"sd.?1|v1.?5|1\.5")))
"""The side of a square that models with such names were made for: a workflow for SD1.5 and SDXL has one default."""


def has_format(workflow: Workflow) -> bool:
    """Whether people can choose the size of what a workflow makes."""
    return _size_slots(workflow) is not None


def sized(workflow: Workflow, name: str, model: str = "") -> dict[str, Json] | None:
    """The values of the size slots for a format such as 16:9; None if it has none, or no size within their limits.

    `model` is the file that is used, "" for the workflow's own.
    """
    slots = _size_slots(workflow)
    across, _, down = name.partition(":")
    if slots is None:
        return None
    width, height = _native(workflow, slots)
    side = next((side for side, known in SIDES_BY_NAME if model and known.search(model.lower())), 0)
    pixels = side * side or width * height
    size = _fitted(slots, pixels, int(across) / int(down))
    if size is None:
        return None
    if len(slots) == 1:
        return {slots[0].name: f"{size[0]}x{size[1]}"}
    return {slot.name: number for slot, number in zip(slots, size, strict=True)}


def _size_slots(workflow: Workflow) -> Sequence[Slot] | None:
    """The slot of a size, or those of width and height."""
    if both := [slot for slot in workflow.slots if slot.kind == "size"]:
        return both[:1]
    named = {slot.name: slot for slot in workflow.slots if slot.kind == "integer"}
    return [named["width"], named["height"]] if {"width", "height"} <= named.keys() else None


def _native(workflow: Workflow, slots: Sequence[Slot]) -> tuple[int, int]:
    """The size that the workflow has by itself."""
    if slots[0].kind == "size" and slots[0].default is not None:
        try:
            width, height = sides(slots[0].default)
        except NotMeant:
            return 1024, 1024
        return width, height
    targets = slots[0].targets[:2] if len(slots) == 1 else [slot.targets[0] for slot in slots]
    present = [inputs(workflow.graph, target.node).get(target.input) for target in targets]
    chosen = [slot.default for slot in slots] if len(slots) == len(present) else [None, None]
    width, height = (
        given if isinstance(given, int) else value if isinstance(value, int) else 1024
        for given, value in zip(chosen, present, strict=True)
    )
    return width, height


def _fitted(slots: Sequence[Slot], pixels: int, ratio: float) -> tuple[int, int] | None:
    """Width and height with about so many pixels, within the limits of the slots; None if there is no such size."""
    wide, high = slots[0], slots[-1]
    exact = math.sqrt(pixels * ratio), math.sqrt(pixels / ratio)
    most = [float(slot.maximum) if slot.maximum is not None else math.inf for slot in (wide, high)]
    scale = min(1.0, most[0] / exact[0], most[1] / exact[1])
    size = [_rounded(side * scale, slot, limit) for side, slot, limit in zip(exact, (wide, high), most, strict=True)]
    try:
        if wide is high:
            wide.read(f"{size[0]}x{size[1]}")
        else:
            wide.read(size[0])
            high.read(size[1])
    except WorkflowError:
        return None
    return size[0], size[1]


def _rounded(side: float, slot: Slot, most: float) -> int:
    step = int(slot.step) if slot.step is not None and slot.step >= 1 else 1
    multiple = step if step >= LARGE_STEP or MULTIPLE % step else MULTIPLE
    rounded = max(multiple, round(side / multiple) * multiple)
    return rounded if rounded <= most else math.floor(most / multiple) * multiple
