"""Values of slots as people write them. Pure."""

from __future__ import annotations

from app.ports import Graph, Json
from app.workflows.graph import inputs
from app.workflows.slots import Slot


def written(slot: Slot, value: Json) -> str:
    """A value as one would type it; "" for none, and for what cannot be typed."""
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


def standing(slot: Slot, graph: Graph) -> Json:
    """What stands in a slot's place in a graph; None for a connection, and for a row of LoRAs."""
    values = [inputs(graph, one.node).get(one.input) for one in slot.targets if one.node in graph]
    if slot.kind == "size":
        return values[:2] if all(isinstance(one, int) for one in values[:2]) and len(values) > 1 else None
    return None if not values or isinstance(values[0], (list, dict)) else values[0]
