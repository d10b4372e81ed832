"""The fair queue beside first come first served and round robin, in virtual time, and what one decision costs.

The world: 4 servers, 6 models, jobs of 4 to 78 s, 20 s to load other models, 20 draws. Two loads: one person with 200
jobs beside 19 people with 1 to 12, all within the first minutes; and 20 people with 20 jobs each at once. Every person
uses two models. The figures leave out everything but the order of jobs: no server fails, and all estimates are right.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import combinations, count
from typing import Protocol, TypeAlias

from msgspec import Struct

from app.core.effects import SubmitPrompt
from app.core.jobs.job import JobRequest
from app.core.jobs.table import JobTable
from app.core.scheduling.queue.fair_queue import FairQueue
from app.core.scheduling.queue.queued_job import QueuedJob
from app.core.scheduling.scheduler import Scheduler
from app.core.servers.able_servers import AbleServers
from app.core.servers.state import ServerState
from app.events import JobId, PromptId, ServerName
from app.ports import Graph, History

SERVERS = tuple(ServerName(f"server {number}") for number in range(4))
MODELS = tuple("uvwxyz")
LOAD = 20.0
DRAWS = 20

WAITING, PEOPLE, MANY_SERVERS = 10_000, 500, 64
"""Jobs, people and servers for the cost of a decision."""

Arrival: TypeAlias = tuple[float, QueuedJob]


class Policy(Protocol):
    """Decides which waiting job a free server takes."""

    def add(self, job: QueuedJob) -> None:
        """Add a waiting job."""
        ...

    def take(self, server: ServerName, loaded: str) -> QueuedJob | None:
        """Remove and return the job that this server takes; None if nobody waits for it."""
        ...


class FirstCome:
    """First come first served."""

    def __init__(self) -> None:
        self._jobs: deque[QueuedJob] = deque()

    def add(self, job: QueuedJob) -> None:
        """See `Policy`."""
        self._jobs.append(job)

    def take(self, server: ServerName, loaded: str) -> QueuedJob | None:
        """See `Policy`."""
        return self._jobs.popleft() if self._jobs else None


class RoundRobin:
    """The person whose last job was taken longest ago is next."""

    def __init__(self) -> None:
        self._people: dict[str, deque[QueuedJob]] = {}
        self._turns: dict[str, int] = defaultdict(int)
        self._turn = count(1)

    def add(self, job: QueuedJob) -> None:
        """See `Policy`."""
        self._people.setdefault(job.person, deque()).append(job)

    def take(self, server: ServerName, loaded: str) -> QueuedJob | None:
        """See `Policy`."""
        waiting = [person for person, jobs in self._people.items() if jobs]
        if not waiting:
            return None
        person = min(waiting, key=lambda person: (self._turns[person], self._people[person][0].number))
        self._turns[person] = next(self._turn)
        return self._people[person].popleft()


class Fair:
    """Atelier's fair queue."""

    def __init__(self) -> None:
        self._queue = FairQueue()
        self.add = self._queue.add

    def take(self, server: ServerName, loaded: str) -> QueuedJob | None:
        """See `Policy`."""
        if (choice := self._queue.next(server, loaded)) is None:
            return None
        self._queue.take(choice.job, server, choice.job.charge)
        return choice.job


class Outcome(Struct, frozen=True):
    """What came of one load: `gap` is the largest difference of served seconds of two people who both waited."""

    total: float
    switches: float
    gap: float
    waits: dict[str, list[float]]


def fairness(rounds: int) -> Mapping[str, object]:
    """Compare the policies on both loads, and measure decisions."""
    return {
        "one person with 200 jobs, 19 with 1 to 12": _compared(_one_heavy),
        "20 people with 20 jobs each": _compared(_equal),
        "10 people with one job each beside one with 200": _compared(_single_jobs),
        "decision, 6 models": _decisions(rounds, shared=True),
        "decision, each person with models of their own, half of the jobs only for 16 servers": _decisions(
            rounds, shared=False
        ),
    }


def _job(numbers: count[int], person: str, rng: random.Random, models: Sequence[str]) -> QueuedJob:
    number = next(numbers)
    return QueuedJob(
        job=JobId(str(number)),
        number=number,
        person=person,
        models=rng.choice(models),
        seconds=round(rng.uniform(4, 78), 1),
    )


def _load(rng: random.Random, sizes: Mapping[str, int], within: float) -> list[Arrival]:
    numbers, arrivals = count(), list[Arrival]()
    starts = sorted((rng.uniform(0, within) if size < 200 else 0.0, person) for person, size in sizes.items())
    for at, person in starts:
        models = rng.sample(MODELS, 2)
        arrivals += [(at, _job(numbers, person, rng, models)) for _ in range(sizes[person])]
    return arrivals


def _one_heavy(rng: random.Random) -> list[Arrival]:
    return _load(rng, {"heavy": 200} | {f"light {number}": rng.randint(1, 12) for number in range(19)}, 600.0)


def _equal(rng: random.Random) -> list[Arrival]:
    return _load(rng, {f"person {number}": 20 for number in range(20)}, 1.0)


def _single_jobs(rng: random.Random) -> list[Arrival]:
    return _load(rng, {"heavy": 200} | {f"light {number}": 1 for number in range(10)}, 600.0)


