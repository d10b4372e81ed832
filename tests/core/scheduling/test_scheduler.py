"""Which server gets which job, and what waiting people learn of their place in line."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from app.core.alerts import Cause, Cleared, Raised
from app.core.effects import SubmitPrompt
from app.core.jobs.cost import Run
from app.core.jobs.editing import edit
from app.core.jobs.job import Job, JobRequest
from app.core.jobs.loading import adopt
from app.core.jobs.table import JobTable
from app.core.limits.usage import Allowance, Origin
from app.core.scheduling.places.places import Places
from app.core.scheduling.queue.fair_queue import MOST_OVERTAKEN
from app.core.scheduling.scheduler import Scheduler
from app.core.servers.able_servers import AbleServers
from app.core.servers.rest import FAILURES, FIRST_REST
from app.core.servers.state import FAILOVER_AFTER, ServerState
from app.events import Failed, JobId, PromptId, Queued, ServerName
from app.ports import Graph, History
from app.reasons.alerts import ServerFails
from app.reasons.jobs import PromptIdRepeated, ServersDrained, ServersOffline
from app.reasons.servers import HungUp

A, B, C = ServerName("a"), ServerName("b"), ServerName("c")
PICTURE, FILM = "picture", "film"


def graph(model: str, steps: int = 10) -> Graph:
    """A graph with one model."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": model}},
        "3": {"class_type": "KSampler", "inputs": {"steps": steps}},
    }


def run(workflow: str, seconds: float, server: ServerName = A, *, loading: bool = False) -> Run:
    """A measured run of ten steps of a megapixel."""
    return Run(
        job=JobId("old"), person="", workflow=workflow, server=server, work=10.0, seconds=seconds, loading=loading
    )


class Desk:
    """A scheduler with servers that can be reached, and a clock that is turned by hand."""

    def __init__(self, *servers: ServerName, depth: int = 2, runs: tuple[Run, ...] = ()) -> None:
        self.job_table = JobTable()
        self.servers = {name: ServerState(name, failover_after=FAILOVER_AFTER) for name in servers or (A,)}
        for state in self.servers.values():
            state.back()
        self.now: float = 100.0
        self.depth = depth
        self._prompts = 0
        self.able = AbleServers(self.servers)
        self.scheduler = Scheduler(self.job_table, self.servers, self.able, depth, self._new_prompt_id)
        self.scheduler.learn(runs)

    def _new_prompt_id(self) -> PromptId:
        self._prompts += 1
        return PromptId(f"p{self._prompts}")

    def ask(
        self,
        *names: str,
        person: str = "ada",
        workflow: str = PICTURE,
        model: str = "x",
        servers: tuple[ServerName, ...] = (),
        steps: int = 10,
    ) -> None:
        """Accept one job for each name, then plan."""
        for name in names:
            request = JobRequest(
                job=JobId(name),
                workflow=workflow,
                graph=graph(model, steps),
                folder="out",
                owner=person,
                servers=servers,
            )
            self.job_table.accept(request)
        self.plan()
        for name in names:
            self.scheduler.line.snapshot(self.job(name), self.now)

    def plan(self) -> list[Queued]:
        """Plan; return what waiting people are told."""
        self.scheduler.plan(self.now)
        told = [update for update in self.job_table.updates if isinstance(update, Queued)]
        self.job_table.updates.clear()
        for effect in [effect for effect in self.job_table.effects if isinstance(effect, SubmitPrompt)]:
            self.job_table.effects.remove(effect)
            job = self.job(effect.job)
            assert job.attempt is not None
            self.job_table.answered(job.attempt)
        if self.job_table.touched or self.job_table.touched_servers:
            told += self.plan()
        return told

    def drain(self, *names: ServerName) -> list[Queued]:
        """Drain these servers and no others; return what waiting people are told."""
        for name, state in self.servers.items():
            state.drained = name in names
        self.job_table.touch_server(*self.servers)
        return self.plan()

    def restarted(self) -> Desk:
        """Another process with the journal of this one."""
        after = Desk(*self.servers, depth=self.depth)
        after.now = self.now
        after.scheduler.restore(self.scheduler.served())
        for job in map(deepcopy, self.job_table.jobs.values()):
            after.scheduler.restore_charge(job)
            adopt(after.job_table, job, after.now)
            after.scheduler.admission.accepted(job)
        after.plan()
        return after

    def edit(self, name: str, **changes: object) -> None:
        """Edit a waiting job, then plan."""
        assert edit(self.job_table, self.job(name), replace(self.job(name).request, **changes))
        self.plan()

    def job(self, name: str) -> Job:
        return self.job_table.jobs[JobId(name)]

    def at(self, server: ServerName) -> list[str]:
        """The jobs that a server has, in order."""
        return [job.id for job, _ in self.job_table.prompts.in_flight(server)]

    def start(self, name: str) -> None:
        job = self.job(name)
        assert job.attempt is not None
        self.job_table.running(job, job.attempt.server, self.now, "test")
        self.plan()

    def end(self, name: str, after: float = 10.0) -> None:
        """The server ran the job for so many seconds."""
        self.start(name)
        self.now += after
        self.job_table.ended(self.job(name), History("success"))
        self.plan()

    def fail(self, name: str, after: float = 0.1, *, error_kind: str = "RuntimeError") -> None:
        """The job failed on its server after so many seconds."""
        self.start(name)
        self.now += after
        self.job_table.ended(self.job(name), History("failed", error="boom", error_kind=error_kind))
        self.plan()

    def break_server(self) -> None:
        """Jobs that only A can run fail there until it rests."""
        for number in range(FAILURES):
            self.ask(f"broken {number}", person=f"victim {number}", servers=(A,))
            self.fail(f"broken {number}")
        assert self.servers[A].rest.resting

    def wait(self, seconds: float) -> None:
        """Nothing happens but that time passes."""
        self.now += seconds
        self.plan()

    def place(self, name: str) -> Queued | None:
        """What somebody who asks now reads about a waiting job."""
        self.scheduler.line.refresh(self.job(name).id, self.now)
        told, self.job_table.updates = self.job_table.updates, []
        return next((update for update in told if isinstance(update, Queued)), None)


