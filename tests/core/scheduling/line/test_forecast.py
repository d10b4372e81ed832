"""When waiting jobs are expected to start, if the scheduler's decisions are played forward."""

from __future__ import annotations

from app.core.scheduling.line.forecast import MOST_DECISIONS, Forecast, ServerOutlook, forecast
from app.core.scheduling.queue.fair_queue import FairQueue
from app.core.scheduling.queue.queued_job import QueuedJob
from app.events import JobId, ServerName

FAST, SLOW = ServerName("fast"), ServerName("slow")
SPEEDS = {FAST: 1.0, SLOW: 3.0}


def waiting(count: int, **changes: object) -> list[QueuedJob]:
    """Jobs of one person that take ten seconds on a fast server."""
    return [
        QueuedJob(job=JobId(str(number)), number=number, person="ada", seconds=10.0, **changes)  # pyright: ignore[reportArgumentType]
        for number in range(count)
    ]


def played(jobs: list[QueuedJob], *servers: ServerOutlook) -> Forecast:
    queue = FairQueue()
    for job in jobs:
        queue.add(job)
    made = forecast(queue, servers, lambda job, server: job.seconds * SPEEDS[server], lambda job: not job.batch)
    assert len(queue) == len(jobs), "only a copy is changed"
    return made


def starts(made: Forecast, count: int) -> list[float]:
    return [made.of(JobId(str(number)), lambda: 0).starts_in for number in range(count)]


def test_jobs_start_where_a_server_is_free_first() -> None:
    made = played(waiting(5), ServerOutlook(FAST, 4.0, "", 0.0, runs=True), ServerOutlook(SLOW, 0.0, "", 0.0))
    assert starts(made, 5) == [0.0, 4.0, 14.0, 24.0, 34.0]


def test_loading_other_models_takes_its_time() -> None:
    made = played(waiting(3, models="x"), ServerOutlook(FAST, 0.0, "y", 20.0))
    assert starts(made, 3) == [0.0, 30.0, 40.0]


def test_jobs_beyond_those_that_are_played_forward_are_expected_at_the_same_pace() -> None:
    count = MOST_DECISIONS + 101
    made = played(waiting(count), ServerOutlook(FAST, 5.0, "", 0.0))
    last = made.of(JobId(str(count - 1)), lambda: count - 1)
    assert last.ahead == count - 1
    assert abs(last.starts_in - (5.0 + 10.0 * (count - 1))) < 10.0


def test_a_job_that_nobody_can_run_now_has_a_place_behind_those_that_are_run() -> None:
    jobs = [*waiting(2), QueuedJob(job=JobId("picky"), number=9, person="ben", servers=frozenset({SLOW}))]
    outlook = played(jobs, ServerOutlook(FAST, 0.0, "", 0.0)).of(JobId("picky"), lambda: 2)
    assert (outlook.ahead, outlook.starts_in) == (2, 20.0)


def test_a_job_waits_at_a_server_with_its_models_although_its_person_is_not_next() -> None:
    jobs = [
        QueuedJob(job=JobId("other"), number=0, person="ada", models="y", seconds=30.0),
        QueuedJob(job=JobId("same"), number=1, person="ben", models="x", seconds=30.0),
        QueuedJob(job=JobId("never waits there"), number=2, person="ben", models="x", seconds=30.0, batch="paid"),
    ]
    servers = ServerOutlook(FAST, 50.0, "x", 20.0, runs=True), ServerOutlook(SLOW, 400.0, "z", 20.0, runs=True)
    made = played(jobs, *servers)
    assert {job: made.starts[rank] for job, rank in made.ranks.items()} == {
        "same": 50.0,
        "never waits there": 80.0,
        "other": 110.0,
    }


def test_what_waits_at_a_server_runs_there_before_the_next_job() -> None:
    made = played(waiting(2), ServerOutlook(FAST, 4.0, "", 0.0, runs=True, then=30.0))
    assert starts(made, 2) == [34.0, 44.0]


def test_a_job_does_not_wait_at_a_slow_server_if_a_fast_one_is_done_with_it_first() -> None:
    servers = ServerOutlook(SLOW, 4.0, "", 0.0, runs=True), ServerOutlook(FAST, 5.0, "", 0.0, runs=True)
    assert starts(played(waiting(3), *servers), 3) == [5.0, 4.0, 15.0]
