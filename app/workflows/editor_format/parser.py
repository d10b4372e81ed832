"""Parses the editor's own format: nodes, links and subgraphs. Missing parts become empty; damage is an error."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from app.ports import Json
from app.workflows.model import WorkflowError
from app.workflows.reasons.editor_format import DamagedNode, NoListOfNodes, SameId

INSIDE, OUTSIDE = "-10", "-20"
"""The node ids that the editor gives to the inputs (left edge) and the outputs (right edge) of a subgraph."""

CONTROLS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
"""How a seed may change after a run; saved in a separate field after the seed."""

CAMERA = "Camera Config"
"""The property of a node with a view of a 3D model."""

MUTED, BYPASSED = 2, 4
"""The editor's modes for nodes that are switched off, and for those that only pass their inputs on."""


class Socket(Struct, frozen=True, kw_only=True):
    """An input of a node. `widget` is the name of its field, "" for none."""

    name: str
    type: str = "*"
    link: str | None = None
    widget: str = ""


class Node(Struct, frozen=True, kw_only=True):
    """A node as the editor saved it. `title` is "" if the file has none."""

    id: str
    type: str
    mode: int = 0
    title: str = ""
    inputs: tuple[Socket, ...] = ()
    outputs: tuple[str, ...] = ()
    """The types of the node's outputs."""
    values: list[Json] | dict[str, Json] = []
    promoted: tuple[tuple[str, str], ...] | None = None
    """The fields that a subgraph's node shows, as (inner node, field), in the order of `values`.

    None in files from before 2025-09.
    """
    named: dict[str, Json] = {}
    """The values by the names of their fields, which editors save since 2026, beside `values`."""
    kept: dict[str, Json] = {}
    """The values of a subgraph's inputs that the editor set aside when it read a file of an older version."""
    camera: Json = None
    """How the editor looks at a 3D model."""

    @property
    def name(self) -> str:
        """The name of the node as people know it: its title, else its class."""
        return self.title or self.type

    def socket(self, name: str) -> Socket | None:
        """Return an input by its name; None if the file lacks it: the editor leaves out unconnected fields."""
        return next((socket for socket in self.inputs if socket.name == name), None)


class Link(Struct, frozen=True):
    """A connection from an output to an input."""

    origin: str
    slot: int
    target: str
    target_slot: int


class EditorGraph(Struct, frozen=True, kw_only=True):
    """A graph in the editor's format: the workflow itself, or a subgraph with the names of its inputs."""

    nodes: dict[str, Node]
    links: dict[str, Link]
    inputs: tuple[str, ...] = ()
    input_links: tuple[tuple[str, ...], ...] = ()
    """The links that come from each input, in the order in which the editor asks them for a field."""


class EditorFile(Struct, frozen=True, kw_only=True):
    """A whole file: the workflow, its subgraphs by id, and its app mode."""

    graph: EditorGraph
    subgraphs: dict[str, EditorGraph]
    groups: frozenset[str] = frozenset()
    """The names of group nodes, the predecessors of subgraphs."""
    app: Json = None


def is_editor_file(content: Json) -> bool:
    """Return whether a file is in the editor's own format, not in API format."""
    return isinstance(content, dict) and isinstance(content.get("nodes"), list)


def read_editor_file(content: Json) -> EditorFile:
    """Parse a file in the editor's format, version 0.4 or 1. Raises `WorkflowError`."""
    if not isinstance(content, dict) or not is_editor_file(content):
        raise WorkflowError(NoListOfNodes())
    extra = _table(content.get("extra"))
    subgraphs: dict[str, EditorGraph] = {}
    for where in (extra, content):
        for subgraph in _list(_table(where.get("definitions")).get("subgraphs")):
            if isinstance(subgraph, dict) and "id" in subgraph:
                subgraphs[_text(subgraph["id"])] = _sheet(subgraph)
    return EditorFile(
        graph=_sheet(content),
        subgraphs=subgraphs,
        groups=frozenset(_table(extra.get("groupNodes"))),
        app=extra.get("linearData"),
    )