def test_one_person_s_jobs_run_in_order() -> None:
    desk = Desk()
    desk.ask("1", "2", "3", "4")
    order: list[str] = []
    while desk.at(A):
        order.append(desk.at(A)[0])
        desk.end(order[-1])
    assert order == ["1", "2", "3", "4"]


def test_somebody_with_one_job_does_not_wait_for_all_of_somebody_else_s() -> None:
    desk = Desk(depth=1)
    desk.ask(*(str(number) for number in range(40)))
    desk.end("0")
    desk.ask("mine", person="ben")
    assert desk.at(A) == ["1"]
    desk.end("1")
    assert desk.at(A) == ["mine"]


def test_a_job_that_must_wait_for_one_server_holds_up_nobody_who_can_go_to_another() -> None:
    desk = Desk(A, B, depth=1)
    desk.ask("first", servers=(A,))
    desk.ask("picky", servers=(A,))
    desk.ask("any")
    assert (desk.at(A), desk.at(B)) == (["first"], ["any"])


def test_a_server_gets_the_jobs_whose_models_it_has_loaded() -> None:
    desk = Desk(A, B, depth=1)
    desk.ask("1", "2", model="x")
    desk.end("2")
    desk.ask("3", model="y", person="ben")
    assert desk.at(B) == ["3"], "nobody waits for its models, and an idle server is worse than loading others"
    desk.ask("4", model="y")
    desk.ask("5", model="x")
    desk.end("1")
    assert desk.at(A) == ["5"]
    desk.end("3")
    assert desk.at(B) == ["4"]


def test_the_waiting_place_of_a_server_is_only_for_a_job_with_the_same_models() -> None:
    desk = Desk()
    desk.ask("1", model="x")
    desk.ask("2", model="y")
    assert desk.at(A) == ["1"], "the next decision may find somebody with the same models"
    desk.ask("3", model="x")
    assert desk.at(A) == ["1", "3"]


