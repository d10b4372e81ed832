"""Which server gets which job, and what waiting people learn of their place in line."""

from __future__ import annotations

from app.core.cost import Run
from app.core.effects import SubmitPrompt
from app.core.job import Job, JobRequest
from app.core.job_table import JobTable
from app.core.scheduler import Scheduler
from app.core.server_state import FAILOVER_AFTER, ServerState
from app.events import JobId, PromptId, Queued, ServerName
from app.ports import Graph, History
from app.reasons.jobs import ServersOffline
from app.reasons.servers import HungUp

A, B = ServerName("a"), ServerName("b")
PICTURE, FILM = "picture", "film"


def graph(model: str) -> Graph:
    """A graph with one model."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": model}},
        "3": {"class_type": "KSampler", "inputs": {"steps": 10}},
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
        self.now = 100.0
        self._prompts = 0
        self.scheduler = Scheduler(self.job_table, self.servers, depth, self._new_prompt_id)
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
    ) -> None:
        """Accept one job for each name, then plan."""
        for name in names:
            request = JobRequest(
                job=JobId(name), workflow=workflow, graph=graph(model), folder="out", owner=person, servers=servers
            )
            self.job_table.accept(request)
        self.plan()
        for name in names:
            self.scheduler.snapshot(self.job(name), self.now)

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
        if self.job_table.positions_dirty:
            told += self.plan()
        return told

    def job(self, name: str) -> Job:
        return self.job_table.jobs[JobId(name)]

    def at(self, server: ServerName) -> list[str]:
        """The jobs that a server has, in order."""
        return [job.id for job, _ in self.job_table.in_flight(server)]

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

    def place(self, name: str) -> Queued | None:
        """What somebody who asks now reads about a waiting job."""
        return self.scheduler.refresh(self.job(name), self.now)


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
    desk.job_table.positions_dirty = True
    desk.plan()
    update = desk.scheduler.snapshot(desk.job("2"), desk.now)[0]
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
    assert place is not None, "the first takes 40 seconds longer than expected"
    assert (place.position, place.starts_in) == (2, 100.0)


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
