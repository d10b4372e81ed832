"""The values of slots, as people read them. Pure."""

from __future__ import annotations

from app.ports import Graph, Json
from app.workflows.api_graph import inputs
from app.workflows.model import Slot


def format_value(slot: Slot, value: Json) -> str:
    """A value as a person would type it; "" for None and for what cannot be typed."""
    match value:
        case None | dict():
            return ""
        case [width, height] if slot.kind == "size":
            return f"{width}x{height}"
        case list():
            return ""
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def current_value(slot: Slot, graph: Graph) -> Json:
    """The value that a slot has in a graph; None for a connection and for a row of LoRAs."""
    values = [inputs(graph, target.node).get(target.input) for target in slot.targets if target.node in graph]
    if slot.kind == "size":
        return values[:2] if all(isinstance(number, int) for number in values[:2]) and len(values) > 1 else None
    return None if not values or isinstance(values[0], (list, dict)) else values[0]
