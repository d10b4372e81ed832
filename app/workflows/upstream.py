"""What flows into what: where a node gets its inputs from, and all that the outputs need."""

from __future__ import annotations

from collections.abc import Iterator

from app.ports import Graph
from app.workflows.definitions import Definitions
from app.workflows.graph import inputs


def sources(graph: Graph, node: str) -> Iterator[str]:
    """The nodes that a node is connected to, in the order of its inputs; they may not be there."""
    for value in inputs(graph, node).values():
        if isinstance(value, list) and value and isinstance(value[0], str):
            yield value[0]


def needed(graph: Graph, definitions: Definitions) -> list[str]:
    """The outputs and all they depend on, each after what it gets something from.

    Every node, if it is not known which ones are outputs: the server looks at nothing else.
    """
    kinds = {node: definitions.get(str(entry.get("class_type"))) for node, entry in graph.items()}
    done: dict[str, None] = {}
    # A loop, because a chain may be thousands long.
    for output in [node for node, kind in kinds.items() if kind is None or kind.is_output] or list(graph):
        path = {output: sources(graph, output)} if output not in done else {}
        while path:
            node = next(reversed(path))
            source = next(path[node], None)
            if source is None:
                done[node] = None
                del path[node]
            elif source in graph and source not in done and source not in path:
                path[source] = sources(graph, source)
    return list(done)