def _run(policy: Policy, arrivals: list[Arrival]) -> Outcome:
    coming = deque(sorted(arrivals, key=lambda arrival: (arrival[0], arrival[1].number)))
    running: list[tuple[float, ServerName]] = []
    loaded = dict.fromkeys(SERVERS, "")
    served: dict[str, float] = defaultdict(float)
    waiting: dict[str, int] = defaultdict(int)
    asked: dict[JobId, float] = {}
    waits: dict[str, list[float]] = defaultdict(list)
    switches, now, gap = 0, 0.0, 0.0
    since: dict[frozenset[str], float] = {}
    while coming or running:
        now = min([at for at, _ in list(coming)[:1]] + [end for end, _ in running[:1]])
        while coming and coming[0][0] == now:
            _, job = coming.popleft()
            policy.add(job)
            waiting[job.person] += 1
            asked[job.job] = now
        while running and running[0][0] == now:
            heappop(running)
        busy = {server for _, server in running}
        for server in SERVERS:
            if server in busy or (job := policy.take(server, loaded[server])) is None:
                continue
            waits[job.person].append(now - asked[job.job])
            load = LOAD if loaded[server] != job.models else 0.0
            switches += load > 0
            loaded[server] = job.models
            heappush(running, (now + load + job.seconds, server))
            served[job.person] += job.seconds
            waiting[job.person] -= 1
        # The difference counts from the moment since which both wait.
        both = {frozenset(pair) for pair in combinations(sorted(p for p, jobs in waiting.items() if jobs), 2)}
        since = {pair: since[pair] if pair in since else _difference(served, pair) for pair in both}
        gap = max([gap, *(abs(_difference(served, pair) - before) for pair, before in since.items())])
    return Outcome(now, switches / len(arrivals), gap, dict(waits))


def _difference(served: Mapping[str, float], pair: frozenset[str]) -> float:
    one, other = sorted(pair)
    return served[one] - served[other]


def _compared(load: Callable[[random.Random], list[Arrival]]) -> Mapping[str, object]:
    policies: Mapping[str, Callable[[], Policy]] = {
        "first come first served": FirstCome,
        "round robin": RoundRobin,
        "fair": Fair,
    }
    draws = {
        name: [_run(policy(), load(random.Random(seed))) for seed in range(DRAWS)] for name, policy in policies.items()
    }
    first = draws["first come first served"]
    return {
        name: {
            "total time / first come first served": round(
                statistics.median(one.total / base.total for one, base in zip(outcomes, first, strict=True)), 2
            ),
            "switches per job": round(statistics.mean(one.switches for one in outcomes), 2),
            "largest gap s": round(max(one.gap for one in outcomes)),
            "median wait s of the others": round(
                statistics.median(
                    wait
                    for one in outcomes
                    for person, waits in one.waits.items()
                    if person != "heavy"
                    for wait in waits
                )
            ),
        }
        for name, outcomes in draws.items()
    }


def _graph(model: str) -> Graph:
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": model}},
        "2": {"class_type": "KSampler", "inputs": {"steps": 20}},
    }


def _decisions(rounds: int, *, shared: bool) -> Mapping[str, object]:
    """What the end of one job costs with many that wait, and a question for a place in line, in CPU time.

    With `shared`, people have few models in common, and jobs wait at each server for one with the same models. Else
    nobody finds a server with the right models.
    """
    rng, table, prompts = random.Random(1), JobTable(), count()
    servers = {name: ServerState(name) for name in (ServerName(f"server {n}") for n in range(MANY_SERVERS))}
    for state in servers.values():
        state.back()
    scheduler = Scheduler(table, servers, AbleServers(servers), 2, lambda: PromptId(f"p{next(prompts)}"))
    some = tuple(servers)[:16]
    began = time.thread_time()
    for number in range(WAITING):
        owner = f"person {rng.randrange(PEOPLE)}"
        request = JobRequest(
            job=JobId(f"job {number}"),
            workflow="bench",
            graph=_graph(rng.choice(MODELS) if shared else f"{owner}, {rng.randrange(2)}"),
            folder=".",
            owner=owner,
            servers=() if shared or number % 2 else some,
        )
        table.accept(request)
    scheduler.plan(0.0)
    accepted = time.thread_time() - began
    _sent(table)
    ends, updates, places, now = list[float](), list[int](), list[float](), 0.0
    for _ in range(100 * rounds):
        now += 1.0
        server = rng.choice(list(servers))
        job, _ = next(table.prompts.in_flight(server))
        table.running(job, server, now, "bench")
        scheduler.plan(now)
        now += 5.0
        table.updates.clear()
        began = time.thread_time()
        table.ended(job, History("success"))
        scheduler.plan(now)
        ends.append((time.thread_time() - began) * 1000)
        updates.append(len(table.updates))
        table.delivered(job)
        _sent(table)
        scheduler.plan(now)
        waiting = rng.choice([job for job in table.jobs.values() if job.attempt is None])
        began = time.thread_time()
        scheduler.line.refresh(waiting.id, now)
        places.append((time.thread_time() - began) * 1000)
    return {
        "waiting": WAITING,
        "people": PEOPLE,
        "servers": MANY_SERVERS,
        "accept all s": round(accepted, 2),
        "one end ms": _spread(ends),
        "updates per end": statistics.median(updates),
        "one question for a place ms": _spread(places),
    }


def _sent(table: JobTable) -> None:
    """Answer every POST."""
    for effect in table.effects:
        if isinstance(effect, SubmitPrompt) and (attempt := table.jobs[effect.job].attempt) is not None:
            table.answered(attempt)
    table.effects.clear()
    table.transitions.clear()
    table.updates.clear()
    table.changed.clear()
    table.runs.clear()


def _spread(samples: Sequence[float]) -> Mapping[str, float]:
    ordered = sorted(samples)
    return {
        "p50": round(statistics.median(ordered), 3),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 3),
    }
