"""The small rules: pauses, progress, file names."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backoff import backoff
from app.core.jobs.job import Job, JobRequest
from app.core.jobs.progress import ProgressTracker
from app.core.jobs.results import file_name
from app.events import (
    JobId,
    NodeId,
    NodeProgress,
    NodesCached,
    NodesProgressed,
    NodeStarted,
    NodeStepped,
    PromptId,
    ServerName,
)
from app.ports import Graph

A, B = ServerName("a"), ServerName("b")
JOB, PROMPT, SAMPLER = JobId("job"), PromptId("p"), NodeId("3")
GRAPH: Graph = {
    "3": {"class_type": "KSampler", "inputs": {"steps": 8}, "_meta": {"title": "Sampler"}},
    "8": {"class_type": "VAEDecode", "inputs": {}},
    "9": {"class_type": "SaveImage", "inputs": {}},
}


def stepped(value: float, maximum: float = 8) -> NodeStepped:
    return NodeStepped(prompt=PROMPT, node=SAMPLER, value=value, maximum=maximum)


def state(*nodes: tuple[str, float, float, bool]) -> NodesProgressed:
    told = tuple(NodeProgress(NodeId(n), NodeId(n), value, top, done) for n, value, top, done in nodes)
    return NodesProgressed(prompt=PROMPT, nodes=told)


def test_pauses_double_up_to_a_ceiling_and_are_jittered() -> None:
    pauses = list(islice(backoff(first=1, ceiling=8, patience=0), 8))
    for pause, whole in zip(pauses, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert whole / 2 <= pause <= whole


def test_pauses_stay_short_as_long_as_an_outage_may_be_a_restart() -> None:
    waited = 0.0
    for pause in backoff(first=0.1, ceiling=2, patience=10):
        if waited >= 10:
            break
        assert pause <= 0.1
        waited += pause


def test_the_pauses_of_an_outage_leave_half_of_a_tenth_of_a_second_for_catching_up() -> None:
    waited = 0.0
    for pause in backoff():
        if waited >= 10:
            break
        assert pause <= 0.05
        waited += pause


def test_progress_counts_nodes_by_their_steps_and_cached_ones_as_done() -> None:
    tracker = ProgressTracker(JOB, GRAPH, 0.0)
    tracker.handle(NodesCached(prompt=PROMPT, nodes=(NodeId("8"),)), 0.0)
    assert tracker.read(0.0).fraction == pytest.approx(1 / 10)
    tracker.handle(state(("3", 4, 8, False)), 2.0)
    assert tracker.read(2.0).fraction == pytest.approx(5 / 10)


def test_progress_names_the_node_its_steps_and_the_time() -> None:
    tracker = ProgressTracker(JOB, GRAPH, 10.0)
    tracker.handle(NodeStarted(prompt=PROMPT, node=SAMPLER, display=SAMPLER), 10.0)
    assert tracker.read(10.0).remaining is None, "no step has flowed"
    tracker.handle(stepped(2), 12.0)
    tracker.handle(stepped(4), 14.0)
    told = tracker.read(14.0)
    assert (told.node, told.step, told.steps, told.elapsed) == ("Sampler", 4, 8, 4.0)
    assert told.remaining == pytest.approx(6.0)


def test_a_node_within_an_expansion_shows_under_the_node_it_belongs_to() -> None:
    tracker = ProgressTracker(JOB, GRAPH, 0.0)
    inner = NodeProgress(NodeId("3.0.0.1"), SAMPLER, 1, 4, finished=False)
    tracker.handle(NodesProgressed(prompt=PROMPT, nodes=(inner,)), 1.0)
    told = tracker.read(1.0)
    assert (told.node, told.step, told.steps) == ("Sampler", 1, 4)


@pytest.mark.parametrize("odd", [float("inf"), float("-inf"), float("nan"), 1e308])
def test_numbers_that_are_none_say_nothing_of_a_job(odd: float) -> None:
    tracker = ProgressTracker(JOB, GRAPH, 0.0)
    tracker.handle(stepped(4), 1.0)
    before = tracker.read(1.0).fraction
    for value, maximum in ((odd, 8.0), (4.0, odd), (odd, odd)):
        tracker.handle(stepped(value, maximum), 2.0)
        assert before <= tracker.read(2.0).fraction <= 1.0


@pytest.mark.parametrize(
    ("theirs", "kept"),
    [
        ("a.png", ".png"),
        ("a.PNG", ".png"),
        ("a.png ", ".bin"),
        ("a.png\n", ".bin"),
        ("a.png\0.txt\0", ".bin"),
        ("a.png;x", ".bin"),
        ("a.pngé", ".bin"),
        ("a.abcdefghi", ".bin"),
        ("a.png\u202e", ".bin"),
        ("..\\..\\a.exe:stream", ".bin"),
        ("a", ".bin"),
    ],
)
def test_only_a_whole_plain_extension_is_taken_over_from_a_server(theirs: str, kept: str) -> None:
    job = Job(request=JobRequest(job=JobId("0123456789"), workflow="w", graph={}, folder="out"))
    assert file_name(job, theirs) == f"w-01234567-01{kept}"


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from([1.0, 8.0, 20.0, 0.0])), max_size=40))
def test_progress_never_goes_backwards_and_never_beyond_the_end(told: list[tuple[float, float]]) -> None:
    tracker = ProgressTracker(JOB, GRAPH, 0.0)
    before = tracker.read(0.0)
    for now, (value, maximum) in enumerate(told, start=1):
        tracker.handle(stepped(value, maximum), float(now))
        after = tracker.read(float(now))
        assert before.fraction <= after.fraction <= 1.0
        if before.steps == after.steps:
            assert before.step <= after.step
        assert after.remaining is None or after.remaining >= 0
        before = after
