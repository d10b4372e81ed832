"""Determines the kind of a graph's results from its output nodes."""

from __future__ import annotations

from collections.abc import Sequence

from app.ports import Graph
from app.workflows.api_graph import inputs
from app.workflows.model import Result
from app.workflows.nodes.definitions import Definitions

KINDS: dict[str, Result] = {"IMAGE": "image", "VIDEO": "video", "AUDIO": "audio", "STRING": "text"}
"""The type of the connection into an output node, and the kind of result."""

MOVING = frozenset({"fps", "frame_rate"})
"""A node with one of these inputs makes a video of its images."""


def made(graph: Graph, definitions: Definitions, outputs: Sequence[str] = ()) -> Result:
    """Return the kind of the results of `outputs` (default: all output nodes); "" if they differ or are unknown.

    Preview nodes count only if there is no other output.
    """
    kinds: dict[bool, set[Result]] = {True: set(), False: set()}
    for node in outputs or graph:
        kind = str(graph[node].get("class_type"))
        definition = definitions.get(kind)
        if definition is not None and definition.is_output:
            kinds["preview" in kind.lower()].add(_of(graph, definitions, node))
    results = kinds[False] or kinds[True]
    return results.pop() if len(results) == 1 else ""


def _of(graph: Graph, definitions: Definitions, node: str) -> Result:
    """Return the kind of result that an output node receives; "" if it is none of `KINDS`."""
    for value in inputs(graph, node).values():
        match value:
            case [str() as source, int() as number] if source in graph:
                definition = definitions.get(str(graph[source].get("class_type")))
                output_type = definition.outputs[number : number + 1] if definition is not None and number >= 0 else ()
                result = KINDS.get("".join(output_type), "")
                if result:
                    return "video" if result == "image" and MOVING & inputs(graph, node).keys() else result
            case _:
                continue
    return ""