def test_nothing_waits_behind_a_slow_server_that_a_faster_one_would_finish_sooner() -> None:
    desk = Desk(A, B, runs=(run(PICTURE, 100.0, A), run(PICTURE, 10.0, B)))
    desk.ask("1", "2")
    assert (desk.at(A), desk.at(B)) == (["1"], ["2"])
    desk.ask("3", "4")
    assert desk.at(A) == ["1"], "the fast one ends both before the slow one ends its first"
    assert desk.at(B) == ["2", "3"]


def test_only_people_whose_jobs_changed_are_told_and_the_others_learn_their_place_when_they_ask() -> None:
    desk = Desk(depth=1)
    desk.ask(*(str(number) for number in range(50)))
    assert desk.place("49") is None, "nothing has changed since it was accepted"
    desk.start("0")
    desk.now += 10
    desk.job_table.ended(desk.job("0"), History("success"))
    told = desk.plan()
    assert [update.job for update in told] == ["1"]
    place = desk.place("49")
    assert place is not None
    assert place.position == 48


def test_the_expected_start_is_unknown_until_a_run_was_measured_and_comes_from_the_schedule_then() -> None:
    desk = Desk(depth=1)
    desk.ask("1", "2", "3", workflow=PICTURE)
    place = desk.place("3")
    assert place is None or place.starts_in is None
    desk.end("1", after=20.0)
    place = desk.place("3")
    assert place is not None
    assert (place.position, place.starts_in) == (1, 20.0)


def test_expected_starts_are_right_for_a_mixed_load() -> None:
    desk = Desk(A, B, depth=1, runs=(run(PICTURE, 10.0), run(FILM, 600.0)))
    desk.ask("film", workflow=FILM)
    desk.ask("1", "2", "3", person="ben")
    desk.ask("last", person="cleo")
    desk.start("film")
    desk.start("1")
    desk.now += 4
    place = desk.place("3")
    assert place is not None
    assert place.starts_in == 26.0, "the film occupies the other server for ten minutes"


def test_the_first_expected_start_of_a_job_is_not_an_average_of_the_line_before_it() -> None:
    desk = Desk(depth=1, runs=(run(PICTURE, 10.0), run(FILM, 600.0)))
    desk.ask(*(f"film {number}" for number in range(30)), workflow=FILM)
    desk.start("film 0")
    desk.ask(*(f"picture {number}" for number in range(30)), person="ben")
    desk.now += 0.1
    desk.job_table.accept(replace(desk.job("picture 0").request, job=JobId("mine"), owner="cleo"))
    desk.plan()
    first = desk.scheduler.line.snapshot(desk.job("mine"), desk.now)[-1]
    assert isinstance(first, Queued)
    assert first.starts_in == 610.0, "after the film that runs and one picture of Ben's, who had as little time"


def test_a_job_that_needs_a_second_attempt_keeps_its_turn_and_is_charged_once() -> None:
    desk = Desk(depth=1, runs=(run(PICTURE, 10.0),))
    desk.ask("1", person="ada")
    desk.ask("2", person="ben")
    desk.ask("3", person="ada")
    desk.job_table.reset_for_retry(desk.job("1"), "test")
    desk.plan()
    assert desk.at(A) == ["1"]
    desk.end("1")
    assert desk.at(A) == ["2"]
    desk.end("2")
    assert desk.at(A) == ["3"], "ben is no further ahead than without the retry"


def test_a_job_that_was_cancelled_before_it_ran_costs_its_person_nothing() -> None:
    desk = Desk(depth=1, runs=(run(PICTURE, 1000.0),))
    desk.ask("1", person="ada")
    desk.ask("2", "3", person="ben")
    desk.ask("4", "5", person="ada")
    job = desk.job("1")
    desk.job_table.end_as_cancelled(job)
    (attempt,) = job.leftovers
    desk.job_table.released(job, attempt)
    desk.plan()
    desk.end("2", after=1000.0)
    assert desk.at(A) == ["4"]


def test_a_run_is_measured_from_its_start_and_remembered_for_the_journal() -> None:
    desk = Desk(depth=1)
    desk.ask("1")
    desk.now += 30
    desk.end("1", after=12.0)
    (measured,) = desk.job_table.runs
    assert (measured.workflow, measured.server, measured.seconds, measured.work) == (PICTURE, A, 12.0, 10.0)
    assert measured.completed


