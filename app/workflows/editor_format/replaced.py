"""Replaces node classes that ComfyUI has renamed or merged, as its server does with a prompt."""

from __future__ import annotations

from msgspec.structs import replace

from app.workflows.editor_format.parser import Node
from app.workflows.nodes.definitions import Definitions


def replaced(node: Node, definitions: Definitions) -> Node:
    """Return a node with the class that replaces its own, if the server has only the new one; else the node itself."""
    new = definitions.replacement(node.type)
    if new is None or definitions.get(node.type) is not None or definitions.get(new.by) is None:
        return node
    values = node.values
    if new.fields:
        # The row of values has the order of the old class, so the values are passed on by name.
        old = values if isinstance(values, dict) else dict(zip(new.fields, values, strict=False))
        values = {**new.added, **{new.names.get(name, name): value for name, value in old.items()}}
    return replace(
        node,
        type=new.by,
        inputs=tuple(
            replace(
                socket,
                name=new.names.get(socket.name, socket.name),
                widget=new.names.get(socket.widget, socket.widget),
            )
            for socket in node.inputs
        ),
        values=values,
        named={},
    )
