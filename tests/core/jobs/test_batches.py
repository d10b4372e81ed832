"""A request for several pictures is several jobs that servers share, and people see one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from app.core.jobs.batches import requests_of, without_parts
from app.core.jobs.editing import edit
from app.core.jobs.job import Batch, Job, JobRequest, Refetch, SeedInput, State
from app.core.jobs.loading import adopt
from app.core.limits.usage import Allowance
from app.events import (
    AnyUpdate,
    Arrived,
    Cancelled,
    Edited,
    Failed,
    FileRef,
    Finished,
    JobId,
    NodeId,
    NodeOutput,
    Progressed,
    PromptId,
    Queued,
    ServerName,
    Started,
)
from app.ports import Graph, History
from app.reasons.jobs import BatchIncomplete, NodeFailed, OutOfMemory, ResultsMissing
from app.reasons.limits import JobsReached
from app.workflows.api_graph import inputs
from tests.core.scheduling.test_scheduler import A, B, Desk

LEAD = JobId("lead")

GRAPH: Graph = {
    "1": {"class_type": "KSampler", "inputs": {"seed": 40, "steps": 10}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}


def request(size: int = 4, seed: int = 40) -> JobRequest:
    """A request for so many pictures."""
    graph: Graph = {**GRAPH, "1": {"class_type": "KSampler", "inputs": {"seed": seed, "steps": 10}}}
    batch = Batch(size, (SeedInput(NodeId("1"), "seed"),)) if size > 1 else None
    return JobRequest(job=LEAD, workflow="w", graph=graph, folder="out", owner="ada", seed=seed, batch=batch)


class Table(Desk):
    """A desk with one batch."""

    def __init__(self, *servers: ServerName, size: int = 4) -> None:
        super().__init__(*servers, depth=1)
        self.told: list[AnyUpdate] = []
        self.job_table.accept(request(size))
        self.ids = [each.job for each in requests_of(request(size))]
        self.look()

    def look(self) -> list[AnyUpdate]:
        """Let the scheduler plan; return what watchers of the batch are told."""
        self.scheduler.plan(self.now)
        told = list(self.job_table.updates)
        self.plan()
        self.told += told
        return told

    def picture(self, number: int) -> Job:
        """One job of the batch, counted from 0."""
        return self.job_table.jobs[self.ids[number]]

    def run(self, number: int) -> list[AnyUpdate]:
        """A server begins one of the pictures."""
        job = self.picture(number)
        assert job.attempt is not None
        self.job_table.running(job, job.attempt.server, self.now, "test")
        return self.look()

    def made(self, number: int) -> list[AnyUpdate]:
        """A picture was made, and is here."""
        job, file = self.picture(number), FileRef(f"{number}.png")
        self.now += 10
        self.job_table.ended(job, History("success", outputs=(NodeOutput(NodeId("2"), (file,)),), seconds=2.5))
        job.files[file] = f"/out/{number}.png"
        self.job_table.complete(job)
        return self.look()

    def broken(self, number: int, error_kind: str = "RuntimeError") -> list[AnyUpdate]:
        """The server failed on a picture."""
        self.now += 1
        self.job_table.ended(self.picture(number), History("failed", error="boom", error_kind=error_kind))
        return self.look()


def test_each_picture_has_the_next_seed_and_always_the_same_id() -> None:
    requests = requests_of(request())
    assert [each.seed for each in requests] == [40, 41, 42, 43]
    graphs = [inputs(each.graph, "1") for each in requests]
    assert graphs == [{"seed": seed, "steps": 10} for seed in (40, 41, 42, 43)]
    assert len({each.job for each in requests}) == 4
    assert [each.job for each in requests] == [each.job for each in requests_of(request())]
    assert [each.lead for each in requests] == ["", LEAD, LEAD, LEAD]
    assert inputs(GRAPH, "1") == {"seed": 40, "steps": 10}, "the first graph is not changed"


def test_results_of_each_picture_are_fetched_again_from_its_own_server() -> None:
    first, second = (Refetch(server, PromptId(f"p{server}"), History("success")) for server in (A, B))
    again = replace(request(), refetch=first, batch=Batch(2, (), (second,)))
    assert [each.refetch for each in requests_of(again)] == [first, second]


def test_servers_share_the_pictures_of_one_request() -> None:
    table = Table(A, B)
    assert table.at(A) == [table.ids[0]]
    assert table.at(B) == [table.ids[1]]
    table.run(0)
    table.made(0)
    assert table.at(A) == [table.ids[2]]


def test_people_see_one_job_whose_pictures_arrive_one_by_one() -> None:
    table = Table(A, B)
    table.run(0)
    table.run(1)
    assert table.made(1)[0] == Arrived(job=LEAD, files=("/out/1.png",), total=4)
    table.run(2)
    assert table.made(0)[0] == Arrived(job=LEAD, files=("/out/0.png", "/out/1.png"), total=4), "in order of the seeds"
    assert table.job_table.final_update(table.picture(0)) is None, "the batch has not ended"
    table.made(2)
    table.run(3)
    assert table.made(3) == [
        Finished(
            job=LEAD,
            server=A,
            files=("/out/0.png", "/out/1.png", "/out/2.png", "/out/3.png"),
            seed=40,
            seconds=10.0,
        )
    ]
    assert {update.job for update in table.told} == {LEAD}
    assert sum(isinstance(update, Started) for update in table.told) == 2, "when nothing else of it runs"


def test_its_progress_is_that_of_all_its_pictures() -> None:
    table = Table(A, B)
    for number, fraction in ((0, 0.5), (1, 0.25)):
        table.run(number)
        job = table.picture(number)
        table.job_table.tell(job, Progressed(job=job.id, fraction=fraction, node=f"node {number}", remaining=5.0))
    progressed = [update for update in table.told + table.job_table.updates if isinstance(update, Progressed)]
    assert [update.fraction for update in progressed] == [0.125, 0.1875]
    assert progressed[-1].node == "node 0", "the names of two nodes do not take turns"
    assert progressed[-1].remaining is None, "two of its pictures wait"


def test_while_nothing_of_it_runs_people_read_where_the_next_picture_is_in_line() -> None:
    table = Table(A)
    table.run(0)
    table.made(0)
    assert table.scheduler.line.snapshot(table.picture(0), table.now)[0] == Arrived(
        job=LEAD, files=("/out/0.png",), total=4
    )
    places = [
        update for update in table.scheduler.line.snapshot(table.picture(0), table.now) if isinstance(update, Queued)
    ]
    assert [place.job for place in places] == [LEAD]
    assert places[0].server == A


def test_a_picture_that_fails_leaves_the_others() -> None:
    table = Table(A)
    last: list[AnyUpdate] = []
    for number in range(4):
        table.run(number)
        last = table.broken(number, "OutOfMemoryError") if number == 2 else table.made(number)
    assert isinstance(last[-1], Finished)
    assert last[-1].files == ("/out/0.png", "/out/1.png", "/out/3.png")
    assert last[-1].notes == (BatchIncomplete(3, 4), OutOfMemory(""))


def test_if_every_picture_fails_the_request_fails_like_the_first() -> None:
    table = Table(A, size=2)
    last: list[AnyUpdate] = []
    for number in range(2):
        table.run(number)
        last = table.broken(number)
    assert last[-1:] == [Failed(job=LEAD, reason=NodeFailed("", "boom", "RuntimeError"))]
    assert table.picture(0).state is State.FAILED


def test_results_of_all_pictures_that_did_not_arrive_are_counted_together() -> None:
    table = Table(A, size=2)
    table.run(0)
    table.made(0)
    table.run(1)
    job, file = table.picture(1), FileRef("1.png")
    table.job_table.ended(job, History("success", outputs=(NodeOutput(NodeId("2"), (file,)),)))
    table.job_table.give_up(job, file)
    table.job_table.complete(job)
    last = table.look()[-1]
    assert isinstance(last, Finished)
    assert last.notes == (ResultsMissing(1, 2),)
    assert isinstance(job.terminal_update, Finished)
    assert ResultsMissing(0, 1) in job.terminal_update.notes


def test_cancel_ends_what_has_not_ended_and_keeps_the_pictures_that_are_here() -> None:
    table = Table(A)
    table.run(0)
    table.made(0)
    table.job_table.cancel(table.picture(0), table.now)
    table.look()
    job = table.picture(1)
    assert job.attempt is not None
    table.job_table.gone(job, job.attempt)
    notes = (BatchIncomplete(1, 4, cancelled=True),)
    assert table.look()[-1:] == [Finished(job=LEAD, server=A, files=("/out/0.png",), notes=notes, seed=40, seconds=2.5)]


def test_cancel_before_the_first_picture_cancels_the_request() -> None:
    table = Table(A, size=2)
    table.job_table.cancel(table.picture(0), table.now)
    table.look()
    job = table.picture(0)
    assert job.attempt is not None
    table.job_table.gone(job, job.attempt)
    assert table.look()[-1:] == [Cancelled(job=LEAD)]


def test_a_finished_request_can_be_cancelled_until_it_was_shown() -> None:
    table = Table(A, size=2)
    for number in range(2):
        table.run(number)
        table.made(number)
    table.job_table.cancel(table.picture(0), table.now)
    assert table.look() == [Cancelled(job=LEAD)]


def test_all_of_it_leaves_the_table_once_it_was_shown() -> None:
    table = Table(A, size=2)
    table.job_table.delivered(table.picture(0))
    assert len(table.job_table.jobs) == 2, "nothing was shown yet"
    told: list[AnyUpdate] = []
    for number in range(2):
        table.run(number)
        told = table.made(number)
    last = told[-1]
    assert isinstance(last, Finished)
    table.job_table.delivered(table.picture(0), "receipt", last)
    assert not table.job_table.jobs
    assert table.job_table.batches.lead_of(Job(request=request())) is None


@pytest.mark.parametrize(("before", "after"), [(4, 4), (4, 2), (2, 4), (1, 3), (3, 1)])
def test_all_of_it_is_edited_while_all_of_it_waits(before: int, after: int) -> None:
    table = Table(A, size=1)
    table.job_table.accept(replace(request(before), job=JobId("second")))
    table.look()
    second = table.job("second")
    assert edit(table.job_table, second, replace(request(after, seed=7), job=JobId("second")))
    told = table.look()
    assert Edited(job=JobId("second"), values={}, seed=7, pictures=after) in told
    waiting = [job for job in table.job_table.jobs.values() if job.id != LEAD]
    assert sorted(job.request.seed or 0 for job in waiting) == list(range(7, 7 + after))
    assert {job.request.owner for job in waiting} == {"ada"}
    table.run(0)
    table.made(0)
    told = []
    for _ in range(after):
        job = next(job for job in table.job_table.jobs.values() if table.at(A) == [job.id])
        table.job_table.running(job, A, table.now, "test")
        table.job_table.ended(job, History("success"))
        told = table.look()
    last = told[-1]
    assert isinstance(last, Finished)
    assert last.job == "second"
    assert last.seed == 7


def test_a_picture_that_an_edit_drops_and_a_later_one_adds_again_is_another_job() -> None:
    table = Table(A, size=1)
    table.job_table.accept(replace(request(3), job=JobId("second")))
    second = table.job("second")
    ids: set[JobId] = {job.id for job in table.job_table.batches.jobs_of(second)}
    for size in (2, 3, 1, 3, 4):
        before = {job.id for job in table.job_table.batches.jobs_of(second)}
        assert edit(table.job_table, second, replace(request(size), job=JobId("second")))
        after = {job.id for job in table.job_table.batches.jobs_of(second)}
        assert len(after) == size
        assert not (after - before) & ids, "an id of a dropped picture was used again"
        assert len(after & before) == min(len(before), size), "a picture that stayed got another id"
        assert after == {each.job for each in requests_of(second.request)}
        ids |= after


def test_nothing_of_it_is_edited_once_a_server_has_one_of_its_pictures() -> None:
    table = Table(A)
    assert not edit(table.job_table, table.picture(0), request(seed=7))
    assert [table.picture(number).request.seed for number in range(4)] == [40, 41, 42, 43]


def test_it_counts_as_one_job_and_reserves_the_seconds_of_all_its_pictures() -> None:
    table = Table(A, size=1)
    allowance = Allowance("person", jobs=2, seconds=10_000)
    asked = replace(request(), job=JobId("second"), allowances=(allowance,))
    assert table.scheduler.admission.refusal(asked, table.now) is None
    table.job_table.accept(asked)
    for job in table.job_table.batches.jobs_of(table.job("second")):
        table.scheduler.admission.accepted(job)
    table.scheduler.admission.accepted(table.picture(0))
    (used,) = table.scheduler.admission.usage.used(asked.origin, (allowance,), table.now)
    assert (used.unfinished, used.seconds) == (2, 5 * 10.0)
    assert isinstance(table.scheduler.admission.refusal(replace(asked, job=JobId("third")), table.now), JobsReached)


def test_people_do_not_see_its_parts_in_lists_unless_its_first_job_is_unknown() -> None:
    table = Table(A)
    jobs = list(table.job_table.jobs.values())
    assert without_parts(jobs) == jobs[:1]
    assert without_parts(jobs[1:]) == jobs[1:]


def test_a_batch_that_was_adopted_goes_on_where_it_was() -> None:
    before = Table(A)
    before.run(0)
    before.made(0)
    before.run(1)
    after = Desk(A, depth=1)
    jobs = list(before.job_table.jobs.values())
    after.job_table.batches.add(job.request for job in jobs)
    for job in jobs:
        adopt(after.job_table, job, after.now)
    after.plan()
    updates = after.scheduler.line.snapshot(after.job("lead"), after.now)
    assert [type(update) for update in updates] == [Arrived, Progressed]
    assert {update.job for update in updates} == {LEAD}
    assert after.job_table.final_update(after.job("lead")) is None