def test_a_waiting_job_whose_servers_are_all_offline_has_no_expected_start() -> None:
    desk = Desk(depth=1, runs=(run(PICTURE, 10.0),))
    desk.ask("1", "2")
    desk.servers[A].unreachable(HungUp(), desk.now)
    desk.now += FAILOVER_AFTER
    desk.job_table.touch_server(*desk.servers)
    desk.plan()
    update = desk.scheduler.line.snapshot(desk.job("2"), desk.now)[0]
    assert isinstance(update, Queued)
    assert (update.note, update.starts_in) == (ServersOffline((A,)), None)


def test_an_expected_start_that_moved_by_a_quarter_is_told_and_one_that_hardly_moved_is_not() -> None:
    desk = Desk(depth=1, runs=(run(PICTURE, 100.0),))
    desk.ask("1", "2", "3")
    desk.start("1")
    assert desk.place("3") is None, "nothing has changed"
    desk.now += 50
    assert desk.place("3") is None, "fifty seconds later it is fifty seconds less"
    desk.now += 90
    place = desk.place("3")
    assert place is not None, "the first takes 40 seconds longer than expected, and is not expected to be done at once"
    assert (place.position, place.starts_in) == (2, 110.0)


def test_the_first_expected_start_of_a_job_is_measured_against_its_start() -> None:
    desk = Desk(depth=1, runs=(run(PICTURE, 10.0),))
    desk.ask("1", "2")
    desk.end("1", after=12.0)
    desk.end("2")
    first, second = desk.job_table.runs
    assert (first.waited, first.expected_wait) == (None, None), "it did not wait"
    assert (second.waited, second.expected_wait, second.overtaken) == (12.0, 10.0, False)


def test_a_job_that_a_later_one_overtook_is_marked() -> None:
    desk = Desk(depth=1, runs=(run(PICTURE, 10.0),))
    desk.ask("1", "2")
    desk.ask("later", person="ben")
    for name in ("1", "later", "2"):
        desk.end(name)
    assert [(measured.job, measured.overtaken) for measured in desk.job_table.runs] == [
        ("1", False),
        ("later", False),
        ("2", True),
    ]


def test_a_server_that_fails_everything_at_once_gets_only_a_handful_of_many_jobs() -> None:
    desk = Desk(A, B, C)
    for number in range(30):
        desk.ask(f"{number}", person=f"person {number % 5}")
    failed = 0
    while desk.job_table.prompts.at(A) or desk.job_table.prompts.at(B) or desk.job_table.prompts.at(C):
        while desk.at(A):
            desk.fail(desk.at(A)[0])
            failed += 1
        for server in (B, C):
            if desk.at(server):
                desk.end(desk.at(server)[0], after=5.0)
    assert not len(desk.scheduler._queue), "nobody waits any more"  # pyright: ignore[reportPrivateUsage]
    assert FAILURES <= failed <= FAILURES + 3


def test_the_broken_workflow_of_one_person_does_not_make_a_server_rest() -> None:
    desk = Desk(A, B)
    for number in range(10):
        desk.ask(f"{number}", servers=(A,))
        desk.fail(f"{number}")
    assert not desk.servers[A].rest.in_trouble
    assert not desk.job_table.alerts


def test_a_refused_or_cancelled_job_says_nothing_about_its_server() -> None:
    desk = Desk(A, B)
    for number in range(10):
        name = f"{number}"
        desk.ask(name, person=name, servers=(A,))
        if number % 2:
            desk.start(name)
            desk.job_table.ended(desk.job(name), History("interrupted"))
        else:
            desk.job_table.settle(desk.job(name), Failed(job=JobId(name), reason=PromptIdRepeated(A)))
        desk.plan()
    assert not desk.servers[A].rest.failures


def test_a_resting_server_gets_only_what_no_other_server_that_can_be_reached_is_able_to_run() -> None:
    desk = Desk(A, B, C)
    desk.break_server()
    desk.servers[C].unreachable(HungUp(), desk.now)
    desk.ask("1", "2", "3", "4")
    assert desk.at(A) == [], "B can run them"
    desk.ask("only here", servers=(A,))
    desk.ask("or at one that is away", servers=(A, C), person="ben")
    assert set(desk.at(A)) == {"only here", "or at one that is away"}


