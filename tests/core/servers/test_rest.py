"""When a server rests because jobs fail there, and for how long."""

from __future__ import annotations

from app.core.scheduling.places.memory_limits import MOST_REMEMBERED, MemoryLimits
from app.core.servers.rest import FAILURES, FIRST_REST, LONGEST_REST, NEVER, ServerRest
from app.events import ServerName

A, B = ServerName("a"), ServerName("b")


def in_trouble(now: float = 0.0) -> ServerRest:
    """A server whose first rest began at `now`."""
    rest = ServerRest()
    begins = [rest.failed(f"person {number}", "picture", now) for number in range(FAILURES)]
    assert begins == [False, False, True]
    return rest


def test_three_failures_of_different_people_begin_a_rest() -> None:
    rest = in_trouble(100.0)
    assert rest.resting
    assert rest.ends == 100.0 + FIRST_REST


def test_three_failures_of_different_workflows_of_one_person_begin_a_rest() -> None:
    rest = ServerRest()
    assert [rest.failed("ada", workflow, 0.0) for workflow in ("picture", "picture", "film")] == [False, False, True]


def test_failures_of_one_workflow_of_one_person_begin_none_and_do_not_lengthen_a_later_one() -> None:
    rest = ServerRest()
    assert not any(rest.failed("ada", "picture", 0.0) for _ in range(50))
    assert rest.ends == NEVER
    assert rest.failed("ben", "picture", 0.0)
    assert rest.ends == FIRST_REST


def test_a_success_in_between_begins_the_count_anew() -> None:
    rest = ServerRest()
    for number in range(10):
        assert not rest.failed(f"{number}", "picture", 0.0)
        assert not rest.failed(f"{number}", "film", 0.0)
        assert not rest.succeeded()
    for _ in range(FAILURES):
        assert not rest.failed("bob", "film", 0.0), "who failed before does not count any more"
    assert not rest.in_trouble


def test_rests_double_up_to_a_quarter_of_an_hour() -> None:
    rest, now, lengths = in_trouble(), 0.0, list[float]()
    for _ in range(30):
        lengths.append(rest.ends - now)
        now = rest.ends
        assert rest.over(now)
        assert not rest.failed("ada", "picture", now), "it was in trouble before"
    assert lengths[:6] == [30, 60, 120, 240, 480, LONGEST_REST]
    assert set(lengths[6:]) == {LONGEST_REST}


def test_a_rest_ends_at_its_time_and_once() -> None:
    rest = in_trouble()
    assert not rest.over(FIRST_REST - 0.1)
    assert rest.over(FIRST_REST)
    assert not rest.over(FIRST_REST)
    assert rest.in_trouble
    assert not rest.resting


def test_jobs_that_were_sent_before_a_rest_do_not_lengthen_it() -> None:
    rest = in_trouble()
    assert not rest.failed("cleo", "film", 1.0)
    assert (rest.ends, rest.rests) == (FIRST_REST, 1)


def test_a_success_ends_a_rest_and_all_trouble() -> None:
    rest = in_trouble()
    assert rest.succeeded()
    assert rest == ServerRest()
    assert not rest.succeeded()


def test_a_limit_counts_for_one_workflow_on_one_server_from_its_work_on() -> None:
    limits = MemoryLimits()
    assert not limits
    limits.exhausted("picture", A, 20.0)
    assert limits
    assert [limits.fits("picture", A, work) for work in (19.0, 20.0, 30.0)] == [True, False, False]
    assert limits.fits("picture", B, 20.0)
    assert limits.fits("film", A, 20.0)


def test_the_least_work_counts_and_a_success_with_as_much_proves_the_contrary() -> None:
    limits = MemoryLimits()
    limits.exhausted("picture", A, 20.0)
    limits.exhausted("picture", A, 30.0)
    assert not limits.fits("picture", A, 20.0)
    limits.succeeded("picture", A, 19.0)
    assert not limits.fits("picture", A, 20.0)
    limits.succeeded("picture", A, 20.0)
    assert limits.fits("picture", A, 30.0)


def test_only_so_many_limits_are_remembered() -> None:
    limits = MemoryLimits()
    for number in range(MOST_REMEMBERED + 1):
        limits.exhausted(f"{number}", A, 1.0)
    assert limits.fits("0", A, 1.0)
    assert not limits.fits("1", A, 1.0)
    assert not limits.fits(f"{MOST_REMEMBERED}", A, 1.0)
