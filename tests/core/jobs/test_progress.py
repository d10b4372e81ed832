"""Progress with the odd things that graphs and servers say."""

from __future__ import annotations

import pytest

from app.core.jobs.progress import ProgressTracker
from app.events import JobId, NodeFinished, NodeId, NodeOutput, NodesCached, NodeStarted, NodeStepped, PromptId
from app.ports import Graph

PROMPT, SAMPLER = PromptId("p"), NodeId("3")


def graph(steps: int) -> Graph:
    return {
        "3": {"class_type": "KSampler", "inputs": {"steps": steps}},
        "9": {"class_type": "SaveImage", "inputs": {}},
    }


@pytest.mark.parametrize("steps", [0, -1])
def test_a_sampler_without_steps_still_counts_as_a_node(steps: int) -> None:
    tracker = ProgressTracker(JobId("job"), {"3": graph(steps)["3"]}, 0.0)
    tracker.handle(NodeFinished(prompt=PROMPT, output=NodeOutput(SAMPLER, (), ())), 1.0)
    assert tracker.read(1.0).fraction == 1.0


def test_more_steps_than_were_announced_are_no_more_than_the_whole_node() -> None:
    tracker = ProgressTracker(JobId("job"), graph(9), 0.0)
    tracker.handle(NodeStepped(prompt=PROMPT, node=SAMPLER, value=16, maximum=8), 1.0)
    assert tracker.read(1.0).fraction == pytest.approx(9 / 10)
    tracker.handle(NodesCached(prompt=PROMPT, nodes=(NodeId("9"),)), 2.0)
    assert tracker.read(2.0).fraction == 1.0


def test_a_node_that_counts_no_steps_shows_none() -> None:
    tracker = ProgressTracker(JobId("job"), graph(9), 0.0)
    tracker.handle(NodeStarted(prompt=PROMPT, node=NodeId("9"), display=NodeId("9")), 1.0)
    assert (tracker.read(1.0).step, tracker.read(1.0).steps) == (0, 0)
