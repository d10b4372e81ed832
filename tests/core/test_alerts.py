"""Which alerts an operator gets of what comes, stays, goes, and comes again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.core.alerts import (
    GATHERING,
    MOST_CAUSES,
    QUIET,
    Alert,
    AlertTable,
    Began,
    Cause,
    Cleared,
    Ended,
    Fact,
    Happened,
    Raised,
    Repeated,
)
from app.reasons.alerts import NoServer, ResultsGivenUp, ServerAway
from app.reasons.servers import HungUp, RefusedConnection

STUDIO = Cause("server", "studio")
AWAY = ServerAway("studio", RefusedConnection())
RESULTS = Cause("results", "studio")
LOST = ResultsGivenUp("studio")

EPOCH = 1_000_000.0
"""Seconds since 1970 at the start of each test."""


class Table:
    """A table whose clock is moved by hand."""

    def __init__(self) -> None:
        self.table = AlertTable()
        self.now = 0.0

    def take(self, *facts: Fact) -> list[Alert]:
        """The alerts after these facts."""
        return [alert for fact in facts for alert in self.table.handle(fact, self.now, EPOCH + self.now)]

    def wait(self, seconds: float) -> list[Alert]:
        """All alerts within this time, each given when it is due."""
        end, alerts = self.now + seconds, list[Alert]()
        while self.table.due <= end:
            self.now = max(self.now, self.table.due)
            alerts += self.table.advance(self.now, EPOCH + self.now)
        self.now = end
        return alerts


def test_a_cause_is_one_alert_and_its_end_another() -> None:
    table = Table()
    assert table.take(Raised(STUDIO, AWAY)) == [Began(AWAY)]
    assert table.wait(3600) == []
    assert table.take(Raised(STUDIO, AWAY)) == []
    assert table.take(Cleared(STUDIO)) == [Ended(AWAY, 3600)]
    assert table.take(Cleared(STUDIO)) == []
    assert table.wait(3600) == []


def test_what_does_not_last_is_never_told() -> None:
    table = Table()
    for _ in range(100):
        assert table.take(Raised(STUDIO, AWAY, after=60)) == []
        assert table.wait(59) == []
        assert table.take(Cleared(STUDIO)) == []
    assert table.wait(3600) == []


def test_what_lasts_is_told_with_the_newest_reason_and_its_whole_length() -> None:
    table = Table()
    newest = ServerAway("studio", HungUp())
    assert table.take(Raised(STUDIO, AWAY, after=60)) == []
    assert table.wait(30) == []
    assert table.take(Raised(STUDIO, newest, after=60)) == []
    assert table.wait(30) == [Began(newest)]
    assert table.take(Cleared(STUDIO)) == [Ended(newest, 60)]


def test_a_cause_that_comes_and_goes_is_summarised_once_in_ten_minutes() -> None:
    table = Table()
    alerts = table.take(Raised(STUDIO, AWAY), Cleared(STUDIO))
    assert alerts == [Began(AWAY), Ended(AWAY, 0)]
    first = EPOCH + table.now + 20
    for _ in range(14):
        assert table.wait(20) == []
        assert table.take(Raised(STUDIO, AWAY), Cleared(STUDIO)) == []
    assert table.wait(QUIET) == [Repeated(AWAY, 14, first, lasts=False)]
    assert table.wait(QUIET * 2) == []


def test_the_end_of_what_a_summary_says_to_last_is_told() -> None:
    table = Table()
    table.take(Raised(STUDIO, AWAY), Cleared(STUDIO), Raised(STUDIO, AWAY), Cleared(STUDIO))
    assert table.wait(100) == []
    assert table.take(Raised(STUDIO, AWAY)) == []
    assert table.wait(QUIET - 100) == [Repeated(AWAY, 2, EPOCH, lasts=True)]
    assert table.take(Cleared(STUDIO)) == [Ended(AWAY, QUIET - 100)]


def test_what_came_again_and_stays_is_told_after_the_quiet_time() -> None:
    table = Table()
    table.take(Raised(STUDIO, AWAY), Cleared(STUDIO), Raised(STUDIO, AWAY))
    assert table.wait(QUIET) == [Began(AWAY)]
    assert table.take(Cleared(STUDIO)) == [Ended(AWAY, QUIET)]


def test_what_has_no_end_is_gathered_and_then_summarised() -> None:
    table = Table()
    assert table.take(Happened(RESULTS, LOST), Happened(RESULTS, LOST, times=5)) == []
    assert table.wait(GATHERING) == [Began(LOST, 6)]
    assert table.take(Happened(RESULTS, LOST), Happened(RESULTS, LOST)) == []
    first = EPOCH + table.now
    assert table.wait(QUIET) == [Repeated(LOST, 2, first, lasts=False)]
    assert table.wait(QUIET) == []


def test_two_causes_do_not_keep_each_other_quiet() -> None:
    table = Table()
    every = NoServer(("studio", "cellar"))
    assert table.take(Raised(STUDIO, AWAY), Raised(Cause("servers"), every)) == [Began(AWAY), Began(every)]


def test_a_thousand_causes_take_no_more_memory_than_the_limit() -> None:
    table = Table()
    for number in range(1000):
        table.take(Raised(Cause("server", str(number)), ServerAway(str(number))))
    # The latest are those that are still known.
    ends = [table.take(Cleared(Cause("server", str(number)))) for number in range(1000)]
    assert [bool(alerts) for alerts in ends] == [False] * (1000 - MOST_CAUSES) + [True] * MOST_CAUSES


def test_what_is_over_makes_room_before_what_lasts() -> None:
    table = Table()
    table.take(Raised(STUDIO, AWAY))
    for number in range(1000):
        table.take(Happened(Cause("results", str(number)), ResultsGivenUp(str(number))))
    assert table.take(Cleared(STUDIO)) == [Ended(AWAY, 0)]


FACTS = st.sampled_from([Raised(STUDIO, AWAY), Raised(STUDIO, AWAY, after=60), Cleared(STUDIO), Happened(STUDIO, AWAY)])


@given(st.lists(st.tuples(st.floats(0, 300), FACTS), max_size=60))
def test_whatever_a_cause_does_the_operator_gets_few_alerts_and_every_end(steps: list[tuple[float, Fact]]) -> None:
    table = Table()
    alerts: list[Alert] = []
    for pause, fact in steps:
        alerts += table.wait(pause) + table.take(fact)
    length = table.now
    alerts += table.take(Cleared(STUDIO)) + table.wait(QUIET * 2)
    assert len(alerts) <= 2 * (length // QUIET + 2)
    is_wrong = False
    for alert in alerts:
        assert not (isinstance(alert, Ended) and not is_wrong)
        is_wrong = alert.lasts if isinstance(alert, Repeated) else isinstance(alert, Began)
    assert not table.table._entries or table.table.due == float("inf")  # pyright: ignore[reportPrivateUsage]
