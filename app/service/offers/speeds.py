"""How long one picture of a workflow is expected to take, by measured runs: known before a job is made."""

from __future__ import annotations

from collections.abc import Iterable

from app.core.jobs.cost import Estimates, Run, work_of
from app.workflows.load import Workflow


class Speeds:
    """Owns what was measured; the scheduler, which decides when jobs start, learns by itself."""

    def __init__(self) -> None:
        self._estimates = Estimates()

    def learn(self, runs: Iterable[Run]) -> None:
        """Replace what is known by these runs, oldest first."""
        estimates = Estimates()
        for run in runs:
            estimates.learn(run)
        self._estimates = estimates

    def seconds(self, workflow: Workflow) -> float:
        """Seconds for one picture with the graph's own settings; by the manifest's `cost` until a run was measured."""
        return self._estimates.seconds(workflow.name, work_of(workflow.graph), workflow.cost)