def test_when_every_server_rests_the_jobs_are_sent_all_the_same() -> None:
    desk = Desk(A, B)
    desk.break_server()
    for number in range(FAILURES):
        desk.ask(f"{number}", person=f"{number}", servers=(B,))
        desk.fail(f"{number}")
    desk.ask("x", "y")
    assert desk.at(A)
    assert desk.at(B)


def test_after_a_rest_one_job_is_sent_and_the_next_only_after_it_succeeded() -> None:
    desk = Desk(A, B)
    desk.break_server()
    desk.ask(*(str(number) for number in range(8)))
    desk.start(desk.at(B)[0])
    desk.wait(FIRST_REST - 1)
    assert desk.at(A) == []
    desk.wait(1)
    (probe,) = desk.at(A)
    desk.fail(probe)
    desk.wait(2 * FIRST_REST - 1)
    assert desk.at(A) == [], "the second rest is twice as long"
    desk.wait(1)
    (probe,) = desk.at(A)
    desk.end(probe)
    assert len(desk.at(A)) == 2


def test_a_job_is_no_probe_while_another_server_is_free() -> None:
    desk = Desk(A, B)
    desk.break_server()
    desk.wait(FIRST_REST)
    desk.ask("1")
    assert (desk.at(A), desk.at(B)) == ([], ["1"])
    desk.ask("2", model="y")
    assert desk.at(A) == ["2"]


def test_a_probe_that_is_cancelled_is_followed_by_another() -> None:
    desk = Desk(A, B)
    desk.break_server()
    desk.ask(*(str(number) for number in range(8)))
    desk.wait(FIRST_REST)
    (probe,) = desk.at(A)
    desk.start(probe)
    desk.job_table.ended(desk.job(probe), History("interrupted"))
    desk.plan()
    (other,) = desk.at(A)
    assert other != probe


def test_the_operator_is_alerted_once_when_a_server_begins_to_rest_and_once_when_it_works_again() -> None:
    desk = Desk(A, B)
    desk.break_server()
    cause = Cause("failures", A)
    assert desk.job_table.alerts == [Raised(cause, ServerFails(A))]
    desk.ask(*(str(number) for number in range(9)))
    for _ in range(3):
        desk.wait(1000)
        desk.fail(desk.at(A)[0])
    assert len(desk.job_table.alerts) == 1
    desk.wait(1000)
    desk.end(desk.at(A)[0])
    desk.end(desk.at(A)[0])
    assert desk.job_table.alerts == [Raised(cause, ServerFails(A)), Cleared(cause)]


def test_a_workflow_that_ran_out_of_memory_goes_to_another_server_with_as_much_work() -> None:
    desk = Desk(A, B)
    desk.ask("large", steps=20, servers=(A,))
    desk.fail("large", error_kind="torch.OutOfMemoryError")
    desk.ask("again", "larger", steps=20)
    assert (desk.at(A), desk.at(B)) == ([], ["again", "larger"])
    desk.ask("smaller", steps=10)
    desk.ask("other", workflow=FILM, steps=20, person="ben")
    assert set(desk.at(A)) == {"smaller", "other"}


def test_a_job_is_sent_where_memory_did_not_suffice_if_no_other_server_can_run_it() -> None:
    desk = Desk(A, B)
    desk.ask("large", servers=(A,))
    desk.fail("large", error_kind="torch.OutOfMemoryError")
    desk.ask("picky", servers=(A,))
    assert desk.at(A) == ["picky"]
    desk.end("picky")
    desk.ask("1", "2", model="x")
    assert (desk.at(A), desk.at(B)) == (["1"], ["2"]), "it had enough memory after all"


def test_people_who_wait_for_another_server_hold_up_nobody_at_one_without_enough_memory() -> None:
    desk = Desk(A, B, depth=1)
    desk.ask("large", steps=20, servers=(A,))
    desk.fail("large", error_kind="torch.OutOfMemoryError")
    desk.ask(*(f"large {number}" for number in range(10)), steps=20)
    desk.ask("small", steps=5)
    assert (desk.at(A), desk.at(B)) == (["small"], ["large 0"])


