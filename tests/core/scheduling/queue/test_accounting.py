"""What people are charged for their jobs."""

from __future__ import annotations

import pytest

from app.core.jobs.cost import Estimates, Run
from app.core.jobs.job import Job, JobRequest, State
from app.core.scheduling.queue.accounting import Accounting, Charge
from app.core.scheduling.queue.fair_queue import FairQueue
from app.core.scheduling.queue.queued_job import QueuedJob
from app.events import JobId, ServerName
from app.ports import Graph, History

A = ServerName("a")
GRAPH: Graph = {"3": {"class_type": "KSampler", "inputs": {"steps": 10}}}


class Books:
    """The accounts of one person, `ada`, whose jobs of ten units of work are expected to take ten seconds."""

    def __init__(self, *, weight: float = 1.0) -> None:
        self.queue, self.estimates = FairQueue(), Estimates()
        self.accounting = Accounting(self.queue, self.estimates)
        self.weight = weight
        for seconds, loading in ((10.0, False), (30.0, True)):
            self.estimates.learn(
                Run(job=JobId("old"), person="", workflow="w", server=A, work=10.0, seconds=seconds, loading=loading)
            )

    def dispatch(self, *, loading: bool = False) -> Job:
        request = JobRequest(job=JobId("job"), workflow="w", graph=GRAPH, folder="out", owner="ada", weight=self.weight)
        queued = QueuedJob(job=request.job, number=1, person="ada", seconds=10.0, weight=self.weight)
        self.queue.add(queued)
        self.accounting.dispatched(
            queued, Charge(person="ada", weight=self.weight, seconds=10.0, server=A, work=10.0, loading=loading)
        )
        return Job(request=request, state=State.RUNNING)

    @property
    def served(self) -> float:
        return self.queue.served("ada")


def ended(job: Job, history: History) -> Job:
    job.history = history
    return job


def test_the_expected_seconds_are_charged_at_dispatch_and_the_measured_ones_count_in_the_end() -> None:
    books = Books()
    job = books.dispatch()
    assert books.served == 10.0
    run = books.accounting.over(ended(job, History("success")), started=100.0, now=104.0)
    assert books.served == 4.0
    assert run is not None
    assert (run.seconds, run.work, run.completed) == (4.0, 10.0, True)


def test_nobody_is_charged_for_loading_models() -> None:
    books = Books()
    job = books.dispatch(loading=True)
    books.accounting.over(ended(job, History("success")), started=100.0, now=126.0)
    assert books.served == 6.0


def test_a_correction_is_no_larger_than_the_largest_charge() -> None:
    books = Books()
    job = books.dispatch()
    books.accounting.over(ended(job, History("success")), started=100.0, now=1_100.0)
    assert books.served == 20.0


def test_a_job_that_continues_with_an_attempt_that_was_given_up_is_corrected_like_any_other() -> None:
    books = Books()
    request = JobRequest(job=JobId("job"), workflow="w", graph=GRAPH, folder="out", owner="ada")
    charge = Charge(person="ada", weight=1.0, seconds=10.0, server=A, work=10.0)
    books.accounting.continued(request.job, charge)
    assert books.served == 10.0
    job = Job(request=request, state=State.RUNNING)
    books.accounting.over(ended(job, History("success")), started=100.0, now=104.0)
    assert books.served == 4.0


def test_a_weight_of_two_halves_every_charge() -> None:
    books = Books(weight=2.0)
    job = books.dispatch()
    assert books.served == 5.0
    books.accounting.over(ended(job, History("success")), started=100.0, now=104.0)
    assert books.served == 2.0


@pytest.mark.parametrize(
    ("started", "history", "state", "served"),
    [
        (None, None, State.CANCELLED, 0.0),  # no server ever had it
        (None, History("failed"), State.FAILED, 10.0),  # it ran, and nobody saw for how long
        (None, None, State.LOST, 10.0),  # it may have run
        (100.0, History("interrupted"), State.CANCELLED, 3.0),  # it was cancelled after three seconds
    ],
)
def test_a_job_that_fails_or_is_cancelled_costs_what_it_used(
    started: float | None, history: History | None, state: State, served: float
) -> None:
    books = Books()
    job = books.dispatch()
    job.history, job.state = history, state
    run = books.accounting.over(job, started, now=103.0)
    assert books.served == served
    assert run is None or not run.completed, "nothing is learned from it"


def test_if_nobody_saw_the_start_of_a_run_the_time_of_the_server_counts() -> None:
    books = Books()
    run = books.accounting.over(ended(books.dispatch(), History("success", seconds=4.0)), None, now=103.0)
    assert run is not None
    assert (run.seconds, run.completed) == (4.0, True)
    assert books.served == 4.0


def test_a_run_that_nobody_measured_counts_as_expected_and_teaches_nothing() -> None:
    books = Books()
    run = books.accounting.over(ended(books.dispatch(), History("success")), None, now=103.0)
    assert run is not None
    assert (run.seconds, run.completed) == (10.0, False)
    assert books.served == 10.0


@pytest.mark.parametrize(("by_server", "seconds"), [(25.0, 25.0), (None, 5.0)])
def test_a_run_that_began_before_the_bot_did_is_charged_once_and_for_all_of_its_time(
    by_server: float | None, seconds: float
) -> None:
    books = Books()
    job = books.dispatch()
    again = Books()
    again.queue.restore(books.queue.changes())
    again.accounting.restored(job.id, Charge(person="ada", weight=1.0, seconds=10.0, server=A, work=10.0))
    assert again.served == 10.0
    # It was seen to run five seconds before it ended, after the bot had started.
    run = again.accounting.over(ended(job, History("success", seconds=by_server)), started=100.0, now=105.0)
    assert run is not None
    assert run.seconds == seconds
    assert again.served == min(seconds, 20.0), "a correction is no larger than the largest charge"


def test_a_run_whose_sampler_was_cached_teaches_nothing() -> None:
    books = Books()
    run = books.accounting.over(
        ended(books.dispatch(), History("success", cached=frozenset({"3"}))), started=100.0, now=100.1
    )
    assert run is not None
    assert not run.completed
    assert books.estimates.seconds("w", 10.0, 1.0, A) == 10.0


def test_a_job_that_returns_to_the_queue_costs_nothing_until_its_next_attempt() -> None:
    books = Books()
    job = books.dispatch()
    books.accounting.returned(job.id)
    assert books.served == 0.0
    assert books.accounting.over(job, 100.0, 110.0) is None
