"""What is spent: nothing over the budget is accepted, and only what certainly cost nothing is given back."""

from __future__ import annotations

import pytest

from app.core.limits.spending import DOLLAR, Payment, Spending, SpendingLimit, SpendingUsed, Spent, money, with_limits
from app.core.limits.usage import DAY
from app.events import JobId, NodeId
from app.ports import History
from app.reasons.limits import BudgetReached

A_DOLLAR_A_DAY = SpendingLimit("everybody", "day", DOLLAR)
HALF_A_DOLLAR_EACH = SpendingLimit("person", "day", DOLLAR // 2)
FIVE_A_MONTH = SpendingLimit("everybody", "month", 5 * DOLLAR)
PAID, OTHER = NodeId("7"), "9"


def refusal(spending: Spending, limit: SpendingLimit, person: str, dollars: float, now: float = 0.0) -> object:
    return spending.refusal(Payment(money(dollars), limits=(limit,)), person, money(dollars), now)


def spend(spending: Spending, person: str, dollars: float, now: float, job: str = "job") -> None:
    spending.reserve(JobId(job), person, money(dollars))
    spending.settle(JobId(job), money(dollars), now)


def test_what_unfinished_jobs_reserve_is_not_spent_twice() -> None:
    spending = Spending()
    spending.reserve(JobId("a"), "ada", money(0.7))
    assert refusal(spending, A_DOLLAR_A_DAY, "bob", 0.3) is None
    assert refusal(spending, A_DOLLAR_A_DAY, "bob", 0.4) == BudgetReached("everybody", "day", 1.0, 0.3, 0.4, DAY)
    spending.settle(JobId("a"), 0, 0.0)
    assert refusal(spending, A_DOLLAR_A_DAY, "bob", 1.0) is None, "it cost nothing"


def test_money_returns_when_its_day_or_month_is_over() -> None:
    spending = Spending()
    spend(spending, "ada", 0.6, 0.0, "a")
    spend(spending, "ada", 0.3, 100.0, "b")
    over = BudgetReached("everybody", "day", 1.0, 0.1, 0.5, DAY - 200.0)
    assert refusal(spending, A_DOLLAR_A_DAY, "ada", 0.5, 200.0) == over, "the first alone is enough"
    assert refusal(spending, A_DOLLAR_A_DAY, "ada", 0.5, DAY) is None
    assert refusal(spending, FIVE_A_MONTH, "ada", 4.2, DAY) == BudgetReached(
        "everybody", "month", 5.0, 4.1, 4.2, 29 * DAY
    )
    assert refusal(spending, FIVE_A_MONTH, "ada", 5.0, 30 * DAY + 100.0) is None


def test_a_limit_of_a_person_counts_only_what_they_spend() -> None:
    spending = Spending()
    spend(spending, "ada", 0.5, 0.0, "a")
    assert refusal(spending, HALF_A_DOLLAR_EACH, "bob", 0.5) is None
    assert refusal(spending, HALF_A_DOLLAR_EACH, "ada", 0.1) == BudgetReached("person", "day", 0.5, 0.0, 0.1, DAY)


def test_what_costs_more_than_the_whole_budget_never_fits() -> None:
    assert refusal(Spending(), A_DOLLAR_A_DAY, "ada", 1.5) == BudgetReached("everybody", "day", 1.0, 1.0, 1.5, None)


def test_a_job_is_settled_once() -> None:
    spending = Spending()
    spend(spending, "ada", 0.4, 0.0)
    spending.settle(JobId("job"), money(0.4), 0.0)
    (used,) = spending.used([A_DOLLAR_A_DAY], "ada", 0.0)
    assert used == SpendingUsed(A_DOLLAR_A_DAY, money(0.4), money(0.4), DAY)


def test_what_was_spent_before_a_restart_counts_for_the_rest_of_its_day() -> None:
    spending = Spending()
    spending.load([Spent("ada", money(0.2), age=DAY - 1.0), Spent("ada", money(0.7), age=0.5 * DAY)], 10.0)
    (used,) = spending.used([A_DOLLAR_A_DAY], "ada", 10.0)
    assert used == SpendingUsed(A_DOLLAR_A_DAY, money(0.9), money(0.2), 1.0)
    (used,) = spending.used([A_DOLLAR_A_DAY], "ada", 11.0)
    assert used.spent == money(0.7)
    assert spending.used([HALF_A_DOLLAR_EACH], "bob", 11.0) == [SpendingUsed(HALF_A_DOLLAR_EACH, 0)]


@pytest.mark.parametrize(
    ("history", "billed"),
    [
        (None, True),
        (History("unreadable"), True),
        (History("success"), True),
        (History("success", cached=frozenset({OTHER})), True),
        (History("success", cached=frozenset({PAID, OTHER})), False),
        (History("failed", node=OTHER, executed=frozenset({"3"})), False),
        (History("failed", node=OTHER, executed=frozenset({PAID})), True),
        (History("failed", node=PAID, executed=frozenset()), True),
        (History("failed", node="9.0.0.1", executed=frozenset()), True),
        (History("failed", node=OTHER), True),
        (History("failed", executed=frozenset()), True),
        (History("interrupted", node=OTHER, executed=frozenset()), False),
        (History("interrupted", node=PAID, executed=frozenset()), True),
    ],
)
def test_only_what_certainly_did_not_run_costs_nothing(history: History | None, billed: bool) -> None:
    assert Payment(DOLLAR, (PAID,)).due(history) == (DOLLAR if billed else 0)
    assert Payment(DOLLAR).due(history) == DOLLAR, "it is not known which nodes cost it"


def test_a_payment_keeps_the_limits_of_another_one() -> None:
    limited = Payment(DOLLAR, limits=(A_DOLLAR_A_DAY,))
    assert with_limits(Payment(2 * DOLLAR), limited) == Payment(2 * DOLLAR, limits=(A_DOLLAR_A_DAY,))
    assert with_limits(None, limited) is None
