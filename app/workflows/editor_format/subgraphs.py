"""Subgraphs laid open: every use of a subgraph becomes a sheet of its own, with the values it was given."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from app.ports import Json
from app.workflows.editor_format.parser import BYPASSED, INSIDE, MUTED, OUTSIDE, EditorFile, EditorGraph, Link, Node
from app.workflows.model import WorkflowError

DEEPEST = 32
"""Subgraphs within subgraphs; nobody draws that many, and a file that holds itself has no end."""

MOST = 20_000
"""Nodes after all subgraphs are laid open; a server with more would not answer anyhow."""


class Opened(Struct, eq=False, kw_only=True):
    """One use of a sheet: the workflow itself, or a subgraph at the place of one node."""

    path: tuple[str, ...]
    graph: EditorGraph
    values: dict[str, Json] = {}
    """What was given to the subgraph's own inputs, by their names."""
    overrides: dict[tuple[str, str], Json] = {}
    """What was given to fields of its nodes: (node, field)."""
    outer: Opened | None = None
    host: Node | None = None
    inner: dict[str, Opened] = {}
    """The sheets of its subgraphs, by the id of the node that stands for each."""
    ends: dict[int, Link]
    """The links that leave it, by the output they lead to."""

    def id(self, node: Node) -> str:
        """A node's id in API format, such as `10:2`."""
        return ":".join((*self.path, node.id))


def expand(editor_file: EditorFile) -> list[Opened]:
    """All sheets in use, the workflow first; subgraphs that are switched off are left closed.

    Raises `WorkflowError`.
    """
    found: list[Opened] = []
    root = Opened(path=(), graph=editor_file.graph, ends={})
    waiting, nodes = [root], 0
    while waiting:
        here = waiting.pop(0)
        found.append(here)
        nodes += len(here.graph.nodes)
        if nodes > MOST:
            raise WorkflowError(f"The workflow has more than {MOST} nodes once its subgraphs are laid open.")
        for node in here.graph.nodes.values():
            graph = editor_file.subgraphs.get(node.type)
            if graph is None or node.mode in {MUTED, BYPASSED}:
                continue
            if len(here.path) >= DEEPEST:
                raise WorkflowError(f"The subgraph “{node.name}” holds itself, or more than {DEEPEST} others in a row.")
            here.inner[node.id] = inner = _open(here, node, graph)
            waiting.append(inner)
    return found


def _open(here: Opened, node: Node, graph: EditorGraph) -> Opened:
    values: dict[str, Json] = {}
    overrides: dict[tuple[str, str], Json] = {}
    for (inner, name), value in _given(node, graph):
        if value is None:
            continue
        if inner == "-1":
            values[name] = value
        else:
            overrides[inner, name] = value
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


def _given(node: Node, graph: EditorGraph) -> Iterator[tuple[tuple[str, str], Json]]:
    """The values on a subgraph's node, each with its node inside ("-1": an input of the subgraph) and its field."""
    if isinstance(node.values, dict):
        yield from ((("-1", name), value) for name, value in node.values.items())
        return
    own = tuple(("-1", name) for name in _fields(node, graph))
    places = node.promoted or own
    if node.promoted and len(node.values) != len(places):
        # Some versions saved only the values of the subgraph's own inputs.
        inputs = tuple(place for place in places if place[0] == "-1")
        places = inputs if len(inputs) == len(node.values) else places
    yield from zip(places, node.values, strict=False)


def _fields(node: Node, graph: EditorGraph) -> Iterator[str]:
    """The inputs of a subgraph that have a field: those that lead to a field inside."""
    leading = {
        link.slot
        for inner in graph.nodes.values()
        for one in inner.inputs
        if one.widget and (link := graph.links.get(one.link or "")) is not None and link.origin == INSIDE
    }
    for slot, name in enumerate(graph.inputs):
        shown = node.socket(name)
        if slot in leading or (shown is not None and shown.widget):
            yield name
