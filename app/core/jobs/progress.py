"""Progress of a running job."""

from __future__ import annotations

import math

from app.events import (
    JobId,
    NodeFinished,
    NodeId,
    NodesCached,
    NodesProgressed,
    NodeStarted,
    NodeStepped,
    Progressed,
    Signal,
)
from app.ports import Graph
from app.reasons.jobs import JobReason


def title(graph: Graph, node: str) -> str:
    """The display name of a node: its title, else its class, else its id."""
    entry = graph.get(node, {})
    meta = entry.get("_meta")
    named = meta.get("title") if isinstance(meta, dict) else None
    return str(named or entry.get("class_type") or node)


def _weight(entry: dict[str, object]) -> float:
    """The weight of a node in the whole graph: its number of steps (1 to 1000) if it has steps, else 1."""
    inputs = entry.get("inputs")
    steps: object = inputs.get("steps") if isinstance(inputs, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return float(max(1, min(steps, 1000))) if isinstance(steps, int) else 1.0


class ProgressTracker:
    """Computes `Progressed` updates from the signals of one attempt; the progress never goes backwards."""

    def __init__(self, job: JobId, graph: Graph, now: float) -> None:
        self._job = job
        self._graph = graph
        self._weights = {node: _weight(dict(entry)) for node, entry in graph.items()}
        self._done: dict[str, float] = {}
        self._steps: dict[str, tuple[int, int]] = {}
        self._node = ""
        self._whole = sum(self._weights.values())
        self.since = now
        """The time from which we know that the job runs."""
        self._first_step: tuple[float, float] | None = None
        self._fraction = 0.0

    def handle(self, signal: Signal, now: float) -> bool:
        """Process a signal; return whether it changed anything that is displayed."""
        before = self._fraction, self._node, self._steps.get(self._node)
        self._apply(signal, now)
        return before != (self._fraction, self._node, self._steps.get(self._node))

    def _apply(self, signal: Signal, now: float) -> None:
        match signal:
            case NodesCached(nodes=nodes):
                for node in nodes:
                    self._reach(node, 1.0)
            case NodeStarted(display=display):
                self._node = display
            case NodeStepped(node=node, value=value, maximum=maximum):
                self._step(node, node, value, maximum, now)
            case NodesProgressed(nodes=nodes):
                for node in nodes:
                    if node.finished:
                        self._reach(node.node, 1.0)
                    else:
                        self._step(node.node, node.display, node.value, node.maximum, now)
            case NodeFinished(output=output):
                self._reach(output.node, 1.0)
            case _:
                pass

    def read(self, now: float, note: JobReason | None = None) -> Progressed:
        """The progress at `now`, in the clock that was passed to `handle`."""
        step, steps = self._steps.get(self._node, (0, 0))
        return Progressed(
            job=self._job,
            fraction=self._fraction,
            node=title(self._graph, self._node) if self._node else "",
            step=step,
            steps=steps,
            elapsed=now - self.since,
            # An estimate is of no use if nothing arrives.
            remaining=None if note is not None else self._remaining(now),
            note=note,
        )

    def _step(self, node: NodeId, display: NodeId, value: float, maximum: float, now: float) -> None:
        self._node = display
        if not (0 < maximum < math.inf and math.isfinite(value)):
            return
        share = value / maximum
        before, of = self._steps.get(display, (0, 0))
        if maximum > 1 and (of != int(maximum) or value >= before) and share >= self._done.get(node, 0.0):
            self._steps[display] = (int(value), int(maximum))
        self._reach(node, share)
        if maximum > 1 and value > 0 and self._first_step is None:
            self._first_step = (now, self._fraction)

    def _reach(self, node: str, share: float) -> None:
        if node not in self._weights or share <= self._done.get(node, 0.0):
            return
        self._done[node] = min(share, 1.0)
        self._fraction = sum(self._weights[n] * s for n, s in self._done.items()) / self._whole

    def _remaining(self, now: float) -> float | None:
        if self._first_step is None:
            return None
        since, fraction = self._first_step
        if now <= since or self._fraction <= fraction:
            return None
        return (1 - self._fraction) * (now - since) / (self._fraction - fraction)
