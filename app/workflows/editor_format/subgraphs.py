"""Expands subgraphs: each use of a subgraph becomes an `Opened` of its own, with the values that it was given."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from app.ports import Json
from app.workflows.editor_format.parser import (
    BYPASSED,
    CONTROLS,
    INSIDE,
    MUTED,
    OUTSIDE,
    EditorFile,
    EditorGraph,
    Link,
    Node,
)
from app.workflows.model import WorkflowError
from app.workflows.reasons.editor_format import NestedSubgraphs, TooManyNodes

DEEPEST = 32
"""The limit for subgraphs within subgraphs. No real file has that many; one that contains itself would never end."""

MOST = 20_000
"""The limit for nodes after all subgraphs are expanded; a server with more nodes would not respond anyway."""


class Opened(Struct, eq=False, kw_only=True):
    """One use of a graph: the workflow itself, or a subgraph in the place of one node."""

    path: tuple[str, ...]
    graph: EditorGraph
    values: dict[str, Json] = {}
    """The values that were given to the subgraph's own inputs, by their names."""
    overrides: dict[tuple[str, str], Json] = {}
    """The values that were given to fields of the nodes inside, by (node, field)."""
    outer: Opened | None = None
    host: Node | None = None
    inner: dict[str, Opened] = {}
    """The subgraphs used in this graph, by the id of the node that stands for each."""
    ends: dict[int, Link]
    """The links to the subgraph's outputs, by the number of the output."""

    def id(self, node: Node) -> str:
        """Return a node's id in API format, such as `10:2`."""
        return ":".join((*self.path, node.id))


def expand(editor_file: EditorFile) -> list[Opened]:
    """Return every use of a graph, the workflow first; subgraphs that are muted or bypassed are not expanded.

    Raises `WorkflowError` if there are more than `MOST` nodes, or more than `DEEPEST` subgraphs within each other.
    """
    opened: list[Opened] = []
    root = Opened(path=(), graph=editor_file.graph, ends={})
    waiting, nodes = [root], 0
    while waiting:
        here = waiting.pop(0)
        opened.append(here)
        nodes += len(here.graph.nodes)
        if nodes > MOST:
            raise WorkflowError(TooManyNodes(MOST))
        for node in here.graph.nodes.values():
            graph = editor_file.subgraphs.get(node.type)
            if graph is None or node.mode in {MUTED, BYPASSED}:
                continue
            if len(here.path) >= DEEPEST:
                raise WorkflowError(NestedSubgraphs(node.name, DEEPEST))
            here.inner[node.id] = inner = _open(here, node, graph)
            waiting.append(inner)
    return opened


def _open(here: Opened, node: Node, graph: EditorGraph) -> Opened:
    values: dict[str, Json] = {}
    overrides: dict[tuple[str, str], Json] = {}
    for (inner, name), value in _host_values(node, graph):
        if value is None:
            continue
        if inner == "-1":
            values[name] = value
        elif (shown := _leading(graph, inner, name)) is not None:
            # The field belongs to one of the subgraph's inputs, which may lead to other inputs, too.
            values[shown] = value
        else:
            overrides[inner, name] = value
    values |= node.kept
    for (host, name), value in here.overrides.items():
        if host == node.id and name in graph.inputs:
            values[name] = value
        elif host == node.id:
            overrides |= {place: value for place in node.promoted or () if place[1] == name}
    return Opened(
        path=(*here.path, node.id),
        graph=graph,
        values=values,
        overrides=overrides,
        outer=here,
        host=node,
        ends={link.target_slot: link for link in graph.links.values() if link.target == OUTSIDE},
    )


def _host_values(node: Node, graph: EditorGraph) -> Iterator[tuple[tuple[str, str], Json]]:
    """Yield the values of a subgraph's node, each with (inner node, field); "-1" is the subgraph's own input."""
    if isinstance(node.values, dict):
        yield from ((("-1", name), value) for name, value in node.values.items())
        return
    own = tuple(("-1", name) for name in _fields(node, graph))
    places = node.promoted or own
    if node.promoted and len(node.values) != len(places):
        # Some versions saved only the values of the subgraph's own inputs.
        inputs = tuple(place for place in places if place[0] == "-1")
        places = inputs if len(inputs) == len(node.values) else places
    values = node.values
    if len(values) > len(places):
        # Some versions also saved how a seed changes after a run.
        values = [value for number, value in enumerate(values) if number == 0 or not _is_control(values, number)]
    yield from zip(places, values, strict=False)


def _is_control(values: list[Json], number: int) -> bool:
    return values[number] in CONTROLS and isinstance(values[number - 1], int)


def _leading(graph: EditorGraph, inner: str, name: str) -> str | None:
    """Return the subgraph's input that leads to a field inside; None if none does."""
    node = graph.nodes.get(inner)
    for socket in node.inputs if node is not None else ():
        link = graph.links.get(socket.link or "") if name in {socket.widget, socket.name} else None
        if link is not None and link.origin == INSIDE and 0 <= link.slot < len(graph.inputs):
            return graph.inputs[link.slot]
    return None


def _fields(node: Node, graph: EditorGraph) -> Iterator[str]:
    """Yield the inputs of a subgraph that have a field: those that lead to a field inside."""
    leading = {
        link.slot
        for inner in graph.nodes.values()
        for socket in inner.inputs
        if socket.widget and (link := graph.links.get(socket.link or "")) is not None and link.origin == INSIDE
    }
    for slot, name in enumerate(graph.inputs):
        socket = node.socket(name)
        if slot in leading or (socket is not None and socket.widget):
            yield name
