"""What only the chosen server knows of a graph, filled in before it is sent there."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

from app.events import NodeId
from app.jobs import Wish
from app.ports import Comfy, Graph, Json, Refused


class Completion:
    """Completes graphs for one server. Owns the first of each of its lists, until it refuses a graph."""

    def __init__(self, comfy: Comfy) -> None:
        self._comfy = comfy
        self._firsts: dict[tuple[str, str], str] = {}

    async def complete(self, wish: Wish) -> Graph:
        """A job's graph with the names of its uploaded files, and the server's first model where none was chosen.

        Raises `ConnectionLost`, `Refused`, and `OSError` for a file that cannot be read.
        """
        graph = copy.deepcopy(wish.graph)
        for upload in wish.uploads:
            _inputs(graph, upload.node)[upload.input] = await self._comfy.upload(Path(upload.path))
        await self._choose(wish, graph)
        return graph

    async def mend(self, wish: Wish, graph: Graph, missing: Sequence[tuple[NodeId, str]]) -> bool:
        """Change what the server refused, as far as it was not the person's choice; whether there is a change.

        Its lists may be others than they were, and its nodes newer than the workflow: inputs that are `missing` get
        its defaults. Raises `ConnectionLost` and `Refused`.
        """
        before = copy.deepcopy(graph)
        self._firsts.clear()
        await self._choose(wish, graph)
        for node, name in missing:
            if (value := await self._comfy.default(_kind(graph, node), name)) is None:
                return False
            _inputs(graph, node)[name] = value
        return graph != before

    async def _choose(self, wish: Wish, graph: Graph) -> None:
        for choice in wish.choices:
            key = _kind(graph, choice.node), choice.input
            if key not in self._firsts:
                if not (offered := await self._comfy.choices(*key)):
                    reason = f"The server offers nothing for “{choice.input}” of {key[0]}: put a model there first."
                    raise Refused(reason)
                self._firsts[key] = offered[0]
            _inputs(graph, choice.node)[choice.input] = self._firsts[key]


def _kind(graph: Graph, node: NodeId) -> str:
    return str(graph[node].get("class_type"))


def _inputs(graph: Graph, node: str) -> dict[str, Json]:
    inputs = graph[node].setdefault("inputs", {})
    if not isinstance(inputs, dict):
        raise Refused(f"Node {node} of the workflow has inputs that are no table.")
    return inputs
