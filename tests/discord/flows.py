"""Workflows for tests, made of slots."""

from __future__ import annotations

from pathlib import Path

from app.events import NodeId
from app.workflows.load import Workflow, load
from app.workflows.model import Kind, Slot, Target

FOLDER = Path(__file__).parents[2] / "workflows"
STARTERS = ("txt2img", "img2img")
"""What every server of the tests can run."""

TXT2IMG = load(FOLDER, "txt2img")
IMG2IMG = load(FOLDER, "img2img")


def slot(name: str, kind: Kind = "text", **more: object) -> Slot:
    told: dict[str, object] = {"title": name.title(), "targets": (Target(NodeId("1"), name),), **more}
    return Slot(name=name, kind=kind, **told)  # pyright: ignore[reportArgumentType]


def workflow(*slots: Slot, command: str = "paint", name: str = "paint") -> Workflow:
    graph = {"1": {"class_type": "Painter", "inputs": {one.name: "as it is" for one in slots}}}
    return Workflow(name=name, title="Paint", graph=graph, command=command, slots=slots)  # pyright: ignore[reportArgumentType]
