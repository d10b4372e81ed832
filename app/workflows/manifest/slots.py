"""Resolves the slots that a manifest declares to inputs of the graph, and completes them with the server's limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from msgspec.structs import replace

from app.core.jobs.progress import title
from app.ports import Graph
from app.workflows.api_graph import find_node, find_target, inputs
from app.workflows.discovery.candidates import Candidate, FoundBy
from app.workflows.discovery.candidates import slot as found_slot
from app.workflows.discovery.discover import Discovery
from app.workflows.manifest.schema import ManifestSlot, ManifestTarget
from app.workflows.model import UPLOADED, Slot, Target, WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.reasons.manifest import (
    LimitNotFinite,
    LimitsReversed,
    MovedToForm,
    NodeAndTargets,
    NoInputNamed,
    NoNodeNamed,
    SeveralLoraNodes,
    StepNotPositive,
    UnpairedSize,
)

SIDES = ("width", "height")
"""The inputs of a size, in this order."""

MOST_OPTIONS = 25
"""Discord's limit for the options of a command."""


def declared(name: str, manifest_slot: ManifestSlot, graph: Graph, discovery: Callable[[], Discovery]) -> Slot:
    """Convert a manifest's slot. One without a node takes the result of `discovery`. Raises `WorkflowError`."""
    targets = (
        _targets(name, manifest_slot, graph)
        if manifest_slot.node or manifest_slot.targets
        else _looked_for(name, discovery())
    )
    slot = Slot(
        name=name,
        title=manifest_slot.title or name,
        kind=manifest_slot.kind,
        targets=targets,
        description=manifest_slot.description,
        required=manifest_slot.required,
        default=manifest_slot.default,
        minimum=manifest_slot.minimum,
        maximum=manifest_slot.maximum,
        step=manifest_slot.step,
        choices=manifest_slot.choices,
        show=manifest_slot.show,
    )
    _check_limits(slot)
    if slot.kind == "size":
        for choice in slot.choices:
            slot.read(choice)
    if slot.default is not None:
        slot.read(slot.default)
    return slot


def completed(slot: Slot, graph: Graph, definitions: Definitions) -> Slot:
    """Return the slot with the limits and choices of the server's input, where the manifest has none of its own.

    If the slot's default would then be refused, the slot stays as it is: the audit reports that for each server.
    """
    if slot.kind not in {"integer", "number", "choice"}:
        return slot
    from_server = found_slot(
        graph, definitions, Candidate(name=slot.name, targets=slot.targets, how=FoundBy("title"), kind=slot.kind)
    )
    low, high = slot.minimum, slot.maximum
    if slot.kind != "choice" and (low is None) and (high is None):
        low, high = from_server.minimum, from_server.maximum
    full = replace(slot, minimum=low, maximum=high, choices=slot.choices or from_server.choices)
    if full.default is not None:
        try:
            full.read(full.default)
        except WorkflowError:
            return slot
    return full


def crowded(slots: list[Slot], room: int) -> tuple[tuple[Slot, ...], MovedToForm | None]:
    """Move slots to the form until at most `room` are options of the command.

    Returns the slots, and a note that names those that were moved, if any.
    """
    # A form cannot take files, so among equally required slots, those for files stay longest.
    options = sorted(
        (slot for slot in slots if slot.show == "command"),
        key=lambda slot: (not slot.required, slot.kind not in UPLOADED),
    )
    moved = {slot.name for slot in options[room:]}
    if not moved:
        return tuple(slots), None
    note = MovedToForm(room, len(options), tuple(slot.name for slot in slots if slot.name in moved))
    return tuple(replace(slot, show="modal") if slot.name in moved else slot for slot in slots), note


def _targets(name: str, manifest_slot: ManifestSlot, graph: Graph) -> tuple[Target, ...]:
    if manifest_slot.node and manifest_slot.targets:
        raise WorkflowError(NodeAndTargets(name))
    places = [*manifest_slot.targets] or [ManifestTarget(node=manifest_slot.node, input=manifest_slot.input)]
    if manifest_slot.kind == "lora":
        if len(places) > 1:
            raise WorkflowError(SeveralLoraNodes(name))
        return (Target(find_node(graph, places[0].node), ""),)
    if manifest_slot.kind == "size":
        if any(place.input for place in places) and len(places) % 2:
            raise WorkflowError(UnpairedSize(name))
        pairs = [(place.node, place.input) for place in places if place.input]
        pairs += [(place.node, side) for place in places if not place.input for side in SIDES]
        return tuple(find_target(graph, node, field) for node, field in pairs)
    return tuple(_target(name, place, graph) for place in places)


def _target(name: str, place: ManifestTarget, graph: Graph) -> Target:
    if place.input:
        return find_target(graph, place.node, place.input)
    node = find_node(graph, place.node)
    raise WorkflowError(NoInputNamed(name, title(graph, node), tuple(inputs(graph, node))))


def _looked_for(name: str, discovery: Discovery) -> tuple[Target, ...]:
    for slot in discovery.slots:
        if slot.name == name:
            return slot.targets
    for problem in discovery.problems:
        if problem.slot == name:
            raise WorkflowError(problem)
    raise WorkflowError(NoNodeNamed(name))


def _check_limits(slot: Slot) -> None:
    limits: tuple[tuple[Literal["minimum", "maximum", "step"], float | None], ...] = (
        ("minimum", slot.minimum),
        ("maximum", slot.maximum),
        ("step", slot.step),
    )
    for key, limit in limits:
        if limit is not None and not _is_finite(limit):
            raise WorkflowError(LimitNotFinite(slot.name, key))
    if slot.minimum is not None and slot.maximum is not None and slot.minimum > slot.maximum:
        raise WorkflowError(LimitsReversed(slot.name))
    if slot.step is not None and slot.step <= 0:
        raise WorkflowError(StepNotPositive(slot.name))


def _is_finite(number: float) -> bool:
    """Return whether a number, which may be an int of any size, is finite as a floating-point number."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False
