"""What the measured runs say: how long workflows take on each server, and how right expected starts were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from msgspec import Struct

from app.core.jobs.cost import Run
from app.events import ServerName

CLOSE_SECONDS, CLOSE_SHARE = 3.0, 0.25
"""An expected start was right if it was wrong by at most so many seconds, or by this share of the expected wait."""


class Speed(Struct, frozen=True):
    """The runs of one workflow on one server: the median of their `seconds`, and how many had to load models first."""

    workflow: str
    server: ServerName
    runs: int
    seconds: float
    loads: int


class Accuracy(Struct, frozen=True):
    """How many jobs with an expected start started about then.

    `overtaken` jobs, which are not among `jobs`, started after one that was accepted later: their expected start could
    not be known.
    """

    jobs: int
    right: int
    overtaken: int


def speeds(runs: Sequence[Run]) -> list[Speed]:
    """The workflows with the most runs first; only runs that were completed count."""
    groups: dict[tuple[str, ServerName], list[Run]] = defaultdict(list)
    for run in runs:
        if run.completed:
            groups[run.workflow, run.server].append(run)
    made = [
        Speed(workflow, server, len(group), median(run.seconds for run in group), sum(run.loading for run in group))
        for (workflow, server), group in groups.items()
    ]
    return sorted(made, key=lambda speed: (-speed.runs, speed.workflow, speed.server))


def accuracy(runs: Sequence[Run]) -> Accuracy:
    """How right the first expected start of each job was."""
    jobs = right = overtaken = 0
    for run in runs:
        if run.waited is None or run.expected_wait is None:
            continue
        if run.overtaken:
            overtaken += 1
            continue
        jobs += 1
        right += abs(run.waited - run.expected_wait) <= max(CLOSE_SECONDS, CLOSE_SHARE * run.expected_wait)
    return Accuracy(jobs, right, overtaken)
