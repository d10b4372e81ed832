"""Checks whether a server can run a workflow, before anybody waits for it; each finding names the node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from app.core.jobs.progress import title
from app.events import NodeId
from app.ports import Graph, Json
from app.reasons import Reason
from app.workflows.api_graph import dependencies, inputs, known_input, sources
from app.workflows.model import UPLOADED, Slot, Target, WorkflowError, chosen_like
from app.workflows.nodes.definitions import OWN_CHOICES, Definition, Definitions, Input, compatible
from app.workflows.nodes.input_checks import against
from app.workflows.reasons.checks import (
    ChoicesBeyondNode,
    IgnoredInput,
    LimitBeyondNode,
    LinkReason,
    MissingClass,
    MissingInput,
    MissingOutput,
    MissingSource,
    NodeLoop,
    NoOutputNode,
    NotAConnection,
    PaidNode,
    ServerDefault,
    SharedTitle,
    UnpricedNode,
    ValueInSocket,
    WrongOutputType,
)

SOCKETS = frozenset({"MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "IMAGE", "MASK"})
"""ComfyUI's own types that JSON cannot express; an input of such a type must be connected."""

Severity = Literal["error", "warning"]
"""An "error" means that the server refuses or produces nothing; a "warning", that something may not be intended."""


class Finding(Struct, frozen=True):
    """One problem with a workflow. `node` is the title of the node, "" for the whole workflow."""

    severity: Severity
    node: str
    reason: Reason


def audit(
    graph: Graph,
    slots: Sequence[Slot],
    definitions: Definitions,
    *,
    pays: bool = False,
    price: float | None = None,
) -> list[Finding]:
    """Check a workflow against a server's node definitions; returns an empty list if nothing is wrong.

    `pays` says whether workflows may cost money on this server, and `price` what a run of this one costs, None if its
    manifest does not say.
    """
    findings: list[Finding] = []
    slotted = {(str(target.node), target.input): slot for slot in slots for target in slot.targets}
    reached = set(dependencies(graph, definitions))
    for node, entry in graph.items():
        name, kind = title(graph, node), str(entry.get("class_type"))
        definition = definitions.get(kind)
        if definition is None:
            findings.append(Finding("error", name, MissingClass(name, kind, definitions.similar(kind))))
            continue
        problems = [*_payment(name, definition, pays, price), *_node(graph, node, definition, definitions, slotted)]
        for severity, reason in problems:
            # The server validates and runs only what its outputs depend on.
            findings.append(Finding(severity if node in reached else "warning", name, reason))
    for slot in slots:
        findings += _slot(graph, slot, definitions)
    findings += _titles(graph, slots)
    classes = [definitions.get(str(entry.get("class_type"))) for entry in graph.values()]
    if not any(node_class is None or node_class.is_output for node_class in classes):
        findings.append(Finding("error", "", NoOutputNode()))
    if circle := _circle(graph):
        names = tuple(title(graph, node) for node in circle)
        findings.append(Finding("error", names[0], NodeLoop(names)))
    return findings


def errors_of(graph: Graph, slots: Sequence[Slot], definitions: Definitions) -> list[Reason]:
    """Why a server would refuse this graph, of which the slots' targets may be a part; costs are not looked at."""
    present = [
        replace(slot, targets=tuple(target for target in slot.targets if target.node in graph)) for slot in slots
    ]
    findings = audit(graph, [slot for slot in present if slot.targets], definitions, pays=True, price=0.0)
    return [finding.reason for finding in findings if finding.severity == "error"]


def _payment(name: str, definition: Definition, pays: bool, price: float | None) -> Iterator[tuple[Severity, Reason]]:
    if definition.is_paid and not pays:
        yield "error", PaidNode(name)
    elif definition.is_paid and price is None:
        yield "error", UnpricedNode(name, definition.price)


def _node(
    graph: Graph, node: str, definition: Definition, definitions: Definitions, slotted: dict[tuple[str, str], Slot]
) -> Iterator[tuple[Severity, Reason]]:
    name, node_inputs = title(graph, node), inputs(graph, node)
    if definition.name == OWN_CHOICES:
        return
    live = definition.live(node_inputs)
    for field, value in node_inputs.items():
        known = live.get(field) or definition.known(field)
        if known is None:
            if field not in definition.hidden:
                free = tuple(input_name for input_name in definition.inputs if input_name not in node_inputs)
                yield "warning", IgnoredInput(name, field, free or tuple(definition.inputs))
        elif isinstance(value, list):
            if problem := _link(graph, name, field, value, known, definitions):
                yield "error", problem
        elif field in live:
            slot = slotted.get((node, field))
            for problem in _value(name, definition.name, known, value, slot, node):
                yield "error", problem
    for field, known in live.items():
        if known.required and field not in node_inputs and known.default is not None:
            yield "warning", ServerDefault(name, field, str(known.default))
        elif known.required and field not in node_inputs:
            yield "error", MissingInput(name, field, "" if known.is_widget else known.type)


