"""Converts the editor's format to API format, as the editor's own “Export (API)” does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias
from urllib.parse import unquote

from msgspec import Struct

from app.core.jobs.progress import title
from app.events import NodeId
from app.ports import Graph, Json
from app.workflows.api_graph import inputs, known_input
from app.workflows.editor_format.links import UNSENT, Held, Lost, Wire, trace
from app.workflows.editor_format.parser import BYPASSED, MUTED, EditorFile, Node, read_editor_file
from app.workflows.editor_format.promoted import shown_value
from app.workflows.editor_format.replaced import replaced
from app.workflows.editor_format.subgraphs import Opened, expand
from app.workflows.editor_format.widgets import RECORDED, VIEWED, field_values
from app.workflows.model import Target, WorkflowError
from app.workflows.nodes.definitions import Definition, Definitions
from app.workflows.reasons.editor_format import (
    GroupNode,
    MadeInBrowser,
    MissingSubgraph,
    NothingToRun,
    UnknownClass,
)

Promoted: TypeAlias = dict[tuple[str, str], list[Target]]
"""The inputs of subgraph nodes, as (node, input), and the inputs inside that each stands for."""


RENDERED = frozenset({"IMAGE", "MASK", "VIDEO"})
"""The types of the outputs that a browser renders from a 3D model; the others do not depend on the browser."""


class AppInput(Struct, frozen=True):
    """A field that app mode shows: its name there, and the inputs that it stands for."""

    name: str
    targets: tuple[Target, ...]


class Converted(Struct, frozen=True, kw_only=True):
    """A graph in API format, and its app mode's inputs and outputs, which only the editor's format contains."""

    graph: Graph
    app_inputs: tuple[AppInput, ...] = ()
    app_outputs: tuple[NodeId, ...] = ()
    together: tuple[tuple[Target, ...], ...] = ()
    """Inputs that get the same value, because one input of a subgraph leads to all of them."""


def convert(content: Json, definitions: Definitions, *, prune: bool = True) -> Converted:
    """Convert a file in the editor's format. Raises `WorkflowError`, which names the node.

    Nodes that lack a required input because its source is switched off are left out, and so are the nodes that require
    them, because the server would refuse them. With `prune=False` they stay, as in the editor's own export.
    """
    editor_file = read_editor_file(content)
    graph: Graph = {}
    missing: list[tuple[str, str]] = []
    promoted: Promoted = {}
    for here in expand(editor_file):
        for node in here.graph.nodes.values():
            if node.mode in {MUTED, BYPASSED} or node.type in UNSENT or node.id in here.inner:
                continue
            node = replaced(node, definitions)
            definition = _definition(editor_file, definitions, node)
            values = _own(here, node, definition)
            for name, source in _sources(here, node):
                match source:
                    case Wire(origin, slot):
                        values[name] = [origin, slot]
                    case Lost():
                        values.pop(name, None)
                        missing.append((here.id(node), name))
                    case Held() as held:
                        value = held.value if held.has_value else _shown(definitions, held)
                        values.update({name: _literal(value)} if held.has_value or value is not None else {})
                        for place in held.through:
                            promoted.setdefault(place, []).append(Target(NodeId(here.id(node)), name))
            _refuse_recordings(node, definition, values)
            title = {"title": node.title or definition.title}
            graph[here.id(node)] = {"inputs": values, "class_type": node.type, "_meta": {**title}}
    if prune:
        _prune(graph, definitions, missing)
    _refuse_rendered(graph, definitions)
    if not graph:
        raise WorkflowError(NothingToRun())
    return _with_app_mode(editor_file, graph, promoted)


def _definition(editor_file: EditorFile, definitions: Definitions, node: Node) -> Definition:
    if (definition := definitions.get(node.type)) is not None:
        return definition
    if node.type in editor_file.groups or node.type.startswith(("workflow>", "workflow/")):
        raise WorkflowError(GroupNode(node.name))
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", node.type):
        raise WorkflowError(MissingSubgraph(node.name))
    raise WorkflowError(UnknownClass(node.name, node.type, definitions.similar(node.type)))


def _own(here: Opened, node: Node, definition: Definition) -> dict[str, Json]:
    """Return the values of a node's own fields, or those that the subgraph around it gives to them."""
    values = field_values(node, definition)
    for name in values:
        values[name] = _literal(here.overrides.get((node.id, name), values[name]))
    return values


