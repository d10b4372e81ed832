"""Rounds sizes to a node's steps, within its limits."""

from __future__ import annotations

import math
from collections.abc import Iterable

from app.ports import Graph, Json
from app.workflows.api_graph import inputs, known_input
from app.workflows.model import Slot, Target
from app.workflows.nodes.definitions import Definitions


def to_step(value: int, step: int, minimum: int | None = None, maximum: int | None = None) -> int:
    """Round to the nearest value of the series that begins at the minimum; a tie rounds up.

    A length from 1 in steps of 4 is 1, 5, 9, ...; a width from 16 in steps of 8 is 16, 24, 32, ... The result is always
    within the limits, even if it then does not fit the step.
    """
    start = (minimum or 0) % step
    rounded = (2 * (value - start) + step) // (2 * step) * step + start
    if maximum is not None and rounded > maximum:
        rounded = (maximum - start) // step * step + start
    if minimum is not None and rounded < minimum:
        rounded = minimum
    return rounded


def stepped(value: Json, slot: Slot) -> Json:
    """Round a slot's whole number, or the sides of its size, to the slot's steps; return all else unchanged."""
    if slot.step is None or slot.step < 1 or slot.kind not in {"integer", "size"}:
        return value
    if isinstance(value, list):
        return [stepped(side, slot) for side in value]
    return _fit(value, slot.step, slot.minimum, slot.maximum) if isinstance(value, int) else value


def round_sizes(graph: Graph, definitions: Definitions, targets: Iterable[Target]) -> Graph:
    """Return a copy of the graph in which the whole numbers at the targets are rounded to their nodes' steps.

    The copy shares the nodes that do not change with the original.
    """
    rounded = dict(graph)
    for target in targets:
        known = known_input(rounded, definitions, target)
        node_inputs = inputs(rounded, target.node) if target.node in rounded else {}
        value = node_inputs.get(target.input)
        step = known.limit("step") if known is not None and known.type == "INT" else None
        if known is None or step is None or step < 2 or not isinstance(value, int) or isinstance(value, bool):
            continue
        fitting = _fit(value, step, known.limit("min"), known.limit("max"))
        if fitting != value:
            rounded[target.node] = {**rounded[target.node], "inputs": {**node_inputs, target.input: fitting}}
    return rounded


def _fit(value: int, step: float, low: float | None, high: float | None) -> int:
    return to_step(
        value,
        math.floor(step),
        math.ceil(low) if low is not None else None,
        math.floor(high) if high is not None else None,
    )