def test_whoever_waits_learns_when_it_starts_on_the_servers_that_do_not_rest() -> None:
    desk = Desk(A, B, depth=1, runs=(run(PICTURE, 10.0, A), run(PICTURE, 10.0, B)))
    desk.break_server()
    desk.ask("1", "2", "3")
    place = desk.place("3") or desk.scheduler.line.snapshot(desk.job("3"), desk.now)[0]
    assert isinstance(place, Queued)
    assert place.starts_in == 20.0


def test_a_drained_server_gets_neither_a_running_nor_a_waiting_job_and_what_it_has_ends() -> None:
    desk = Desk(A, B)
    desk.ask("1", "2", "3", "4", "5", servers=(A,))
    assert desk.at(A) == ["1", "2"]
    desk.drain(A)
    desk.end("1")
    assert desk.at(A) == ["2"], "what waits there stays, and nothing follows"
    desk.end("2")
    assert desk.at(A) == []
    desk.ask("6")
    assert desk.at(B) == ["6"]
    desk.drain()
    assert desk.at(A) == ["3", "4"]


def test_people_whose_servers_are_all_drained_are_told_so_and_get_no_expected_start() -> None:
    desk = Desk(A, B, runs=(run(PICTURE, 10.0),))
    desk.ask("1", "2", "3", servers=(A,))
    assert desk.place("3") is None
    (told,) = [update for update in desk.drain(A) if update.job == "3"]
    assert (told.note, told.starts_in) == (ServersDrained((A,)), None)
    (told,) = [update for update in desk.drain() if update.job == "3"]
    assert told.note is None
    assert told.starts_in is not None


def test_a_job_waits_for_an_offline_server_rather_than_for_a_drained_one() -> None:
    desk = Desk(A, B)
    desk.servers[B].unreachable(HungUp(), desk.now)
    desk.drain(A)
    desk.ask("1")
    assert desk.at(A) == desk.at(B) == []
    assert desk.job("1").attempt is None
    (snapshot,) = desk.scheduler.line.snapshot(desk.job("1"), desk.now)
    assert isinstance(snapshot, Queued)
    assert snapshot.note == ServersOffline((B,))


def test_a_resting_server_gets_jobs_if_the_only_other_one_is_drained() -> None:
    desk = Desk(A, B)
    desk.break_server()
    desk.drain(B)
    desk.ask("1")
    assert desk.at(A) == ["1"]


def test_the_forecast_leaves_drained_servers_out() -> None:
    desk = Desk(A, B, depth=1, runs=(run(PICTURE, 10.0), run(PICTURE, 10.0, B)))
    desk.ask("1", "2", "3", "4")
    place = desk.scheduler.line.snapshot(desk.job("4"), desk.now)[0]
    assert isinstance(place, Queued)
    assert place.starts_in == 10
    (update,) = [update for update in desk.drain(B) if update.job == "4"]
    assert update.starts_in == 20


def test_of_free_servers_the_one_with_the_greatest_weight_gets_a_job_first() -> None:
    desk = Desk(A, B, C)
    desk.servers[B].weight, desk.servers[C].weight = 2.0, 0.5
    desk.servers[C].models = desk.servers[A].models = "CheckpointLoaderSimple.ckpt_name=x"
    for server, name in ((B, "1"), (A, "2"), (C, "3")):
        desk.ask(name)
        assert desk.at(server) == [name]


def test_a_server_gets_only_workflows_that_it_may_run() -> None:
    desk = Desk(A, B)
    desk.servers[A].workflows, desk.servers[B].workflows = frozenset({PICTURE}), frozenset()
    desk.ask("film", workflow=FILM)
    desk.ask("picture", workflow=PICTURE, servers=(B,))
    assert desk.at(A) == ["picture"], "none of the servers that it names may run it"
    assert desk.at(B) == []
    (snapshot,) = desk.scheduler.line.snapshot(desk.job("film"), desk.now)
    assert isinstance(snapshot, Queued)
    assert snapshot.note == ServersDrained(())


