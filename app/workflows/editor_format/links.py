"""Finds the source of an input's value, past everything that exists only in the editor."""

from __future__ import annotations

from msgspec import Struct

from app.ports import Json
from app.workflows.editor_format.parser import BYPASSED, INSIDE, MUTED, Node, Socket
from app.workflows.editor_format.subgraphs import Opened
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import compatible
from app.workflows.reasons.editor_format import (
    LinkLoop,
    MissingLink,
    MissingOrigin,
    MissingSubgraphInput,
    UnsetName,
)

REROUTES = frozenset({"Reroute", "Reroute (rgthree)"})
"""Nodes that only redirect a link."""

PRIMITIVE = "PrimitiveNode"
"""A node that holds a value for one or more fields, which the editor writes into them before sending."""

SETTERS, GETTERS = frozenset({"SetNode", "easy setNode"}), frozenset({"GetNode", "easy getNode"})
"""Links by name: a getter takes the input of the setter of the same name."""

UNSENT = frozenset(
    {
        "Note",
        "MarkdownNote",
        "Label (rgthree)",
        "Bookmark (rgthree)",
        "Fast Muter (rgthree)",
        "Fast Bypasser (rgthree)",
        "Fast Groups Muter (rgthree)",
        "Fast Groups Bypasser (rgthree)",
        *REROUTES,
        PRIMITIVE,
        *SETTERS,
        *GETTERS,
    }
)
"""Nodes that exist only in the editor: no server has them, and they are not sent."""


class Wire(Struct, frozen=True):
    """An output of a node that is sent."""

    node: str
    slot: int


class Held(Struct, frozen=True):
    """No source node, but possibly a value for the field that a subgraph or a primitive node holds."""

    value: Json = None
    has_value: bool = False
    """Whether there is such a value; if not, the field's own value is used."""
    through: tuple[tuple[str, str], ...] = ()
    """The subgraph inputs that lead to the field, as (node, input), the nearest first."""
    edge: tuple[Opened, int] | None = None
    """The last of them, as the subgraph and the number of its input."""


class Lost(Struct, frozen=True):
    """The source is a node that is switched off, so the input gets no value."""


class _Place(Struct, frozen=True):
    """An input on the way from the start of a trace to its source."""

    here: Opened
    node: Node
    socket: Socket
    traced_type: str
    """The type of the traced input; it determines which input a bypassed node passes on."""


def trace(here: Opened, node: Node, start: Socket) -> Wire | Held | Lost:
    """Follow an input to its source. Raises `WorkflowError` if links form a cycle, or a node or link is missing.

    Uses a loop instead of recursion, because a link may pass through thousands of nodes.
    """
    place: _Place | Wire | Held | Lost = _Place(here, node, start, start.type)
    edge = Held()
    seen: set[tuple[tuple[str, ...], str, int]] = set()
    while isinstance(place, _Place):
        if place.socket.link is None:
            return edge
        here, origin, slot = _origin(place)
        if (key := (here.path, origin, slot)) in seen:
            raise WorkflowError(LinkLoop(place.node.name, place.socket.name))
        seen.add(key)
        if origin == INSIDE:
            edge = _edge(here, slot, edge)
            place = _outside(here, slot, place) or edge
            continue
        edge = Held()
        if origin == NOWHERE:
            return edge
        source = here.graph.nodes.get(origin)
        if source is None:
            raise WorkflowError(MissingOrigin(place.node.name, place.socket.name))
        place = _step(here, source, slot, place.traced_type)
    return place


NOWHERE = "none"
"""The origin of a subgraph's output to which nothing is connected."""


def _origin(place: _Place) -> tuple[Opened, str, int]:
    """Return the node at the other end of an input's link, inside a subgraph if the link comes out of one."""
    here = place.here
    link = here.graph.links.get(place.socket.link or "")
    if link is None:
        raise WorkflowError(MissingLink(place.node.name, place.socket.name))
    origin, slot = link.origin, link.slot
    while origin in here.inner:
        here = here.inner[origin]
        end = here.ends.get(slot)
        origin, slot = (end.origin, end.slot) if end is not None else (NOWHERE, slot)
    return here, origin, slot


def _edge(here: Opened, slot: int, before: Held) -> Held:
    """Return the value that a subgraph holds for one of its inputs; an outer subgraph overrides an inner one."""
    if here.outer is None or here.host is None or not 0 <= slot < len(here.graph.inputs):
        return before
    name = here.graph.inputs[slot]
    through = (*before.through, (here.outer.id(here.host), name))
    if name in here.values:
        return Held(here.values[name], has_value=True, through=through, edge=(here, slot))
    return Held(before.value, before.has_value, through, (here, slot))


def _outside(here: Opened, slot: int, place: _Place) -> _Place | None:
    """Return the input on the outside of a subgraph; None if the subgraph's node does not show it."""
    if here.outer is None or here.host is None or not 0 <= slot < len(here.graph.inputs):
        raise WorkflowError(MissingSubgraphInput(place.node.name, place.socket.name))
    socket = here.host.socket(here.graph.inputs[slot])
    return _Place(here.outer, here.host, socket, socket.type) if socket is not None else None


def _step(here: Opened, source: Node, slot: int, traced_type: str) -> _Place | Wire | Held | Lost:
    """Go from a node's output to its input, if the node only passes it on; else return the result of the trace."""
    if source.mode == MUTED:
        return Lost()
    if source.mode == BYPASSED:
        passed = _passed(source, slot, traced_type)
        return _Place(here, source, passed, passed.type) if passed is not None else Held()
    if source.type == PRIMITIVE:
        own = source.values if isinstance(source.values, list) else []
        # A subgraph's node may show the field of a primitive inside it, and then holds its value.
        held = here.overrides.get((source.id, "value"), own[0] if own else None)
        return Held(held, has_value=True) if own or held is not None else Held()
    if source.type in GETTERS:
        return _setter(here, source, traced_type) or Held()
    if source.type in REROUTES or source.type in SETTERS:
        return _Place(here, source, source.inputs[0], traced_type) if source.inputs else Held()
    return Held() if source.type in UNSENT else Wire(here.id(source), slot)


def _passed(source: Node, slot: int, traced_type: str) -> Socket | None:
    """Return the input that a bypassed node passes on for an output.

    As in the editor: for a traced type of `*`, the input of the same number, else the first input. For another type,
    the input of the same number if it fits, else the first of exactly that type, else the first that fits.
    """
    inputs = source.inputs
    same = inputs[slot] if 0 <= slot < len(inputs) else None
    if traced_type in {"*", ""}:
        return same or next(iter(inputs), None)
    output_type = source.outputs[slot] if 0 <= slot < len(source.outputs) else traced_type
    fitting = [
        socket for socket in inputs if compatible(socket.type, output_type) and compatible(socket.type, traced_type)
    ]
    if same in fitting:
        return same
    return next((socket for socket in inputs if socket.type == traced_type), next(iter(fitting), None))


def _setter(here: Opened, getter: Node, traced_type: str) -> _Place | None:
    """Return the input of the setter with a getter's name: in the same graph, else in those around it."""
    name = getter.values[0] if isinstance(getter.values, list) and getter.values else None
    at: Opened | None = here
    while at is not None:
        for node in at.graph.nodes.values():
            if node.type in SETTERS and node.inputs and isinstance(node.values, list) and node.values[:1] == [name]:
                return _Place(at, node, node.inputs[0], traced_type)
        at = at.outer
    raise WorkflowError(UnsetName(getter.name, str(name)))
