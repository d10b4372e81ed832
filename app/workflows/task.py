"""What a workflow is for: the task that its manifest names, or the one that its result and its slots show. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from app.ports import Graph
from app.workflows.model import UPLOADED, Slot

Task: TypeAlias = Literal["imagine", "edit", "upscale", "animate", "film", "describe", "sound", "sculpt"]
"""A picture from a description, a picture from a picture and a description, a larger picture, a video from a picture, a
video from a description, a text from a picture, sound or music from a description, a 3D model."""

TASKS: tuple[Task, ...] = get_args(Task)

TASK_COMMANDS: tuple[Task, ...] = ("imagine", "edit", "animate", "upscale", "describe")
"""The tasks that have a slash command of their own, for all their models."""

FILE_TASKS: frozenset[Task] = frozenset({"edit", "upscale", "animate", "describe", "sculpt"})
"""The tasks that start from a picture."""

PROMPT_TASKS: frozenset[Task] = frozenset({"imagine", "edit", "film"})
"""The tasks that need a description."""

NO_TASK = "none"
"""What the manifest of a workflow says that is no model of any task."""

MODEL_OUTPUT = re.compile(r"(?:Save|Preview)(?:GLB|3D\w*|GaussianSplat|PointCloud)")
"""The classes of ComfyUI's output nodes for 3D models."""

ENLARGES = "ImageUpscaleWithModel"
"""The class of ComfyUI's node that makes a picture larger."""


def task_of(graph: Graph, result: str, slots: Sequence[Slot]) -> Task | Literal[""]:
    """The task of a workflow whose manifest names none, by the kind of its result; "" for none that is known."""
    kinds = {slot.kind for slot in slots}
    needed = {slot.kind for slot in slots if slot.required} & UPLOADED
    has_prompt = any(slot.name == "prompt" for slot in slots)
    match result:
        case "image" if not kinds & UPLOADED and has_prompt:
            return "imagine"
        case "image" if "image" in kinds and needed <= {"image"} and has_prompt:
            return "edit"
        case "image" if "image" in kinds and needed <= {"image"}:
            return "upscale" if ENLARGES in _classes(graph) else ""
        case "video" if "image" in kinds and needed <= {"image"}:
            return "animate"
        case "video" if not kinds & UPLOADED and has_prompt:
            return "film"
        case "text" if "image" in kinds and needed <= {"image"}:
            return "describe"
        case "audio" if not needed:
            return "sound"
        case "" if makes_model(graph):
            return "sculpt"
        case _:
            return ""


def lacking(task: Task, slots: Sequence[Slot]) -> Literal["prompt", "image", ""]:
    """The slot that a workflow would need for this task and does not have; "" if it has what it needs."""
    if task in PROMPT_TASKS and not any(slot.name == "prompt" and slot.kind == "text" for slot in slots):
        return "prompt"
    return "image" if task in FILE_TASKS and not any(slot.kind == "image" for slot in slots) else ""


def makes_model(graph: Graph) -> bool:
    """Whether a graph makes a 3D model."""
    return any(map(MODEL_OUTPUT.fullmatch, _classes(graph)))


def _classes(graph: Graph) -> set[str]:
    return {str(entry.get("class_type")) for entry in graph.values()}
