"""What a graph makes, told by its output nodes."""

from __future__ import annotations

from collections.abc import Sequence

from app.ports import Graph
from app.workflows.api_graph import inputs
from app.workflows.manifest.schema import Result
from app.workflows.node_definitions import Definitions

KINDS: dict[str, Result] = {"IMAGE": "image", "VIDEO": "video", "AUDIO": "audio", "STRING": "text"}
"""What an output's connection carries, and what comes of it."""

MOVING = frozenset({"fps", "frame_rate"})
"""With one of these fields, a node makes a film of its pictures."""


def made(graph: Graph, definitions: Definitions, outputs: Sequence[str] = ()) -> Result:
    """The kind of the results of `outputs`, of all if none is named; "" if they differ, or it is not known.

    What is only a preview counts where nothing else comes out.
    """
    kinds: dict[bool, set[Result]] = {True: set(), False: set()}
    for node in outputs or graph:
        kind = str(graph[node].get("class_type"))
        definition = definitions.get(kind)
        if definition is not None and definition.is_output:
            kinds["preview" in kind.lower()].add(_of(graph, definitions, node))
    found = kinds[False] or kinds[True]
    return found.pop() if len(found) == 1 else ""


def _of(graph: Graph, definitions: Definitions, node: str) -> Result:
    """The kind of what comes into an output node; "" for anything else than what is shown."""
    for value in inputs(graph, node).values():
        match value:
            case [str() as source, int() as number] if source in graph:
                definition = definitions.get(str(graph[source].get("class_type")))
                given = definition.outputs[number : number + 1] if definition is not None and number >= 0 else ()
                found = KINDS.get("".join(given), "")
                if found:
                    return "video" if found == "image" and MOVING & inputs(graph, node).keys() else found
            case _:
                continue
    return ""
