"""Finds the value of a subgraph's input that nothing outside sets: the editor shows a field inside in its place."""

from __future__ import annotations

from app.ports import Json
from app.workflows.editor_format.parser import Node
from app.workflows.editor_format.subgraphs import Opened
from app.workflows.editor_format.widgets import field_values
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import Definitions


def shown_value(definitions: Definitions, here: Opened, slot: int) -> Json:
    """Return the value of the first field inside that an input of a subgraph leads to; None if it leads to none.

    All that is connected to the input gets this value, sockets without a field included.
    """
    for link_id in here.graph.input_links[slot]:
        link = here.graph.links.get(link_id)
        node = here.graph.nodes.get(link.target) if link is not None else None
        if node is None:
            continue
        for socket in node.inputs:
            if socket.link != link_id:
                continue
            nested = here.inner.get(node.id)
            if nested is not None and socket.name in nested.graph.inputs:
                inner = nested.graph.inputs.index(socket.name)
                value = nested.values.get(socket.name, shown_value(definitions, nested, inner))
            else:
                value = _field(definitions, here, node, socket.widget)
            if value is not None:
                return value
    return None


def _field(definitions: Definitions, here: Opened, node: Node, name: str) -> Json:
    definition = definitions.get(node.type)
    if not name or definition is None:
        return None
    try:
        return here.overrides.get((node.id, name), field_values(node, definition).get(name))
    except WorkflowError:
        # If the node is sent, its own conversion raises the same error.
        return None
