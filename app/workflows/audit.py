"""Checks whether a server can run a workflow, before anybody waits for it; each finding names the node."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from app.core.progress import title
from app.events import NodeId
from app.ports import Graph, Json
from app.workflows.api_graph import dependencies, inputs, sources
from app.workflows.input_checks import against
from app.workflows.model import UPLOADED, Slot, Target, WorkflowError, suggest
from app.workflows.node_definitions import GROWING, Definition, Definitions, Input, compatible

SOCKETS = frozenset({"MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "IMAGE", "MASK"})
"""ComfyUI's own types that JSON cannot express; an input of such a type must be connected."""

Severity = Literal["error", "warning"]
"""An "error" means that the server refuses or produces nothing; a "warning", that something may not be intended."""


class Finding(Struct, frozen=True):
    """One problem with a workflow. `node` is the title of the node, "" for the whole workflow."""

    severity: Severity
    node: str
    sentence: str


def audit(graph: Graph, slots: Sequence[Slot], definitions: Definitions) -> list[Finding]:
    """Check a workflow against a server's node definitions; returns an empty list if nothing is wrong."""
    found: list[Finding] = []
    slotted = {(str(target.node), target.input): slot for slot in slots for target in slot.targets}
    reached = set(dependencies(graph, definitions))
    for node, entry in graph.items():
        name, kind = title(graph, node), str(entry.get("class_type"))
        definition = definitions.get(kind)
        if definition is None:
            close = difflib.get_close_matches(kind, definitions, 1)
            hint = f"; did you mean “{close[0]}”?" if close else ": install its nodes there, or choose another server."
            found.append(Finding("error", name, f"“{name}” is a {kind}, which the server does not have{hint}"))
            continue
        for severity, sentence in _node(graph, node, definition, definitions, slotted):
            # The server validates only what its outputs depend on.
            found.append(Finding(severity if node in reached else "warning", name, sentence))
    for slot in slots:
        found += _slot(graph, slot, definitions)
    found += _titles(graph, slots)
    known = [definitions.get(str(entry.get("class_type"))) for entry in graph.values()]
    if not any(one is None or one.is_output for one in known):
        found.append(Finding("error", "", "The workflow has no output: add a node such as Save Image."))
    if circle := _circle(graph):
        names = " → ".join(f"“{title(graph, node)}”" for node in circle)
        found.append(Finding("error", title(graph, circle[0]), f"The nodes {names} need each other in a circle."))
    return found


def _node(
    graph: Graph, node: str, definition: Definition, definitions: Definitions, slotted: dict[tuple[str, str], Slot]
) -> Iterator[tuple[Severity, str]]:
    name, given = title(graph, node), inputs(graph, node)
    for field, value in given.items():
        known = definition.known(field)
        if known is None:
            if field not in definition.hidden:
                hint = suggest(field, [one for one in definition.inputs if one not in given] or definition.inputs)
                yield "warning", f"“{name}” has no input “{field}”, so the server ignores it{hint}"
        elif isinstance(value, list):
            if problem := _link(graph, name, field, value, known, definitions):
                yield "error", problem
        elif field in definition.inputs:
            slot = slotted.get((node, field))
            for problem in _value(name, definition.name, known, value, slot, node):
                yield "error", problem
    for field, known in definition.inputs.items():
        if known.required and field not in given and known.default is not None:
            yield "warning", f"“{name}” has no “{field}” yet, so the server's default stands there: {known.default}."
        elif known.required and field not in given and known.type != GROWING:
            kind = f" (a {known.type})" if not known.is_widget else ""
            yield "error", f"“{name}” misses its required input “{field}”{kind}."


def _value(name: str, kind: str, known: Input, value: Json, slot: Slot | None, node: str) -> Iterator[str]:
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
        yield f"“{known.name}” of “{name}” must be connected to a {known.type}, but is a value."
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
    return read[slot.targets.index(Target(NodeId(node), name)) % 2] if isinstance(read, list) else read


def _link(graph: Graph, name: str, field: str, link: list[Json], known: Input, definitions: Definitions) -> str | None:
    match link:
        case [str() as source, int() as slot] if not isinstance(slot, bool):
            pass
        case _:
            return f"“{field}” of “{name}” is a list, but no connection [node, output]."
    if source not in graph:
        return f"“{field}” of “{name}” comes from node {source}, which is not there: export the workflow again."
    origin = title(graph, source)
    definition = definitions.get(str(graph[source].get("class_type")))
    if definition is None:
        return None
    if not 0 <= slot < len(definition.outputs):
        count = len(definition.outputs)
        return f"“{field}” of “{name}” takes output {slot} of “{origin}”, which has only {count}, counted from 0."
    given = definition.outputs[slot]
    loose = "COMBO" in {given, known.type} or known.type.startswith("COMFY_") or given.startswith("COMFY_")
    if not loose and not compatible(given, known.type):
        return f"“{field}” of “{name}” needs a {known.type}, but output {slot} of “{origin}” is a {given}."
    return None


def _slot(graph: Graph, slot: Slot, definitions: Definitions) -> Iterator[Finding]:
    """Yield a warning for each limit or choice of a slot that its node does not accept."""
    for target in slot.targets:
        definition = definitions.get(str(graph.get(target.node, {}).get("class_type")))
        known = definition.inputs.get(target.input) if definition is not None else None
        if known is None:
            continue
        name = title(graph, target.node)
        where = f"“{target.input}” of “{name}”"
        low, high = known.limit("min"), known.limit("max")
        if slot.minimum is not None and low is not None and slot.minimum < float(low):
            told = f"{slot.name} may go down to {slot.minimum:g}, but {where} only to {low:g}."
            yield Finding("warning", name, told)
        if slot.maximum is not None and high is not None and slot.maximum > float(high):
            told = f"{slot.name} may go up to {slot.maximum:g}, but {where} only to {high:g}."
            yield Finding("warning", name, told)
        missing = [one for one in slot.choices if known.choices is not None and one not in known.choices]
        if missing and not known.is_upload:
            told = f"{slot.name} offers {', '.join(missing[:5])}, which {where} does not have on this server."
            yield Finding("warning", name, told)


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
                ids = ", ".join(nodes)
                told = f"{slot.name} goes to “{name}”, but {len(nodes)} nodes are called so ({ids})"
                yield Finding("warning", name, f"{told}: give each its own title, so that a new export fits.")


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
