"""What need not be computed again: results by content, for as long as the next prompt uses them."""

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
"""It says of itself that it always changes: its pictures are nowhere but in the frames."""


class Result(Struct, frozen=True):
    """What a node gave: its outputs, and what it showed (None if nothing)."""

    outputs: tuple[Value, ...]
    shown: dict[str, Json] | None = None


class Cache:
    """Owns the results of the last prompt.

    ComfyUI's classic cache: a result is found by class, inputs and all that lies upstream, never by node id,
    and is dropped when a prompt starts that does not contain it. So only repeated prompts profit.
    """

    def __init__(self, catalog: Catalog, files: Files) -> None:
        self._catalog = catalog
        self._files = files
        self._results: dict[str, Result] = {}
        self._keys: dict[str, str] = {}
        self._prompts = 0

    def start(self, graph: Graph) -> None:
        """A prompt begins: know its nodes, forget what it does not contain."""
        self._keys = {}
        self._prompts += 1
        for node in graph:
            self._key(graph, node, ())
        kept = set(self._keys.values())
        self._results = {key: result for key, result in self._results.items() if key in kept}

    def get(self, node: str) -> Result | None:
        """The result of this node, or of one that is the same but for its name."""
        key = self._keys.get(node)
        return None if key is None else self._results.get(key)

    def put(self, node: str, result: Result) -> None:
        """Keep a result; a node that was not in the submitted graph is kept for this prompt only."""
        self._results[self._keys.setdefault(node, f"ephemeral {node}")] = result

    def clear(self) -> None:
        """Forget everything: POST /free with free_memory, a restart."""
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
        """ComfyUI's IS_CHANGED of loaders: an upload that was overwritten is another input."""
        declared = self._catalog.inputs(class_type).get(name) if class_type.startswith("Load") else None
        if declared is None or not declared.upload or not isinstance(value, str):
            return ""
        path = self._files.annotated(value)
        return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def as_link(value: Json) -> tuple[str, int] | None:
    """The node and output that an input is linked to, if it is."""
    match value:
        case [str() as node, int() as slot]:
            return node, slot
        case _:
            return None


def links(node: Mapping[str, Json]) -> list[tuple[str, int]]:
    """All links into a node, in the order of its inputs."""
    inputs = node.get("inputs")
    values = inputs.values() if isinstance(inputs, dict) else ()
    return [link for value in values if (link := as_link(value))]