def _sheet(content: dict[str, Json]) -> EditorGraph:
    nodes: dict[str, Node] = {}
    for entry in _list(content.get("nodes")):
        if not isinstance(entry, dict) or "id" not in entry or not isinstance(kind := entry.get("type"), str):
            raise WorkflowError(DamagedNode())
        node = _node(entry, kind)
        if node.id in nodes:
            raise WorkflowError(SameId((nodes[node.id].name, node.name), node.id))
        nodes[node.id] = node
    links = dict(_links(content.get("links")))
    inputs = [_table(entry) for entry in _list(content.get("inputs"))]
    return EditorGraph(
        nodes=nodes,
        links=links,
        inputs=tuple(_text(entry.get("name")) for entry in inputs),
        input_links=tuple(_input_links(entry, slot, links) for slot, entry in enumerate(inputs)),
    )


def _input_links(entry: dict[str, Json], slot: int, links: dict[str, Link]) -> tuple[str, ...]:
    listed = entry.get("linkIds")
    if isinstance(listed, list):
        return tuple(_text(link) for link in listed)
    return tuple(id_ for id_, link in links.items() if link.origin == INSIDE and link.slot == slot)


def _node(entry: dict[str, Json], kind: str) -> Node:
    mode, values, properties = entry.get("mode"), entry.get("widgets_values"), _table(entry.get("properties"))
    proxies = properties.get("proxyWidgets")
    return Node(
        id=_text(entry["id"]),
        type=kind,
        mode=mode if isinstance(mode, int) else 0,
        title=_text(entry.get("title")),
        inputs=tuple(_socket(socket) for socket in _list(entry.get("inputs")) if isinstance(socket, dict)),
        outputs=tuple(_type(_table(output).get("type")) for output in _list(entry.get("outputs"))),
        values=values if isinstance(values, (list, dict)) else [],
        promoted=tuple(
            (_text(proxy[0]), _text(proxy[1])) for proxy in proxies if isinstance(proxy, list) and len(proxy) > 1
        )
        if isinstance(proxies, list)
        else None,
        named=_table(entry.get("widgets_values_named")),
        kept=dict(_kept(properties.get("proxyWidgetErrorQuarantine"))),
        camera=_table(properties.get(CAMERA)).get("state"),
    )


def _kept(entries: Json) -> Iterator[tuple[str, Json]]:
    # The first entry of a name counts.
    for entry in reversed(_list(entries)):
        match entry:
            case {"originalEntry": ["-1", str() as name, *_], "hostValue": value} if value is not None:
                yield name, value
            case _:
                continue


def _socket(entry: dict[str, Json]) -> Socket:
    link = entry.get("link")
    return Socket(
        name=_text(entry.get("name")),
        type=_type(entry.get("type")),
        link=None if link is None else _text(link),
        widget=_text(_table(entry.get("widget")).get("name")),
    )


def _links(entries: Json) -> Iterator[tuple[str, Link]]:
    """Parse links: lists in version 0.4, objects in version 1 and in subgraphs. Skips what the editor would skip."""
    for entry in entries.values() if isinstance(entries, dict) else _list(entries):
        match entry:
            case [id_, origin, int() as slot, target, int() as target_slot, *_]:
                yield _text(id_), Link(_text(origin), slot, _text(target), target_slot)
            case {"id": id_, "origin_id": origin, "origin_slot": int() as slot, "target_id": target, **rest}:
                end = rest.get("target_slot")
                yield _text(id_), Link(_text(origin), slot, _text(target), end if isinstance(end, int) else -1)
            case _:
                continue


def _type(value: Json) -> str:
    """Parse a type: the editor writes 0 or -1 for any type, and a list for a combo."""
    return value if isinstance(value, str) else "COMBO" if isinstance(value, list) else "*"


def _text(value: Json) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _table(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
