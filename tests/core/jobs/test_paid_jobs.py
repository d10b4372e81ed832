"""What services bill for is never sent twice: what may have run is lost, with a sentence, or waits for its server."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from app.core.effects import (
    CancelPrompt,
    HistoryRead,
    PromptCancelled,
    PromptRefused,
    PromptSubmitted,
    ReadHistory,
    SubmitPrompt,
    SubmitUncertain,
)
from app.core.jobs.job import Job, JobRequest, State
from app.core.limits.spending import DOLLAR, Payment
from app.core.servers.state import FAILOVER_AFTER, FAILOVER_PAID, FAILOVER_RUNNING, ServerSettings
from app.events import (
    Cancelled,
    Connected,
    ExecutionEnded,
    ExecutionStarted,
    Failed,
    Finished,
    JobId,
    Lost,
    NodeId,
    ServerName,
)
from app.ports import Graph, History, Ticket
from app.reasons.jobs import PaidRunLost
from app.reasons.servers import HungUp, NoOutput, RefusedConnection, ServerError
from tests.core.test_reconciler import GRAPH, HERE, STREAMING, Desk

THERE = ServerName("there")
PAID = Payment(DOLLAR, (NodeId("3"),))
LOST = Lost(job=JobId("job"), reason=PaidRunLost("here"))


class Till(Desk):
    """A desk whose servers may run what costs money, and one job that does."""

    def __init__(self, *servers: ServerName, pays: bool = True, graph: Graph = GRAPH) -> None:
        super().__init__(servers=(HERE, *servers))
        for server in (HERE, *servers):
            self.server_changes.configure(server, ServerSettings(pays=pays))
        self.up()
        request = JobRequest(job=JobId("job"), workflow="w", graph=graph, folder="out", payment=PAID)
        self.job_table.accept(request)
        self.settle()
        self.job: Job = self.job_table.jobs[request.job]

    def began(self) -> None:
        self.handle(ExecutionStarted(prompt=self.posted()))

    def ended(self, history: History) -> None:
        assert self.job.attempt is not None
        self.handle(ExecutionEnded(prompt=self.job.attempt.prompt))
        self.handle(HistoryRead(self.take(ReadHistory), history))


def test_it_is_sent_only_to_servers_that_may_have_the_key() -> None:
    till = Till(pays=False)
    assert till.none(SubmitPrompt)
    till.server_changes.configure(HERE, ServerSettings(pays=True))
    till.settle()
    assert till.take(SubmitPrompt).request.is_paid


def test_it_counts_as_spent_once_it_has_run() -> None:
    till = Till()
    till.began()
    till.ended(History("success"))
    assert isinstance(till.told[-1], Finished)
    assert till.job.spent == DOLLAR


def test_it_is_given_back_if_it_failed_before_it_cost_something() -> None:
    till = Till()
    till.began()
    till.ended(History("failed", node="9", executed=frozenset()))
    assert isinstance(till.told[-1], Failed)
    assert till.job.spent == 0


@pytest.mark.parametrize("began", [False, True])
def test_what_a_server_forgot_is_lost_and_counts(began: bool) -> None:
    till = Till()
    if began:
        till.began()
    else:
        till.posted()
    till.handle(Connected(HERE))
    till.look()
    assert till.told[-1] == LOST
    assert till.job.spent == DOLLAR
    assert till.none(SubmitPrompt)


def test_what_was_refused_costs_nothing() -> None:
    till = Till()
    till.handle(PromptRefused(till.take(SubmitPrompt), NoOutput(), certain=True))
    assert isinstance(till.told[-1], Failed)
    assert till.job.spent == 0


def test_after_an_answer_that_was_lost_it_is_not_sent_again() -> None:
    till = Till()
    till.handle(SubmitUncertain(till.take(SubmitPrompt), HungUp()))
    till.look()
    assert till.told[-1] == LOST
    assert till.none(SubmitPrompt)


@pytest.mark.parametrize("refused", [False, True])
def test_what_never_left_is_sent_again(refused: bool) -> None:
    till = Till()
    post = till.take(SubmitPrompt)
    till.handle(
        PromptRefused(post, ServerError(500), certain=False, sent=False)
        if refused
        else SubmitUncertain(post, RefusedConnection(), sent=False)
    )
    till.look()
    assert till.take(SubmitPrompt).prompt != post.prompt
    assert till.job.spent == 0


def test_it_does_not_go_elsewhere_and_its_result_still_arrives() -> None:
    till = Till(THERE)
    till.began()
    till.up(THERE)
    till.away()
    till.now += 2 * FAILOVER_RUNNING * FAILOVER_AFTER
    till.away()
    assert till.job.state is State.RUNNING
    assert till.none(SubmitPrompt)
    till.handle(Connected(HERE))
    till.look(ended={"p1": History("success")})
    assert isinstance(till.told[-1], Finished)


def test_after_a_day_it_is_lost_and_dropped_there_when_the_server_is_back() -> None:
    till = Till()
    till.began()
    till.away()
    till.now += FAILOVER_PAID
    till.away()
    assert till.told[-1] == LOST
    till.handle(Connected(HERE))
    till.look(pending=("p1",))
    assert till.take(CancelPrompt).prompt == "p1"
    assert till.none(SubmitPrompt)


def test_it_stays_on_a_server_that_is_to_be_removed() -> None:
    till = Till(THERE)
    till.posted()
    till.up(THERE)
    till.server_changes.remove(HERE)
    till.server_changes.vacate(till.now)
    till.settle()
    assert till.job.state is State.QUEUED
    assert till.none(SubmitPrompt)


def test_it_is_lost_with_a_server_that_is_no_longer_configured() -> None:
    till = Till()
    till.began()
    attempt = till.job.attempt
    assert attempt is not None
    till.job_table.release(till.job, attempt)
    till.settle()
    assert till.told[-1] == LOST
    assert till.job.spent == DOLLAR


def test_results_that_are_gone_are_not_paid_for_again() -> None:
    till = Till(graph=STREAMING)
    till.began()
    till.ended(History("success"))
    assert isinstance(till.told[-1], Finished), "its streamed picture is missing"
    assert till.none(SubmitPrompt)


@pytest.mark.parametrize(("began", "spent"), [(False, 0), (True, DOLLAR)])
def test_what_is_cancelled_costs_nothing_if_it_had_not_begun(began: bool, spent: int) -> None:
    till = Till()
    prompt = till.take(SubmitPrompt)
    till.handle(PromptSubmitted(prompt, Ticket(prompt.prompt)))
    if began:
        till.handle(ExecutionStarted(prompt=prompt.prompt))
    till.job_table.cancel(till.job, till.now)
    till.settle()
    till.handle(PromptCancelled(till.take(CancelPrompt), acknowledged=True))
    till.look()
    assert isinstance(till.told[-1], Cancelled)
    assert till.job.spent == spent


def test_what_costs_money_does_not_wait_at_a_server() -> None:
    till = Till()
    till.began()
    till.job_table.accept(replace(till.job.request, job=JobId("next")))
    till.settle()
    assert till.none(SubmitPrompt), "only here is it certain that it has not begun"
    assert till.job_table.jobs[JobId("next")].state is State.ACCEPTED
