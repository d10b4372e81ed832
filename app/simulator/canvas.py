"""What flows between simulated nodes: a description of a picture, not its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

from app.ports import Json


class Canvas(Struct, frozen=True):
    """A picture, or a latent, that can be painted whenever somebody wants to see it.

    `source` is the canvas it was made from, of which `denoise` (0 to 1) was replaced; `file` is an uploaded
    picture; `color` a plain area.
    """

    width: int = 512
    height: int = 512
    count: int = 1
    prompt: str = ""
    seed: int = 0
    steps: int = 0
    model: str = ""
    source: Canvas | None = None
    denoise: float = 1.0
    file: str = ""
    color: int | None = None
    inverted: bool = False


Value: TypeAlias = "Canvas | Json"
"""What a node's output may be: a canvas, or anything that is no picture (a prompt, a model's name)."""


def canvas_of(inputs: Mapping[str, Value]) -> Canvas:
    """The first canvas among a node's inputs, whatever the node calls it."""
    return next((value for value in inputs.values() if isinstance(value, Canvas)), Canvas())


def integer(inputs: Mapping[str, Value], name: str, default: int) -> int:
    """A whole-number input."""
    value = inputs.get(name)
    return int(value) if isinstance(value, (int, float)) else default


def number(inputs: Mapping[str, Value], name: str, default: float) -> float:
    """A number input."""
    value = inputs.get(name)
    return float(value) if isinstance(value, (int, float)) else default


def text(inputs: Mapping[str, Value], name: str, default: str = "") -> str:
    """A text input."""
    value = inputs.get(name)
    return value if isinstance(value, str) else default
