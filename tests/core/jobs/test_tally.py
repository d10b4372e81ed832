"""What the registry counts for those who operate the bot."""

from __future__ import annotations

from app.core.jobs.cost import Run
from app.core.jobs.job import Job, JobRequest
from app.core.jobs.tally import MOST_WORKFLOWS, OTHERS, Tally
from app.events import JobId, ServerName
from app.histogram import Histogram

A = ServerName("a")


def job(name: str = "1", workflow: str = "w") -> Job:
    return Job(request=JobRequest(job=JobId(name), workflow=workflow, graph={}, folder="out", owner="ada"))


def run(name: str = "1", **more: object) -> Run:
    values = {"job": JobId(name), "person": "ada", "workflow": "w", "server": A, "work": 1.0, "seconds": 4.0, **more}
    return Run(**values)  # pyright: ignore[reportArgumentType]


def test_a_histogram_counts_values_up_to_each_bound() -> None:
    histogram = Histogram((1.0, 5.0))
    for value in (0.5, 1.0, 3.0, 7.0):
        histogram.observe(value)
    assert histogram.cumulative() == [2, 3, 4]
    assert (histogram.count, histogram.total) == (4, 11.5)


def test_a_job_waits_until_its_first_start_and_a_second_attempt_is_not_counted() -> None:
    tally = Tally()
    tally.accept(JobId("1"), "w", 10.0)
    assert tally.longest_wait(14.0) == 4.0
    tally.start(JobId("1"), 16.0)
    tally.start(JobId("1"), 90.0)
    assert (tally.waits.count, tally.waits.total) == (1, 6.0)
    assert tally.longest_wait(99.0) == 0.0


def test_a_job_is_accepted_once_and_ends_once() -> None:
    tally = Tally()
    tally.accept(JobId("1"), "w", 0.0)
    tally.accept(JobId("1"), "w", 1.0)
    tally.run(run(), 3.0)
    ending = tally.end(job(), "finished")
    assert ending is not None
    assert (ending.outcome, ending.workflow, ending.seconds) == ("finished", "w", 4.0)
    assert tally.end(job(), "cancelled") is None
    assert tally.accepted == 1
    assert +tally.ended == {("finished", "w"): 1}


def test_what_ran_is_compared_with_what_was_expected_only_if_it_was_completed() -> None:
    tally = Tally()
    tally.run(run(), 3.0)
    tally.run(run(completed=False), 3.0)
    tally.run(run(), None)
    assert tally.run_seconds == {A: {"w": 12.0}}
    assert tally.runs == {A: 3}
    assert (tally.expected_seconds, tally.measured_seconds) == ({"w": 3.0}, {"w": 4.0})


def test_an_expected_start_that_could_not_be_known_is_no_error() -> None:
    tally = Tally()
    tally.run(run(waited=9.0, expected_wait=2.0), None)
    tally.run(run(waited=9.0, expected_wait=2.0, overtaken=True), None)
    tally.run(run(), None)
    assert (tally.start_errors.count, tally.start_errors.total) == (1, 7.0)
    assert tally.overtaken == 1


def test_there_are_never_more_workflows_than_the_limit() -> None:
    tally = Tally()
    for number in range(MOST_WORKFLOWS + 50):
        tally.accept(JobId(str(number)), f"workflow-{number}", 0.0)
        tally.end(job(str(number), f"workflow-{number}"), "finished")
    assert len({workflow for _, workflow in tally.ended}) == MOST_WORKFLOWS + 1
    assert tally.ended["finished", OTHERS] == 50
