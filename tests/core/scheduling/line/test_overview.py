"""What runs, what waits, and what is ahead of it, as people see it."""

from __future__ import annotations

from app.core.jobs.job import Batch, JobRequest, State
from app.core.scheduling.line.ahead import Ahead
from app.core.scheduling.line.overview import Overview, WaitingRequest
from app.events import JobId, NodeId, NodeProgress, NodesProgressed, PromptId
from app.ports import History
from tests.core.scheduling.test_scheduler import FILM, PICTURE, A, B, Desk, graph, run


def overview(desk: Desk) -> Overview:
    return Overview(desk.job_table, desk.servers, desk.scheduler.line)


def waiting(desk: Desk, most: int = 10) -> dict[str, WaitingRequest]:
    """The requests that wait, in order."""
    return {each.job.id: each for each in overview(desk).waiting(most, desk.now)}


def desk_that_runs_one(*, depth: int = 1) -> Desk:
    """A server that runs a job of ada, who is charged 20 seconds for it."""
    desk = Desk(A, depth=depth, runs=(run(PICTURE, 20.0),))
    desk.ask("running", person="ada")
    desk.start("running")
    return desk


def test_who_had_less_time_is_ahead_and_counted() -> None:
    desk = desk_that_runs_one()
    desk.ask("of ada", person="ada")
    desk.ask("of bob", person="bob")
    desk.ask("of cy", person="cy")
    found = waiting(desk)
    assert list(found) == ["of bob", "of cy", "of ada"]
    assert found["of ada"].ahead == Ahead(had_less=2)
    assert found["of bob"].ahead == Ahead()


def test_who_had_as_much_time_and_asked_first_is_ahead() -> None:
    desk = desk_that_runs_one()
    desk.ask("of bob", person="bob")
    desk.ask("of cy", person="cy")
    assert waiting(desk)["of cy"].ahead == Ahead(asked_earlier=1)


def test_whose_models_are_loaded_may_be_ahead_of_who_had_less_time() -> None:
    desk = desk_that_runs_one()
    desk.ask("of cy", person="cy", model="other")
    desk.ask("of ada", person="ada")
    found = waiting(desk)
    assert list(found) == ["of ada", "of cy"]
    assert found["of cy"].ahead == Ahead(preferred=1)


def test_earlier_requests_of_the_same_person_are_counted_apart() -> None:
    desk = desk_that_runs_one()
    desk.ask("first", "second", "third", person="bob")
    found = waiting(desk)
    assert [each.ahead for each in found.values()] == [Ahead(), Ahead(own=1), Ahead(own=2)]


def test_a_job_that_is_charged_first_counts_for_the_next_one_of_its_person() -> None:
    desk = desk_that_runs_one()
    desk.ask("first of bob", "second of bob", person="bob")
    desk.ask("of cy", person="cy")
    found = waiting(desk)
    assert list(found) == ["first of bob", "of cy", "second of bob"]
    assert found["second of bob"].ahead == Ahead(had_less=1, own=1)


def test_looking_tells_nobody_anything() -> None:
    """Who follows a job is told what has changed since they were told last, whoever looked meanwhile."""
    desk = desk_that_runs_one()
    desk.ask("of bob", person="bob")
    desk.now += 300.0
    waiting(desk)
    desk.scheduler.line.refresh(desk.job("of bob").id, desk.now)
    assert [update.job for update in desk.job_table.updates] == ["of bob"]


def test_a_job_that_a_server_has_comes_before_those_that_wait_here() -> None:
    desk = desk_that_runs_one(depth=2)
    desk.ask("at the server", "here", person="bob")
    found = waiting(desk)
    assert list(found) == ["at the server", "here"]
    assert found["at the server"].update.server == A
    assert found["here"].update.server is None


def test_jobs_for_which_no_server_is_there_come_last_in_the_order_of_acceptance() -> None:
    desk = desk_that_runs_one()
    desk.able.offered = {PICTURE: (A,), FILM: (B,)}
    desk.ask("of nobody 1", "of nobody 2", person="bob", workflow=FILM)
    desk.ask("of cy", person="cy")
    found = waiting(desk)
    assert list(found) == ["of cy", "of nobody 1", "of nobody 2"]
    assert found["of nobody 1"].ahead is None


def test_only_as_many_are_listed_as_are_asked_for() -> None:
    desk = desk_that_runs_one()
    desk.ask(*(f"job {number}" for number in range(30)), person="bob")
    assert len(waiting(desk, most=7)) == 7
    assert overview(desk).waiting_jobs == 30


def test_the_oldest_requests_of_a_person_are_found_however_far_behind() -> None:
    desk = desk_that_runs_one()
    for person in range(40):
        desk.ask(f"of {person}", person=str(person))
    desk.ask("late", "later", person="bob")
    found = overview(desk).waiting_of("bob", 1, desk.now)
    assert [each.job.id for each in found] == ["late"]
    assert overview(desk).waiting_of("nobody", 5, desk.now) == []


def test_a_running_job_has_its_server_its_progress_and_its_end() -> None:
    desk = desk_that_runs_one()
    half = NodesProgressed(
        prompt=PromptId("p1"), nodes=(NodeProgress(NodeId("3"), NodeId("3"), 5.0, 10.0, finished=False),)
    )
    desk.now += 5.0
    desk.job_table.trackers[JobId("running")].handle(half, desk.now)
    (found,) = overview(desk).running(desk.now)
    assert (found.job.id, found.server, found.ends_in) == ("running", A, 15.0)
    assert found.progress is not None
    assert (found.progress.step, found.progress.steps) == (5, 10)


def test_a_job_whose_results_are_on_the_way_still_runs() -> None:
    desk = desk_that_runs_one()
    job = desk.job("running")
    assert job.ended(History(outcome="success"))
    job.move(State.FINISHED)
    assert [each.job.id for each in overview(desk).running(desk.now)] == ["running"]


def test_a_batch_is_one_request() -> None:
    desk = Desk(A, B, depth=1, runs=(run(PICTURE, 20.0),))
    request = JobRequest(
        job=JobId("batch"), workflow=PICTURE, graph=graph("x"), folder="out", owner="bob", batch=Batch(4, ())
    )
    desk.scheduler.line.open = False
    desk.job_table.accept(request)
    desk.plan()
    (found,) = waiting(desk).values()
    assert (found.job.id, found.jobs, found.job.request.pictures) == ("batch", 4, 4)

    desk.scheduler.line.open = True
    desk.job_table.touch_server(A, B)
    desk.plan()
    for job, _ in [*desk.job_table.prompts.in_flight(A), *desk.job_table.prompts.in_flight(B)]:
        desk.start(job.id)
    assert [each.job.id for each in overview(desk).running(desk.now)] == ["batch"]
    assert waiting(desk) == {}
