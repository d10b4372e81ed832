"""The cache of node results by content; a result is kept as long as each next prompt contains it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from app.ports import Graph, Json
from app.simulator.engine.files import Files
from app.simulator.nodes.definitions import Catalog
from app.simulator.nodes.types import Value

NEVER_CACHED = {"SaveImageWebsocket"}
"""Classes that declare that they always change: their images exist only in the binary frames."""


class Result(Struct, frozen=True):
    """The result of a node: its outputs, and what it shows in `executed` (None if nothing)."""

    outputs: tuple[Value, ...]
    node_output: dict[str, Json] | None = None


class Cache:
    """Owns the results of the last prompt.

    As ComfyUI's classic cache: a result is found by the node's class, inputs and everything upstream, not by its id
    (except for classes that receive their own id). It is dropped when a prompt starts that does not contain it, so only
    repeated prompts benefit.
    """

    def __init__(self, catalog: Catalog, files: Files) -> None:
        self._catalog = catalog
        self._files = files
        self._results: dict[str, Result] = {}
        self._keys: dict[str, str] = {}
        self._prompts = 0

    def start(self, graph: Graph) -> None:
        """Start a prompt: compute the keys of its nodes, and drop the results that it does not contain."""
        self._keys = {}
        self._prompts += 1
        for node in graph:
            self._key(graph, node, ())
        keys = set(self._keys.values())
        self._results = {key: result for key, result in self._results.items() if key in keys}

    def get(self, node: str) -> Result | None:
        """Return the cached result of this node, or of an equal node with another id; None if there is none."""
        key = self._keys.get(node)
        return None if key is None else self._results.get(key)

    def put(self, node: str, result: Result) -> None:
        """Store a result; that of a node which was not in the submitted graph is kept for this prompt only."""
        self._results[self._keys.setdefault(node, f"ephemeral {node}")] = result

    def clear(self) -> None:
        """Drop all results, after POST /free with free_memory or a restart."""
        self._results.clear()

    def _key(self, graph: Graph, node: str, above: tuple[str, ...]) -> str:
        if node in self._keys:
            return self._keys[node]
        if node not in graph or node in above:
            return f"missing {node}"
        class_type = str(graph[node].get("class_type"))
        inputs = graph[node].get("inputs")
        parts: list[Json] = [class_type, node if self._catalog.sees_itself(class_type) else ""]
        if class_type in NEVER_CACHED:
            parts.append(self._prompts)
        if isinstance(inputs, dict):
            for name in sorted(inputs):
                value = inputs[name]
                if link := as_link(value):
                    parts.append([name, "from", self._key(graph, link[0], (*above, node)), link[1]])
                else:
                    parts.append([name, value, self._content(class_type, name, value)])
        key = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
        self._keys[node] = key
        return key

    def _content(self, class_type: str, name: str, value: Json) -> str:
        """Return a hash of a loader's file, as ComfyUI's IS_CHANGED does: an overwritten upload is a new input."""
        declared = self._catalog.inputs(class_type).get(name) if class_type.startswith("Load") else None
        if declared is None or not declared.upload or not isinstance(value, str):
            return ""
        path = self._files.annotated(value)
        return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def as_link(value: Json) -> tuple[str, int] | None:
    """Return the node and output that an input is linked to; None if it is not linked."""
    match value:
        case [str() as node, int() as slot]:
            return node, slot
        case _:
            return None


def links(node: Mapping[str, Json]) -> list[tuple[str, int]]:
    """Return all links into a node, in the order of its inputs."""
    inputs = node.get("inputs")
    values = inputs.values() if isinstance(inputs, dict) else ()
    return [link for value in values if (link := as_link(value))]
