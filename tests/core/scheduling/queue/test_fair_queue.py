"""The fair queue: its bound, and what follows from it, in drawn worlds of servers and people."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from app.core.scheduling.queue.fair_queue import MOST_OVERTAKEN, Choice, FairQueue, Served, together
from app.core.scheduling.queue.levels import TOLERANCE
from app.core.scheduling.queue.queued_job import EVERYWHERE, QueuedJob
from app.events import JobId, ServerName

SERVERS = tuple(ServerName(name) for name in "abcd")
A, B = SERVERS[:2]


class Arrival(Struct, frozen=True):
    """A job that somebody asks for: it is expected to take `seconds`, and takes `error` times as long."""

    at: float
    person: str
    seconds: float
    models: str = ""
    servers: frozenset[ServerName] = EVERYWHERE
    error: float = 1.0
    batch: str = ""


class Change(Struct, frozen=True):
    """Before a decision, one of the waiting jobs gets these values; `which` picks it."""

    which: int
    seconds: float
    models: str
    servers: frozenset[ServerName]


class Decision(Struct, frozen=True):
    """A server took a job, beside others that waited; `served` are the served seconds just before of all who waited."""

    at: float
    server: ServerName
    job: QueuedJob
    loaded: bool
    waiting: tuple[QueuedJob, ...]
    served: dict[str, float]


class World:
    """Runs arrivals on servers, in virtual time, and records each decision."""

    def __init__(
        self, servers: int, weights: dict[str, float] | None = None, changes: Sequence[Change | None] = ()
    ) -> None:
        self.queue = FairQueue()
        self._changes = list(reversed(changes))
        self.decisions: list[Decision] = []
        self.seconds: dict[str, float] = defaultdict(float)
        """The seconds for which servers ran the jobs of each person."""
        self._weights = weights or {}
        self._loaded = dict.fromkeys(SERVERS[:servers], "")
        self._errors: dict[JobId, float] = {}

    def run(self, arrivals: Sequence[Arrival], until: float = float("inf")) -> World:
        """Run until everything has ended; at the latest until this time."""
        in_order = sorted(arrivals, key=lambda arrival: arrival.at)
        coming = list(reversed(list(enumerate(in_order))))
        running: list[tuple[float, ServerName, QueuedJob]] = []
        while coming or running:
            now = min([arrival.at for _, arrival in coming[-1:]] + [end for end, _, _ in running[:1]])
            if now > until:
                break
            while coming and coming[-1][1].at == now:
                self.queue.add(self._job(*coming.pop()))
            while running and running[0][0] == now:
                _, _, job = heappop(running)
                self.queue.correct(job.person, job.charge * (self._errors[job.job] - 1))
            busy = {server for _, server, _ in running}
            for server in self._loaded:
                if server not in busy and (job := self._decide(now, server)) is not None:
                    seconds = job.seconds * self._errors[job.job]
                    self.seconds[job.person] += seconds
                    heappush(running, (now + seconds, server, job))
        return self

    def _change(self) -> None:
        """Edit a waiting job, if it is time for that."""
        change = self._changes.pop() if self._changes else None
        if change is not None and len(self.queue):
            jobs = sorted(self.queue.waiting(), key=lambda job: job.number)
            servers = change.servers & frozenset(self._loaded)
            job = jobs[change.which % len(jobs)]
            self.queue.replace(replace(job, seconds=change.seconds, models=change.models, servers=servers))

    def _decide(self, now: float, server: ServerName) -> QueuedJob | None:
        self._change()
        waiting = tuple(self.queue.waiting())
        if (choice := self.queue.next(server, self._loaded[server])) is None:
            assert not any(job.runs_on(server) for job in waiting), f"{server} idles although somebody waits for it"
            return None
        served = {job.person: self.queue.served(job.person) for job in waiting}
        self.decisions.append(Decision(now, server, choice.job, choice.loaded, waiting, served))
        self.queue.take(choice.job, server, choice.job.charge)
        self._loaded[server] = choice.job.models or self._loaded[server]
        return choice.job

    def _job(self, number: int, arrival: Arrival) -> QueuedJob:
        job = JobId(str(number))
        self._errors[job] = arrival.error
        return QueuedJob(
            job=job,
            number=number,
            person=arrival.person,
            servers=arrival.servers & frozenset(self._loaded),
            models=arrival.models,
            seconds=arrival.seconds,
            weight=self._weights.get(arrival.person, 1.0),
            batch=arrival.batch and f"{arrival.person} {arrival.batch}",
        )


PEOPLE = st.sampled_from(["ada", "ben", "cleo", "dev"])
MODELS = st.sampled_from(["", "x", "y", "z"])
WEIGHTS = st.dictionaries(PEOPLE, st.sampled_from([0.5, 2.0, 4.0]))
ANYWHERE = [EVERYWHERE, frozenset({A}), frozenset({A, B})]

CHANGES = st.lists(
    st.none()
    | st.builds(
        Change,
        which=st.integers(0, 40),
        seconds=st.sampled_from([0.5, 10.0, 900.0]),
        models=MODELS,
        servers=st.sampled_from(ANYWHERE),
    ),
    max_size=40,
)


def crowds(
    *, errors: Sequence[float] = (1.0,), servers: Sequence[frozenset[ServerName]] = (EVERYWHERE,)
) -> st.SearchStrategy[list[Arrival]]:
    """Arrivals in bursts, of people who ask for one job, for many, or come back later."""
    arrivals = st.builds(
        Arrival,
        at=st.sampled_from([0.0, 0.0, 1.0, 30.0, 400.0, 5_000.0]),
        person=PEOPLE,
        seconds=st.sampled_from([0.5, 3.0, 10.0, 60.0, 900.0]),
        models=MODELS,
        servers=st.sampled_from(servers),
        error=st.sampled_from(errors),
        batch=st.sampled_from(["", "", "grid"]),
    )
    return st.lists(st.tuples(arrivals, st.sampled_from([1, 1, 5, 20])), min_size=1, max_size=12).map(
        lambda bursts: [arrival for arrival, count in bursts for _ in range(count)]
    )


def apart(decision: Decision) -> float:
    """By how many served seconds people who waited at a decision differ at most."""
    return max((abs(one - other) for one, other in combinations(decision.served.values(), 2)), default=0.0)


class PlainWorld(World):
    """Compares each decision with what is found by looking at everybody who waits."""

    def __init__(self, servers: int, weights: dict[str, float], changes: Sequence[Change | None]) -> None:
        super().__init__(servers, weights, changes)
        self._overtaken: Counter[JobId] = Counter()

    def _decide(self, now: float, server: ServerName) -> QueuedJob | None:
        self._change()
        changes, self._changes = self._changes, []
        expected, loaded = self._plainly(server), self._loaded[server]
        assert self.queue.next(server, loaded) == expected
        assert self.queue.next_loaded(server, loaded) == (expected.job if expected and expected.loaded else None)
        taken = super()._decide(now, server)
        self._changes = changes
        for job in self.queue.waiting():
            earlier = taken is not None and job.person == taken.person and job.number < taken.number
            self._overtaken[job.job] += earlier and job.runs_on(server)
        return taken

    def _plainly(self, server: ServerName) -> Choice | None:
        """What the queue should choose, found by looking at everybody who waits."""
        able = sorted((job for job in self.queue.waiting() if job.runs_on(server)), key=lambda job: job.number)
        people: dict[str, list[QueuedJob]] = defaultdict(list)
        for job in able:
            people[job.person].append(job)
        first: dict[str, int] = {}
        for job in sorted(self.queue.waiting(), key=lambda job: job.number):
            first.setdefault(job.person, job.number)
        order = sorted(people, key=lambda person: (self.queue.served(person), first[person]))
        within = [p for p in order if self.queue.served(p) <= self.queue.served(order[0]) + TOLERANCE]
        for person in within:
            batches: set[str] = set()
            for job in people[person][: MOST_OVERTAKEN + 1]:
                if job.models in {"", self._loaded[server]} and job.batch not in batches:
                    return Choice(job, loaded=True)
                batches |= {job.batch} - {""}
                if self._overtaken[job.job] == MOST_OVERTAKEN:
                    break
        return Choice(people[order[0]][0], loaded=False) if order else None


@given(crowds(servers=[EVERYWHERE, frozenset({A}), frozenset({A, B})]), st.integers(1, 4), WEIGHTS, CHANGES)
def test_each_decision_is_the_one_that_is_found_by_looking_at_everybody_who_waits(
    arrivals: list[Arrival], servers: int, weights: dict[str, float], changes: list[Change | None]
) -> None:
    PlainWorld(servers, weights, changes).run(arrivals)


class RestartedWorld(World):
    """The bot restarts before some decisions: another queue begins with what was kept of the one before."""

    def __init__(self, servers: int, weights: dict[str, float], restarts: Sequence[bool]) -> None:
        super().__init__(servers, weights)
        self._kept = Served()
        self._restarts = list(restarts)

    def _decide(self, now: float, server: ServerName) -> QueuedJob | None:
        taken = super()._decide(now, server)
        self._kept = together(self._kept, self.queue.changes())
        if self._restarts and self._restarts.pop():
            before, self.queue = self.queue, FairQueue()
            self.queue.restore(self._kept)
            for job in sorted(before.waiting(), key=lambda job: job.number):
                self.queue.add(job)
                assert self.queue.served(job.person) == before.served(job.person)
        return taken


@given(crowds(), st.integers(1, 4), WEIGHTS, st.lists(st.booleans(), max_size=60))
def test_the_bound_holds_over_restarts_and_nobody_who_waits_starts_equal_again(
    arrivals: list[Arrival], servers: int, weights: dict[str, float], restarts: list[bool]
) -> None:
    world = RestartedWorld(servers, weights, restarts).run(arrivals)
    assert sorted(int(decision.job.job) for decision in world.decisions) == list(range(len(arrivals)))
    for decision in world.decisions:
        assert apart(decision) <= TOLERANCE + world.queue.largest + 1e-6


@given(crowds(), st.integers(1, 4), WEIGHTS)
def test_two_people_who_wait_differ_by_no_more_than_the_bound(
    arrivals: list[Arrival], servers: int, weights: dict[str, float]
) -> None:
    world = World(servers, weights).run(arrivals)
    for decision in world.decisions:
        assert apart(decision) <= TOLERANCE + world.queue.largest + 1e-6


@given(crowds(errors=[0.01, 1.0, 100.0]), st.integers(1, 4))
def test_wrong_estimates_widen_the_bound_only_by_the_corrections_of_jobs_in_flight(
    arrivals: list[Arrival], servers: int
) -> None:
    world = World(servers).run(arrivals)
    for decision in world.decisions:
        assert apart(decision) <= TOLERANCE + (1 + servers) * world.queue.largest + 1e-6


@given(crowds(errors=[0.01, 1.0, 100.0], servers=[EVERYWHERE, frozenset({A}), frozenset({A, B})]), st.integers(1, 4))
def test_every_job_runs_once_and_no_server_idles_while_somebody_waits_for_it(
    arrivals: list[Arrival], servers: int
) -> None:
    world = World(servers).run(arrivals)
    assert sorted(int(decision.job.job) for decision in world.decisions) == list(range(len(arrivals)))
    assert all(decision.job.runs_on(decision.server) for decision in world.decisions)
    assert len(world.queue) == 0


@given(crowds(servers=[EVERYWHERE, frozenset({A}), frozenset({A, B})]), st.integers(1, 4))
def test_a_job_is_overtaken_by_its_owner_s_later_jobs_only_so_often(arrivals: list[Arrival], servers: int) -> None:
    overtaken: dict[JobId, int] = defaultdict(int)
    for decision in World(servers).run(arrivals).decisions:
        for job in decision.waiting:
            earlier = job.person == decision.job.person and job.number < decision.job.number
            if earlier and job.runs_on(decision.server):
                overtaken[job.job] += 1
    assert max(overtaken.values(), default=0) <= MOST_OVERTAKEN


@given(crowds(), st.integers(1, 4))
def test_jobs_of_one_batch_start_in_order(arrivals: list[Arrival], servers: int) -> None:
    starts: dict[str, list[int]] = defaultdict(list)
    for decision in World(servers).run(arrivals).decisions:
        if decision.job.batch:
            starts[decision.job.batch].append(decision.job.number)
    assert all(numbers == sorted(numbers) for numbers in starts.values())


@given(crowds(servers=[EVERYWHERE, frozenset({A}), frozenset({A, B})]), st.integers(1, 4), WEIGHTS)
def test_equal_arrivals_lead_to_equal_decisions_also_on_a_copy(
    arrivals: list[Arrival], servers: int, weights: dict[str, float]
) -> None:
    first, second = World(servers, weights), World(servers, weights)
    first.run(arrivals, until=100.0)
    second.run(arrivals, until=100.0)
    assert first.decisions == second.decisions
    copy = first.queue.copy()
    while (choice := first.queue.next(A, "x")) is not None:
        assert copy.next(A, "x") == choice
        copy.take(choice.job, A, choice.job.charge)
        assert choice.job in first.queue.waiting(), "the copy is independent"
        first.queue.take(choice.job, A, choice.job.charge)
    assert copy.next(A, "x") is None


@given(crowds(servers=ANYWHERE), st.integers(1, 4), WEIGHTS, CHANGES)
def test_edited_jobs_run_once_and_are_overtaken_no_more_often_than_others(
    arrivals: list[Arrival], servers: int, weights: dict[str, float], changes: list[Change | None]
) -> None:
    world = World(servers, weights, changes).run(arrivals)
    assert sorted(int(decision.job.job) for decision in world.decisions) == list(range(len(arrivals)))
    assert len(world.queue) == 0
    overtaken: dict[JobId, int] = defaultdict(int)
    for decision in world.decisions:
        for job in decision.waiting:
            earlier = job.person == decision.job.person and job.number < decision.job.number
            if earlier and job.runs_on(decision.server):
                overtaken[job.job] += 1
    assert max(overtaken.values(), default=0) <= MOST_OVERTAKEN


@given(crowds(), st.integers(1, 4), WEIGHTS, CHANGES)
def test_edits_do_not_widen_the_bound(
    arrivals: list[Arrival], servers: int, weights: dict[str, float], changes: list[Change | None]
) -> None:
    everywhere = [change and replace(change, servers=EVERYWHERE) for change in changes]
    world = World(servers, weights, everywhere).run(arrivals)
    for decision in world.decisions:
        assert apart(decision) <= TOLERANCE + world.queue.largest + 1e-6


@given(crowds(servers=ANYWHERE), st.integers(1, 4), WEIGHTS, st.lists(st.integers(0, 40), max_size=40))
def test_an_edit_that_changes_only_the_prompt_changes_no_decision(
    arrivals: list[Arrival], servers: int, weights: dict[str, float], edited: list[int]
) -> None:
    class Prompts(World):
        def _change(self) -> None:
            if edited and len(self.queue):
                jobs = sorted(self.queue.waiting(), key=lambda job: job.number)
                self.queue.replace(replace(jobs[edited.pop() % len(jobs)]))

    untouched = World(servers, weights).run(arrivals)
    assert Prompts(servers, weights).run(arrivals).decisions == untouched.decisions


@given(crowds(servers=ANYWHERE), CHANGES)
def test_an_edited_job_keeps_its_number_and_its_owner_s_served_seconds_never_fall(
    arrivals: list[Arrival], changes: list[Change | None]
) -> None:
    queue = FairQueue()
    for number, arrival in enumerate(arrivals):
        queue.add(
            QueuedJob(job=JobId(str(number)), number=number, person=arrival.person, servers=arrival.servers & {A, B})
        )
    for change in changes:
        jobs = sorted(queue.waiting(), key=lambda job: job.number)
        if change is None and (choice := queue.next(A, "x")) is not None:
            queue.take(choice.job, A, choice.job.charge)
        elif change is not None and jobs:
            job = jobs[change.which % len(jobs)]
            served = {person: queue.served(person) for person in ("ada", "ben", "cleo", "dev")}
            queue.replace(replace(job, seconds=change.seconds, models=change.models, servers=change.servers))
            assert [job.number for job in jobs] == sorted(job.number for job in queue.waiting())
            assert queue.served(job.person) >= served[job.person]
            assert all(queue.served(person) == before for person, before in served.items() if person != job.person)


@pytest.mark.parametrize("servers", [1, 3])
def test_people_who_always_wait_get_time_in_proportion_to_their_weights(servers: int) -> None:
    asked = [Arrival(0.0, person, 10.0, models) for person in ("ada", "ben") for models in "xy" for _ in range(400)]
    world = World(servers, {"ada": 3.0}).run(asked, until=2_000.0)
    assert len(world.queue) > 0
    assert world.seconds["ada"] / world.seconds["ben"] == pytest.approx(3.0, rel=0.1)


def test_somebody_with_one_job_starts_beside_somebody_with_two_hundred_after_the_one_that_runs() -> None:
    world = World(1).run([*(Arrival(0.0, "ada", 10.0) for _ in range(200)), Arrival(55.0, "ben", 10.0)])
    (start,) = [decision.at for decision in world.decisions if decision.job.person == "ben"]
    assert start == 60.0


def test_newcomers_do_not_wait_for_somebody_whose_jobs_are_much_quicker_than_expected() -> None:
    """Only the first jobs of a workflow are charged by a guess."""
    guessed = [Arrival(0.0, "ada", 30.0, error=1 / 30) for _ in range(4)]
    many = [Arrival(0.0, "ada", 1.0) for _ in range(80)]
    world = World(4).run([*guessed, *many, Arrival(0.5, "ben", 1.0), Arrival(0.5, "cleo", 1.0)])
    starts = [decision.at for decision in world.decisions if decision.job.person != "ada"]
    assert max(starts) <= 2.0


def test_films_of_one_person_do_not_delay_another_s_pictures_beyond_the_bound() -> None:
    films = [Arrival(0.0, "ada", 600.0) for _ in range(5)]
    pictures = [Arrival(1.0, "ben", 5.0) for _ in range(60)]
    world = World(1).run([*films, *pictures])
    first_film, second_film = [decision.at for decision in world.decisions if decision.job.person == "ada"][:2]
    before = [d for d in world.decisions if d.job.person == "ben" and first_film < d.at < second_film]
    assert len(before) == 60, "300 seconds of pictures are less than one film"


def test_somebody_who_comes_back_has_neither_saved_up_time_nor_kept_an_old_debt() -> None:
    queue = FairQueue()
    for number in range(50):
        queue.add(QueuedJob(job=JobId(str(number)), number=number, person="ada", seconds=10.0))
        queue.take(next(queue.waiting()), A, 10.0)
    queue.add(QueuedJob(job=JobId("b"), number=90, person="ben", seconds=10.0))
    queue.add(QueuedJob(job=JobId("a"), number=91, person="ada", seconds=10.0))
    assert 0 < queue.served("ada") - queue.served("ben") <= TOLERANCE + queue.largest, "an old debt is limited"
    absent = FairQueue()
    for number in range(20):
        absent.add(QueuedJob(job=JobId(str(number)), number=number, person="ada", seconds=100.0))
    while len(absent) > 1:
        choice = absent.next(A, "")
        assert choice is not None
        absent.take(choice.job, A, 100.0)
    absent.add(QueuedJob(job=JobId("b"), number=90, person="ben", seconds=100.0))
    assert absent.served("ben") == absent.served("ada") - 100.0, "time without jobs is not saved up"


def test_what_is_kept_over_a_restart_starves_nobody() -> None:
    queue = FairQueue()
    queue.restore(Served({"ada": 100_000.0, "ben": 200.0}, {A: 150.0}, 50.0))
    for number, person in enumerate(["ada", "ben", "cleo"]):
        queue.add(QueuedJob(job=JobId(person), number=number, person=person))
    assert queue.served("cleo") == 150.0
    assert queue.served("ben") == 200.0
    assert queue.served("ada") == 150.0 + TOLERANCE + 50.0


def test_only_what_changed_is_kept_anew() -> None:
    queue = FairQueue()
    for number, person in enumerate(["ada", "ben"]):
        queue.add(QueuedJob(job=JobId(person), number=number, person=person, seconds=30.0))
    assert queue.changes() == Served()
    choice = queue.next(A, "")
    assert choice is not None
    queue.take(choice.job, A, 30.0)
    assert queue.changes() == Served({"ada": 30.0}, {A: 0.0}, 30.0)
    queue.correct("ada", -10.0)
    assert queue.changes() == Served({"ada": 20.0})


def test_loaded_models_are_used_as_long_as_nobody_falls_behind_for_it() -> None:
    asked = [Arrival(0.0, person, 10.0, models) for _ in range(30) for person, models in (("ada", "x"), ("ben", "y"))]
    world = World(1).run(asked)
    switches = sum(1 for earlier, later in pairwise(world.decisions) if earlier.job.models != later.job.models)
    assert switches <= 12, "taking turns would load models 59 times"
    assert switches >= 4, "one of them would wait for all jobs of the other"


def test_each_of_two_servers_keeps_its_models() -> None:
    asked = [Arrival(0.0, person, 10.0, models) for _ in range(30) for person, models in (("ada", "x"), ("ben", "y"))]
    world = World(2).run(asked)
    assert sum(1 for decision in world.decisions if not decision.loaded) == 2


def test_the_number_ahead_is_exact_where_all_jobs_take_equally_long() -> None:
    queue = FairQueue()
    for number in range(12):
        person = "ada" if number < 9 else f"person {number}"
        queue.add(QueuedJob(job=JobId(str(number)), number=number, person=person, seconds=10.0))
    expected = {JobId(str(number)): queue.ahead_of(JobId(str(number)), queue.crowd()) for number in range(12)}
    order: list[JobId] = []
    while (choice := queue.next(A, "")) is not None:
        order.append(choice.job.job)
        queue.take(choice.job, A, 10.0)
    assert [expected[job] for job in order][4:] == list(range(4, 12))
    assert all(expected[job] <= place for place, job in enumerate(order))


def test_what_somebody_used_elsewhere_is_held_against_them_only_within_the_bound() -> None:
    queue = FairQueue()
    for number in range(10):
        queue.add(QueuedJob(job=JobId(str(number)), number=number, person="ada", servers=frozenset({B}), seconds=100.0))
    while (choice := queue.next(B, "")) is not None:
        queue.take(choice.job, B, 100.0)
    queue.add(QueuedJob(job=JobId("b"), number=90, person="ben", servers=frozenset({A}), seconds=100.0))
    queue.add(QueuedJob(job=JobId("a"), number=91, person="ada", servers=frozenset({A}), seconds=100.0))
    assert queue.served("ada") == queue.served("ben") + TOLERANCE + queue.largest
