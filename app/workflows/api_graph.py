"""Reads and changes graphs in ComfyUI's API format, and lists which nodes an output depends on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar, cast

from app.core.jobs.progress import title
from app.events import NodeId
from app.ports import Graph, Json
from app.workflows.model import Target, WorkflowError
from app.workflows.nodes.definitions import Definitions, Input
from app.workflows.reasons.graphs import (
    AmbiguousNode,
    DanglingLink,
    InputsNotATable,
    NotANode,
    NotAWorkflow,
    UnknownInput,
    UnknownNode,
)

J = TypeVar("J")

SEEDS = frozenset({"seed", "noise_seed"})
"""The names that ComfyUI's samplers give to the input that its editor randomises."""


def copied(graph: dict[str, J]) -> dict[str, J]:
    """Return a deep copy of a JSON object; the standard library's deep copy takes ten times as long."""
    return cast("dict[str, J]", _copy(cast("dict[str, Json]", graph)))


def _copy(table: dict[str, Json]) -> dict[str, Json]:
    fresh = table.copy()
    for key, value in table.items():
        if isinstance(value, dict):
            fresh[key] = _copy(value)
        elif isinstance(value, list):
            # Nearly all lists are connections, and most of the time is spent on them.
            is_link = len(value) == 2 and type(value[0]) is str and type(value[1]) is int
            fresh[key] = value.copy() if is_link else [_copy({"": element})[""] for element in value]
    return fresh


def check_graph(content: Json, where: str) -> Graph:
    """Check that a file's content is a graph in API format, and return it. Reasons name the file as `where`.

    Raises `WorkflowError` if it is not.
    """
    if not isinstance(content, dict) or not content:
        raise WorkflowError(NotAWorkflow(where))
    graph: Graph = {}
    for node, entry in content.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("class_type"), str):
            raise WorkflowError(NotANode(where, node))
        if not isinstance(entry.setdefault("inputs", {}), dict):
            raise WorkflowError(InputsNotATable(where, title({node: entry}, node)))
        graph[node] = entry
    for node in graph:
        for name, value in inputs(graph, node).items():
            match value:
                case [str() as source, int()] if source not in graph:
                    raise WorkflowError(DanglingLink(where, title(graph, node), name))
                case _:
                    continue
    return graph


def inputs(graph: Graph, node: str) -> dict[str, Json]:
    """Return a node's inputs, not a copy: changing them changes the graph."""
    table = graph[node]["inputs"]
    return table if isinstance(table, dict) else {}


def find_node(graph: Graph, address: str) -> NodeId:
    """Find a node by its id, else by its title, else by its class; ignores the case of title and class.

    Raises `WorkflowError` if no node has that name or several do.
    """
    if address in graph:
        return NodeId(address)
    titles = {node: title(graph, node) for node in graph}
    classes = {node: str(entry["class_type"]) for node, entry in graph.items()}
    for names in (titles, classes):
        matches = [node for node, name in names.items() if name.lower() == address.lower()]
        if len(matches) == 1:
            return NodeId(matches[0])
        if matches:
            raise WorkflowError(AmbiguousNode(address, tuple(matches)))
    raise WorkflowError(UnknownNode(address, tuple(titles.values())))


def find_target(graph: Graph, node: str, name: str) -> Target:
    """Find an input of a node (see `find_node`). Raises `WorkflowError` if the node or the input does not exist."""
    node_id = find_node(graph, node)
    if name not in inputs(graph, node_id):
        raise WorkflowError(UnknownInput(title(graph, node_id), name, tuple(inputs(graph, node_id))))
    return Target(node_id, name)


def known_input(graph: Graph, definitions: Definitions, target: Target) -> Input | None:
    """What a server knows about an input of a node with its present values; None if it has no such node or input."""
    if target.node not in graph:
        return None
    definition = definitions.get(str(graph[target.node].get("class_type")))
    return definition.live(inputs(graph, target.node)).get(target.input) if definition is not None else None


def seeds(graph: Graph) -> Iterator[Target]:
    """Yield every seed input that is a number in the graph, not a connection."""
    for node in graph:
        for name, value in inputs(graph, node).items():
            if name in SEEDS and isinstance(value, int):
                yield Target(NodeId(node), name)


def sources(graph: Graph, node: str) -> Iterator[str]:
    """Yield the nodes that a node's inputs come from, in the order of the inputs; the graph may lack some of them."""
    for value in inputs(graph, node).values():
        if isinstance(value, list) and value and isinstance(value[0], str):
            yield value[0]


def paid_nodes(graph: Graph, definitions: Definitions) -> dict[str, float | None]:
    """The nodes that call services which bill for it, and what a run of each costs in US dollars, None if unknown."""
    paid: dict[str, float | None] = {}
    for node in dependencies(graph, definitions):
        definition = definitions.get(str(graph[node].get("class_type")))
        if definition is not None and definition.is_paid:
            paid[node] = definition.price
    return paid


def dependencies(graph: Graph, definitions: Definitions) -> list[str]:
    """List the output nodes and everything they depend on, each node after its own dependencies.

    The server looks at no other nodes. A node whose class is unknown counts as an output; if no node is an output,
    lists every node.
    """
    kinds = {node: definitions.get(str(entry.get("class_type"))) for node, entry in graph.items()}
    done: dict[str, None] = {}
    # A loop instead of recursion, because a chain may be thousands of nodes long.
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