def _value(name: str, kind: str, known: Input, value: Json, slot: Slot | None, node: str) -> Iterator[Reason]:
    if slot is not None:
        if slot.required or slot.kind in UPLOADED:
            return
        if slot.kind == "model" and slot.default in (None, ""):
            # `bind` replaces the graph's value by the first model that the server lists.
            if known.choices is not None and not known.choices:
                yield from against(name, kind, known, value)
            return
        value = _default(slot, node, known.name, value)
    if known.type in SOCKETS:
        yield ValueInSocket(name, known.name, known.type)
    yield from against(name, kind, known, value)


def _default(slot: Slot, node: str, name: str, present: Json) -> Json:
    """Return the value that an input gets when no value is given for its slot."""
    if slot.default is None:
        return present
    try:
        read = slot.read(slot.default)
    except WorkflowError:
        # The server may list fewer values than the manifest assumes.
        return slot.default
    if slot.kind == "choice":
        return chosen_like(read, present)
    return read[slot.targets.index(Target(NodeId(node), name)) % 2] if isinstance(read, list) else read


def _link(
    graph: Graph, name: str, field: str, link: list[Json], known: Input, definitions: Definitions
) -> LinkReason | None:
    match link:
        case [str() as source, int() as slot] if not isinstance(slot, bool):
            pass
        case _:
            return NotAConnection(name, field)
    if source not in graph:
        return MissingSource(name, field, source)
    origin = title(graph, source)
    definition = definitions.get(str(graph[source].get("class_type")))
    if definition is None:
        return None
    if not 0 <= slot < len(definition.outputs):
        return MissingOutput(name, field, origin, slot, len(definition.outputs))
    output_type = definition.outputs[slot]
    loose = "COMBO" in {output_type, known.type} or known.type.startswith("COMFY_") or output_type.startswith("COMFY_")
    if not loose and not compatible(output_type, known.type):
        return WrongOutputType(name, field, known.type, origin, slot, output_type)
    return None


def _slot(graph: Graph, slot: Slot, definitions: Definitions) -> Iterator[Finding]:
    """Yield a warning for each limit or choice of a slot that its node does not accept."""
    for target in slot.targets:
        known = known_input(graph, definitions, target)
        if known is None:
            continue
        name = title(graph, target.node)
        low, high = known.limit("min"), known.limit("max")
        if slot.minimum is not None and low is not None and slot.minimum < float(low):
            reason = LimitBeyondNode(slot.name, "minimum", slot.minimum, name, target.input, low)
            yield Finding("warning", name, reason)
        if slot.maximum is not None and high is not None and slot.maximum > float(high):
            reason = LimitBeyondNode(slot.name, "maximum", slot.maximum, name, target.input, high)
            yield Finding("warning", name, reason)
        listed = {str(choice) for choice in known.choices or ()}
        missing = tuple(choice for choice in slot.choices if known.choices is not None and choice not in listed)
        if missing and not known.is_upload:
            yield Finding("warning", name, ChoicesBeyondNode(slot.name, missing, name, target.input))


def _titles(graph: Graph, slots: Sequence[Slot]) -> Iterator[Finding]:
    """Yield a warning for each slot whose node shares its title with other nodes.

    A slot finds its node by title when the workflow is exported again with other ids, so the title must be unique.
    """
    bearers: dict[str, list[str]] = {}
    for node in graph:
        bearers.setdefault(title(graph, node), []).append(node)
    for slot in slots:
        for name in dict.fromkeys(title(graph, target.node) for target in slot.targets):
            if len(nodes := bearers.get(name, [])) > 1:
                yield Finding("warning", name, SharedTitle(slot.name, name, tuple(nodes)))


def _circle(graph: Graph) -> list[str]:
    """Return the nodes of one cycle, or an empty list if there is none.

    Uses a loop instead of recursion, because a chain may be thousands of nodes long.
    """
    done: set[str] = set()
    for start in graph:
        path: dict[str, Iterator[str]] = {} if start in done else {start: sources(graph, start)}
        while path:
            node = next(reversed(path))
            source = next(path[node], None)
            if source is None:
                done.add(node)
                del path[node]
            elif source in path:
                nodes = list(path)
                return nodes[nodes.index(source) :][::-1]
            elif source not in done and source in graph:
                path[source] = sources(graph, source)
    return []
