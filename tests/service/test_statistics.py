"""What measured runs say."""

from __future__ import annotations

import pytest

from app.events import ServerName
from app.service.statistics import Accuracy, Speed, accuracy, speeds
from tests.journal.measured import run

FAST, SLOW = ServerName("fast"), ServerName("slow")


def test_the_speed_of_each_workflow_on_each_server_is_the_median_of_completed_runs() -> None:
    runs = [
        *(run("job", workflow="picture", server=FAST, seconds=seconds) for seconds in (4.0, 5.0, 90.0)),
        run("job", workflow="picture", server=FAST, seconds=5.0, loading=True),
        run("job", workflow="picture", server=FAST, seconds=0.1, completed=False),
        run("job", workflow="film", server=SLOW, seconds=600.0),
    ]
    assert speeds(runs) == [Speed("picture", FAST, 4, 5.0, 1), Speed("film", SLOW, 1, 600.0, 0)]


@pytest.mark.parametrize(
    ("waited", "expected", "right"),
    [(0.0, 3.0, 1), (3.1, 0.0, 0), (50.0, 40.0, 1), (50.1, 40.0, 0), (30.0, 40.0, 1), (29.0, 40.0, 0)],
)
def test_an_expected_start_is_right_within_three_seconds_or_a_quarter(
    waited: float, expected: float, right: int
) -> None:
    assert accuracy([run("job", waited=waited, expected_wait=expected)]) == Accuracy(1, right, 0)


def test_jobs_that_later_ones_overtook_and_jobs_without_an_expected_start_do_not_count() -> None:
    overtaken = run("job", waited=100.0, expected_wait=10.0, overtaken=True)
    assert accuracy([run("job"), overtaken]) == Accuracy(0, 0, 1)
