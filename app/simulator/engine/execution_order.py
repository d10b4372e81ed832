"""The order in which nodes run: ComfyUI's topological order, which prefers nodes that lead to an output soon."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.ports import Json
from app.simulator.engine.cache import links


class Order:
    """Owns the nodes of one prompt that have not run yet.

    As measured (T01, T02): nodes are found depth-first from each output. Of the nodes that are ready, an output comes
    first, then a node that feeds an output, then a node two links before an output, else the first that was found.
    """

    def __init__(
        self,
        node_of: Callable[[str], dict[str, Json]],
        is_output: Callable[[str], bool],
        is_cached: Callable[[str], bool],
    ) -> None:
        self._node_of = node_of
        self._is_output = is_output
        self._is_cached = is_cached
        self._waiting: dict[str, int] = {}
        self._feeds: dict[str, dict[str, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, node: str) -> None:
        """Add a node, and everything it depends on that is not cached."""
        stack, found_links = [node], list[tuple[str, str]]()
        while stack:
            current = stack.pop()
            if current in self._waiting:
                continue
            self._waiting[current] = 0
            self._feeds[current] = {}
            for source, _ in links(self._node_of(current)):
                if not self._is_cached(source):
                    stack.append(source)
                found_links.append((source, current))
        for source, target in found_links:
            self.hold(target, source)

    def hold(self, target: str, source: str) -> None:
        """Make `target` wait for `source`, unless the result of `source` is cached."""
        if self._is_cached(source):
            return
        self.add(source)
        if target not in self._feeds[source]:
            self._feeds[source][target] = None
            self._waiting[target] += 1

    def next(self) -> str | None:
        """Return the node to run now; None if the remaining nodes wait for each other."""
        ready = [node for node, count in self._waiting.items() if count == 0]
        for distance in range(3):
            for node in ready:
                if any(map(self._is_output, self._downstream(node, distance))):
                    return node
        return ready[0] if ready else None

    def done(self, node: str) -> None:
        """Remove a node that has run."""
        del self._waiting[node]
        for target in self._feeds.pop(node):
            self._waiting[target] -= 1

    def _downstream(self, node: str, distance: int) -> Iterable[str]:
        reached = [node]
        for _ in range(distance):
            reached = [target for source in reached for target in self._feeds.get(source, ())]
        return reached
