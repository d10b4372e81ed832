"""In which order ComfyUI runs the nodes of a prompt, and which of them it need not run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from app.ports import Graph, Json
from app.simulator.validation import sources


def signature(graph: Graph, node: str) -> bytes:
    """What a node's result depends on: its class and inputs, and those of all before it."""

    def describe(node: str) -> Json:
        inputs = graph[node].get("inputs")
        told: dict[str, Json] = {}
        for name, value in inputs.items() if isinstance(inputs, dict) else ():
            match value:
                case [str() as source, slot] if source in graph:
                    told[name] = [describe(source), slot]
                case _:
                    told[name] = [value]
        return [graph[node]["class_type"], told]

    return msgspec.json.encode(describe(node), order="deterministic")


def run_order(graph: Graph, outputs: list[str], cached: Callable[[str], bool]) -> Iterator[str]:
    """Yield the nodes to run; cached ones only if they are outputs, whose results are shown again.

    The next node is an output that is ready, else one that an output waits for, else one that such a one
    waits for, else the first: so that people see something soon (measured, T01).
    """
    pending: dict[str, set[str]] = {}
    waiters: dict[str, list[str]] = {}

    def add(output: str) -> None:
        # The last input first, as a stack has it: this is visible in the order of the loaders (T02a).
        stack = [output]
        while stack:
            node = stack.pop()
            if node in pending:
                continue
            pending[node] = set()
            if cached(node):
                continue
            for source in sources(graph, node):
                if not cached(source):
                    pending[node].add(source)
                    waiters.setdefault(source, []).append(node)
                    stack.append(source)

    for output in outputs:
        add(output)
    while pending:
        ready = [node for node, blockers in pending.items() if not blockers]
        node = _pick(ready, set(outputs), waiters)
        del pending[node]
        for waiter in waiters.get(node, []):
            pending[waiter].discard(node)
        yield node


def _pick(ready: list[str], outputs: set[str], waiters: dict[str, list[str]]) -> str:
    for node in ready:
        if node in outputs:
            return node
    for node in ready:
        if outputs.intersection(waiters.get(node, [])):
            return node
    for node in ready:
        if any(outputs.intersection(waiters.get(waiter, [])) for waiter in waiters.get(node, [])):
            return node
    return ready[0]