OPERATIONS = st.one_of(
    st.tuples(
        st.just("ask"),
        st.sampled_from(["ada", "bob", "cyd"]),
        st.sampled_from(["x", "y"]),
        st.sampled_from([(), (A,), (B,), (A, C)]),
    ),
    st.tuples(st.just("end"), st.sampled_from([A, B, C]), st.floats(1, 60)),
    st.tuples(st.just("drain"), st.sets(st.sampled_from([A, B, C]))),
)


@pytest.mark.parametrize("depth", [1, 2])
@given(operations=st.lists(OPERATIONS, max_size=40), weights=st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=3))
def test_with_drained_servers_and_weights_every_job_runs_once_and_no_other_server_idles(
    depth: int, operations: list[tuple[str, ...]], weights: list[float]
) -> None:
    desk = Desk(A, B, C, depth=depth)
    for state, weight in zip(desk.servers.values(), weights, strict=False):
        state.weight = weight
    desk.plan()
    asked, ended = list[str](), list[str]()

    def end(server: ServerName, after: float) -> None:
        if at := desk.at(server):
            ended.append(at[0])
            desk.end(at[0], after)

    def check(before: dict[ServerName, list[str]]) -> None:
        waiting = [name for name in asked if name not in ended and desk.job(name).attempt is None]
        for name, state in desk.servers.items():
            if state.drained:
                assert set(desk.at(name)) <= set(before[name]), "a drained server got a job"
            elif not desk.at(name):
                able = [job for job in waiting if not (of := desk.job(job).request.servers) or name in of]
                assert not able, "a server idles"
        kept = desk.scheduler._places  # pyright: ignore[reportPrivateUsage]
        fresh = Places(desk.job_table, desk.servers, depth, desk.scheduler._times.remaining_at)  # pyright: ignore[reportPrivateUsage]
        fresh.look(desk.now)
        assert kept.idle() == fresh.idle(), "a server changed that was not looked at"
        assert set(kept.waiting_places(desk.now)) == set(fresh.waiting_places(desk.now))
        assert set(kept.taking_jobs()) == set(fresh.taking_jobs())

    for operation in operations:
        before = {name: desk.at(name) for name in desk.servers}
        match operation:
            case ("ask", str(person), str(model), servers):
                asked.append(str(len(asked)))
                desk.ask(asked[-1], person=person, model=model, servers=servers)  # pyright: ignore[reportArgumentType]
            case ("end", server, after):
                end(ServerName(server), float(after))
            case (_, drained):
                desk.drain(*map(ServerName, drained))
            case _:
                raise AssertionError(operation)
        check(before)
    desk.drain()
    while len(ended) < len(asked):
        for name in desk.servers:
            end(name, 1.0)
    assert sorted(ended) == sorted(asked)


def test_an_edited_job_keeps_its_place_and_is_run_as_what_it_is_now() -> None:
    desk = Desk(depth=1)
    desk.ask("1", "2", "3", "4")
    desk.edit("2", graph=graph("x", steps=40))
    desk.end("1")
    assert desk.at(A) == ["2"]
    assert desk.job("2").request.graph == graph("x", steps=40)
    desk.end("2")
    assert desk.at(A) == ["3"]


def test_an_edited_job_goes_where_its_new_request_can_run() -> None:
    desk = Desk(A, B, depth=1)
    desk.ask("1", "2")
    desk.ask("3", "4", servers=(A,))
    desk.edit("4", servers=(B,))
    desk.end("2")
    assert (desk.at(A), desk.at(B)) == (["1"], ["4"])


def test_an_edited_job_is_preferred_where_its_new_models_are_loaded() -> None:
    desk = Desk(depth=1)
    desk.ask("1", model="x")
    desk.ask("2", "3", model="y")
    desk.edit("3", graph=graph("x"))
    desk.end("1")
    assert desk.at(A) == ["3"]