def _literal(value: Json) -> Json:
    """Wrap a list as the editor does, because the server would read it as a connection; the server unwraps it."""
    return {"__value__": value} if isinstance(value, list) else value


def _sources(here: Opened, node: Node) -> Iterator[tuple[str, Wire | Held | Lost]]:
    for socket in node.inputs:
        if socket.link is not None and socket.name:
            yield socket.name, trace(here, node, socket)


def _shown(definitions: Definitions, held: Held) -> Json:
    return shown_value(definitions, *held.edge) if held.edge is not None else None


def _refuse_recordings(node: Node, definition: Definition, values: dict[str, Json]) -> None:
    for known in definition.inputs.values():
        if known.type in RECORDED and known.required and not isinstance(values.get(known.name), list):
            raise WorkflowError(MadeInBrowser(node.name, known.name))


def _refuse_rendered(graph: Graph, definitions: Definitions) -> None:
    """Raise `WorkflowError` if a graph uses the pictures that only a browser renders from a 3D model."""
    for user in graph:
        for value in inputs(graph, user).values():
            match value:
                case [str() as source, int() as slot] if source in graph:
                    definition = definitions.get(str(graph[source]["class_type"]))
                    output = definition.outputs[slot : slot + 1] if definition is not None and slot >= 0 else ()
                    viewed = [
                        known.name
                        for known in (definition.inputs.values() if definition is not None else ())
                        if known.type in VIEWED and not isinstance(inputs(graph, source).get(known.name), list)
                    ]
                    if viewed and RENDERED.intersection(output):
                        raise WorkflowError(MadeInBrowser(title(graph, source), viewed[0]))
                case _:
                    continue


def _prune(graph: Graph, definitions: Definitions, missing: list[tuple[str, str]]) -> None:
    """Remove the nodes that lack a required input, and the nodes that require them."""
    users: dict[str, list[tuple[str, str]]] = {}
    for node in graph:
        for name, value in inputs(graph, node).items():
            if isinstance(value, list):
                users.setdefault(str(value[0]), []).append((node, name))
    while missing:
        node, name = missing.pop()
        if node not in graph:
            continue
        inputs(graph, node).pop(name, None)
        known = known_input(graph, definitions, Target(NodeId(node), name))
        if known is None or known.required:
            del graph[node]
            missing += users.get(node, [])


def _with_app_mode(editor_file: EditorFile, graph: Graph, promoted: Promoted) -> Converted:
    """Add app mode's inputs and outputs, with the ids of API format; leave out missing ones, as the editor does."""
    app_mode = editor_file.app if isinstance(editor_file.app, dict) else {}
    fields, outputs = app_mode.get("inputs"), app_mode.get("outputs")
    app_inputs: list[AppInput] = []
    for field in fields if isinstance(fields, list) else ():
        match field:
            case [str() | int() as node, str() as name, *_]:
                targets = tuple(target for target in _meant(graph, promoted, str(node), name) if target.node in graph)
                app_inputs += [AppInput(name, targets)] if targets else []
            case _:
                continue
    return Converted(
        graph=graph,
        app_inputs=tuple(app_inputs),
        app_outputs=tuple(NodeId(str(node)) for node in outputs if str(node) in graph)
        if isinstance(outputs, list)
        else (),
        together=tuple(
            present
            for targets in promoted.values()
            if len(present := tuple(target for target in targets if _is_free(graph, target))) > 1
        ),
    )


def _is_free(graph: Graph, target: Target) -> bool:
    return target.node in graph and not isinstance(inputs(graph, target.node).get(target.input, []), list)


def _meant(graph: Graph, promoted: Promoted, node: str, name: str) -> list[Target]:
    """Return the inputs that a field of app mode stands for.

    App mode names a node and a field, or `graph:node:field` since 2026, or a node inside a subgraph.
    """
    match node.split(":"):
        case [_, inner, field] if node not in graph:
            node, name = unquote(inner), unquote(field)
        case _:
            pass
    if (node, name) in promoted:
        return promoted[node, name]
    if node in graph and name in inputs(graph, node):
        return [Target(NodeId(node), name)]
    inside = [node_id for node_id in graph if node_id.endswith(f":{node}") and name in inputs(graph, node_id)]
    return [Target(NodeId(inside[0]), name)] if len(inside) == 1 else []
