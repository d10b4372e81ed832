"""How long a job is expected to run: learned from measured runs, by workflow, amount of work and server."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from statistics import median

from msgspec import Struct, field

from app.core.jobs.job import FirstChoice
from app.events import JobId, ServerName
from app.ports import Graph

SECONDS_PER_COST = 10.0
"""What a manifest's `cost = 1` stands for until runs were measured: a picture of SD1.5 or SDXL on a middling GPU."""

REMEMBERED = 15
"""Measured runs of a workflow on a server whose median counts: a few odd ones change nothing, and a new driver or
another GPU is noticed within a day."""

MODEL_INPUTS = ("ckpt_name", "unet_name")
"""The inputs of ComfyUI's loaders that name the model whose loading takes long (docs/protocol/comfyui.md)."""

LONGEST_SIDE = 16_384
"""Pixels; nodes accept no larger number, and a wrong one must not make a job look endless."""

MOST_REPEATED = 10_000
"""Steps, pictures or frames of one job that count."""


class Run(Struct, frozen=True, kw_only=True):
    """One measured run. `seconds` are those for which the server ran it, and `work` is that of `work_of`.

    `loading` says that its models had to be loaded first. If the job failed or was cancelled, `completed` is False:
    its seconds count for its person, but nothing can be learned from them.

    `waited` are the seconds from when its person first learned an expected start, which was `expected_wait` away, until
    its start; None if nobody was told one. `overtaken` says that a job which was accepted later started before it.
    `guild` and `channel` are where the job was asked for, "" if that was elsewhere.
    """

    job: JobId
    person: str
    workflow: str
    server: ServerName
    work: float
    seconds: float
    loading: bool = False
    completed: bool = True
    waited: float | None = None
    expected_wait: float | None = None
    overtaken: bool = False
    guild: str = ""
    channel: str = ""


def work_of(graph: Graph) -> float:
    """The amount of work in a graph: megapixels × steps × pictures or frames, each 1 if the graph does not say.

    Only ratios between jobs of the same workflow matter.
    """
    pixels, steps, repeated = 0, 0, 1
    for inputs in _inputs(graph):
        width, height = _whole(inputs, "width", LONGEST_SIDE), _whole(inputs, "height", LONGEST_SIDE)
        pixels = max(pixels, width * height)
        steps += _whole(inputs, "steps", MOST_REPEATED)
        repeated = max(repeated, _whole(inputs, "batch_size", MOST_REPEATED), _whole(inputs, "length", MOST_REPEATED))
    return (pixels or 2**20) / 2**20 * (steps or 1) * repeated


def models_of(graph: Graph, choices: Iterable[FirstChoice]) -> str:
    """Identifies the models that must be loaded for a graph; "" if it names none.

    `choices` are the inputs that get the first model of whichever server runs it.
    """
    first = {(choice.node, choice.input) for choice in choices}
    names: set[str] = set()
    for node, entry in graph.items():
        inputs = entry.get("inputs")
        for name in MODEL_INPUTS:
            value = inputs.get(name) if isinstance(inputs, dict) else None
            if (node, name) in first:
                names.add(f"first:{name}")
            elif isinstance(value, str):
                names.add(value)
    return "\n".join(sorted(names))


class _Measured(Struct):
    """Seconds per unit of work in recent runs: those with loaded models, and those that had to load them."""

    loaded: deque[float] = field(default_factory=lambda: deque[float](maxlen=REMEMBERED))
    loading: deque[float] = field(default_factory=lambda: deque[float](maxlen=REMEMBERED))
    rate: float = 0.0
    """The median, of runs that loaded their models only if there are no others."""

    def add(self, rate: float, *, loading: bool) -> None:
        """Add a run."""
        (self.loading if loading else self.loaded).append(rate)
        self.rate = median(self.loaded or self.loading)


class Estimates:
    """Owns what is known about how long runs take."""

    def __init__(self) -> None:
        self._by_server: dict[tuple[str, ServerName], _Measured] = {}
        self._by_workflow: dict[str, _Measured] = {}
        self._loading_runs: dict[ServerName, deque[Run]] = {}
        """Recent runs on each server that had to load their models."""
        self._loads: dict[ServerName, float] = {}

    def learn(self, run: Run) -> None:
        """Take a measured run into account."""
        if not run.completed or run.work <= 0:
            return
        if run.loading:
            self._loading_runs.setdefault(run.server, deque(maxlen=REMEMBERED)).append(run)
        for measured in (
            self._by_server.setdefault((run.workflow, run.server), _Measured()),
            self._by_workflow.setdefault(run.workflow, _Measured()),
        ):
            measured.add(run.seconds / run.work, loading=run.loading)
        if (load := self._measured_load(run.server)) is not None:
            self._loads[run.server] = load

    def _measured_load(self, server: ServerName) -> float | None:
        """The median of how much longer runs took that had to load their models, in seconds.

        How long a run would have taken otherwise is the less certain the longer it is, so it counts the less.
        """
        extra: list[tuple[float, float]] = []
        for run in self._loading_runs.get(server, ()):
            known = self._by_server[run.workflow, server]
            if known.loaded:
                usual = known.rate * run.work
                extra.append((run.seconds - usual, 1.0 / max(usual, 1.0)))
        half = sum(weight for _, weight in extra) / 2
        for seconds, weight in sorted(extra):
            half -= weight
            if half <= 0:
                return max(0.0, seconds)
        return None

    @property
    def knows_any(self) -> bool:
        """Whether any run was measured."""
        return bool(self._by_workflow)

    def knows(self, workflow: str) -> bool:
        """Whether a run of this workflow was measured."""
        return workflow in self._by_workflow

    def seconds(self, workflow: str, work: float, cost: float, server: ServerName | None = None) -> float:
        """How long a run is expected to take, on this server if runs on it were measured.

        `cost` is the manifest's, which counts until a run of the workflow was measured.
        """
        known = self._by_server.get((workflow, server)) if server is not None else None
        for measured in (known, self._by_workflow.get(workflow)):
            if measured is not None:
                return measured.rate * work
        return cost * SECONDS_PER_COST

    def loading_seconds(self, server: ServerName) -> float:
        """How long this server typically takes to load other models, in seconds; 0 until that was measured."""
        return self._loads.get(server, 0.0)


def _inputs(graph: Graph) -> Iterator[Mapping[str, object]]:
    for entry in graph.values():
        inputs = entry.get("inputs")
        if isinstance(inputs, dict):
            yield inputs


def _whole(inputs: Mapping[str, object], name: str, most: int) -> int:
    value = inputs.get(name)
    return min(value, most) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