def test_an_edit_does_not_reset_how_often_a_job_was_overtaken() -> None:
    desk = Desk(depth=1)
    desk.ask("1", model="x")
    desk.ask("2", model="y")
    desk.ask(*(f"later {number}" for number in range(MOST_OVERTAKEN + 1)), model="x")
    desk.end("1")
    for number in range(MOST_OVERTAKEN):
        assert desk.at(A) == [f"later {number}"]
        desk.edit("2", graph=graph("y", steps=11 + number))
        desk.end(f"later {number}")
    assert desk.at(A) == ["2"]


def test_a_job_that_other_servers_can_run_now_is_overtaken_no_more_often_than_others() -> None:
    desk = Desk(A, B, depth=1)
    desk.drain(B)
    desk.ask("1", model="x")
    desk.ask("2", model="y")
    desk.ask(*(f"later {number}" for number in range(MOST_OVERTAKEN + 1)), model="x")
    desk.end("1")
    for number in range(MOST_OVERTAKEN):
        assert desk.at(A) == [f"later {number}"]
        job = desk.job("2")
        job.request = replace(job.request, servers=(A, B) if number % 2 else (A,))
        desk.able.offered = {}
        desk.job_table.touch_server(*desk.servers)
        desk.plan()
        desk.end(f"later {number}")
    assert desk.at(A) == ["2"]


def test_others_learn_when_they_start_from_what_an_edited_job_is_expected_to_take() -> None:
    desk = Desk(depth=1, runs=(run(PICTURE, 10.0),))
    desk.ask("1", "2", "3")
    before = desk.scheduler.line.snapshot(desk.job("3"), desk.now)[0]
    desk.edit("2", graph=graph("x", steps=40))
    after = desk.scheduler.line.snapshot(desk.job("3"), desk.now)[0]
    assert isinstance(before, Queued)
    assert isinstance(after, Queued)
    assert (before.starts_in, after.starts_in) == (20.0, 50.0)
    assert after.position == before.position


def test_the_order_after_a_restart_is_the_one_before_it() -> None:
    desk = Desk(depth=1, runs=(run(PICTURE, 10.0),))
    desk.ask(*(f"ada {number}" for number in range(8)))
    for number in range(3):
        desk.end(f"ada {number}")
    desk.ask(*(f"ben {number}" for number in range(3)), person="ben")
    after = desk.restarted()
    order: list[tuple[str, str]] = []
    for _ in range(6):
        order.append((desk.at(A)[0], after.at(A)[0]))
        desk.end(order[-1][0])
        after.end(order[-1][1])
    assert [before for before, _ in order] == ["ada 3", "ben 0", "ada 4", "ben 1", "ada 5", "ben 2"]
    assert all(before == later for before, later in order)


def test_gpu_seconds_of_a_run_that_was_under_way_at_a_restart_count_for_the_limit() -> None:
    desk = Desk(depth=1, runs=(run(PICTURE, 10.0),))
    desk.ask("1", "2")
    desk.start("1")
    after = desk.restarted()
    after.job_table.ended(after.job("1"), History("success", seconds=25.0))
    after.plan()
    (measured,) = after.job_table.runs
    assert (measured.job, measured.seconds) == ("1", 25.0)
    (used,) = after.scheduler.admission.usage.used(Origin("ada"), [Allowance("person", seconds=100)], after.now)
    assert used.seconds == 25.0 + 10.0, "and those of the job that waits are reserved"


def test_a_job_that_its_server_never_got_before_a_restart_costs_its_person_nothing() -> None:
    desk = Desk(depth=1, runs=(run(PICTURE, 1000.0),))
    desk.ask("1", person="ada")
    desk.ask("2", "3", person="ben")
    after = desk.restarted()
    after.job_table.reset_for_retry(after.job("1"), "test")
    after.plan()
    assert after.at(A) == ["1"]


def test_a_place_far_back_in_line_is_reported_when_it_changed_by_more_than_a_tenth() -> None:
    desk = Desk(depth=1)
    # No run was measured, so that no expected start is reported.
    desk.ask(*(str(number) for number in range(40)))
    ahead = [39]
    for number in range(39):
        desk.job_table.cancel(desk.job(str(38 - number)), desk.now)
        desk.wait(1.0)
        if (told := desk.place("39")) is not None:
            ahead.append(told.position)
    assert ahead == [39, 35, 31, 27, 24, 21, 18, 16, 14, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1]
