"""How right the expected starts are that people are told first, in virtual time.

The world: 4 servers, of which one takes 1.5 times and one 3 times as long as the others; pictures of about 8 s and
films of about 90 s, which vary by 5 or by 15 % (one standard deviation), and of which nothing is known while they run
but when they began; 6 models, 20 s to load another one; 30 people who ask for 1 to 4 jobs at a time, at random
moments, as much as the servers can do in 85 % of two hours, without loading. Three loads: that; beside it one person
who asks for 60 pictures at once; and the same without any run measured before, where the manifests' costs are ten
times too high for pictures and ten times too low for films. No server fails.

A start is right within 3 s or a quarter of the wait. A job that a later arrival overtook could not be told better, so
these are reported apart.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import count
from statistics import median

from msgspec import Struct

from app.core.effects import SubmitPrompt
from app.core.jobs.cost import Run
from app.core.jobs.job import Job, JobRequest
from app.core.jobs.table import JobTable
from app.core.scheduling.scheduler import Scheduler
from app.core.servers.able_servers import AbleServers
from app.core.servers.state import ServerState
from app.events import JobId, PromptId, ServerName
from app.ports import Graph, History
from app.service.statistics import CLOSE_SECONDS, CLOSE_SHARE

SLOWNESS = {ServerName("a"): 1.0, ServerName("b"): 1.0, ServerName("c"): 1.5, ServerName("d"): 3.0}
SECONDS = {"picture": 8.0, "film": 90.0}
FILMS = 0.1
"""The share of films among the jobs."""
LOAD, BUSY = 20.0, 0.85
SPREADS = (0.05, 0.15)
PEOPLE, MODELS = 30, tuple("uvwxyz")
LENGTH = 7_200.0
"""Seconds in which people ask."""
DRAWS = 2
WRONG = {"picture": 10.0, "film": 0.1}
"""How wrong the costs are in the third load."""


class _Asked(Struct, frozen=True):
    at: float
    requests: list[JobRequest]


class _World:
    """Servers that run what the scheduler sends them; how long runs take varies by `spread`."""

    def __init__(self, rng: random.Random, spread: float) -> None:
        prompts = count()
        self.table = JobTable()
        self.servers = {name: ServerState(name) for name in SLOWNESS}
        for state in self.servers.values():
            state.back()
        self.scheduler = Scheduler(
            self.table, self.servers, AbleServers(self.servers), 2, lambda: PromptId(f"p{next(prompts)}")
        )
        self.runs: list[Run] = []
        self._rng, self._spread = rng, spread
        self._loaded = dict.fromkeys(SLOWNESS, "")
        self._at: dict[ServerName, deque[Job]] = {name: deque() for name in SLOWNESS}
        self._ends: list[tuple[float, ServerName]] = []

    def run(self, asked: list[_Asked]) -> list[Run]:
        """Run until everything has ended; returns the measured runs."""
        coming = deque(asked)
        while coming or self._ends:
            if coming and (not self._ends or coming[0].at <= self._ends[0][0]):
                arrival = coming.popleft()
                self._plan(arrival.at, arrival.requests)
            else:
                now, server = heappop(self._ends)
                job = self._at[server].popleft()
                self.table.ended(job, History("success"))
                if self._at[server]:
                    self._start(self._at[server][0], server, now)
                self._plan(now)
                self.table.delivered(job)
        return self.runs

    def _plan(self, now: float, requests: list[JobRequest] | None = None) -> None:
        for request in requests or ():
            self.table.accept(request)
        self.scheduler.plan(now)
        while posts := [effect for effect in self.table.effects if isinstance(effect, SubmitPrompt)]:
            self.table.effects.clear()
            for post in posts:
                job = self.table.jobs[post.job]
                assert job.attempt is not None
                self._at[post.server].append(job)
                if len(self._at[post.server]) == 1:
                    self._start(job, post.server, now)
                self.table.answered(job.attempt)
            self.scheduler.plan(now)
        for request in requests or ():
            self.scheduler.line.refresh(self.table.jobs[request.job].id, now)
        self.runs += self.table.runs
        for collected in (self.table.runs, self.table.updates, self.table.transitions, self.table.changed):
            collected.clear()

    def _start(self, job: Job, server: ServerName, now: float) -> None:
        model = _model_of(job.request.graph)
        load, self._loaded[server] = LOAD if self._loaded[server] != model else 0.0, model
        seconds = SECONDS[job.request.workflow] * SLOWNESS[server] * self._rng.lognormvariate(0, self._spread)
        self.table.running(job, server, now, "bench")
        heappush(self._ends, (now + load + seconds, server))


def starts(rounds: int) -> Mapping[str, object]:
    """Compare what people were told first with when their jobs started."""
    draws = range(DRAWS * rounds)
    return {
        f"runs vary by {spread:.0%}": {
            "people with a few jobs each": judged([drawn(seed, spread) for seed in draws]),
            "beside one with 60": judged([drawn(seed, spread, heavy=60) for seed in draws]),
            "beside one with 60, costs wrong by ten and no run known": judged(
                [drawn(seed, spread, heavy=60, known=False) for seed in draws]
            ),
        }
        for spread in SPREADS
    }


def drawn(seed: int, spread: float, *, heavy: int = 0, known: bool = True) -> list[Run]:
    """The runs of one load; `heavy` is for how many pictures somebody asks at once."""
    rng = random.Random(seed)
    world = _World(rng, spread)
    if known:
        world.scheduler.learn(_earlier(rng, spread))
    return world.run(_arrivals(rng, heavy, wrong=not known))


def _arrivals(rng: random.Random, heavy: int, *, wrong: bool) -> list[_Asked]:
    numbers = count()
    speed = sum(1 / slowness for slowness in SLOWNESS.values())
    per_job = (1 - FILMS) * SECONDS["picture"] + FILMS * SECONDS["film"]
    pause = 2.5 * per_job / speed / BUSY

    def request(person: str, workflow: str, model: str) -> JobRequest:
        cost = SECONDS[workflow] / 10.0 * (WRONG[workflow] if wrong else 1.0)
        graph: Graph = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": model}}}
        job = JobId(f"job {next(numbers)}")
        return JobRequest(job=job, workflow=workflow, graph=graph, folder=".", owner=person, cost=cost)

    asked: list[_Asked] = []
    at = 0.0
    while (at := at + rng.expovariate(1 / pause)) < LENGTH:
        person, model = f"person {rng.randrange(PEOPLE)}", rng.choice(MODELS)
        workflow = "film" if rng.random() < FILMS else "picture"
        asked.append(_Asked(at, [request(person, workflow, model) for _ in range(rng.randint(1, 4))]))
    if heavy:
        asked.append(_Asked(LENGTH / 4, [request("heavy", "picture", MODELS[0]) for _ in range(heavy)]))
    return sorted(asked, key=lambda each: each.at)


def _earlier(rng: random.Random, spread: float) -> list[Run]:
    """Runs of earlier days, as the journal has them."""
    return [
        Run(
            job=JobId("earlier"),
            person="",
            workflow=workflow,
            server=server,
            work=1.0,
            seconds=seconds * slowness * rng.lognormvariate(0, spread) + LOAD * loading,
            loading=loading,
        )
        for loading in (False, True)
        for _ in range(15)
        for server, slowness in SLOWNESS.items()
        for workflow, seconds in SECONDS.items()
    ]


def share_right(runs: list[Run]) -> float:
    """Which share of the expected starts of jobs that no later one overtook was right."""
    judged_ones = [run for run in runs if run.expected_wait is not None and not run.overtaken]
    return sum(map(_is_right, judged_ones)) / len(judged_ones)


def judged(draws: list[list[Run]]) -> Mapping[str, object]:
    """The figures of several draws of one load."""
    told = [run for runs in draws for run in runs if run.waited is not None and run.expected_wait is not None]
    groups = {
        "not overtaken": [run for run in told if not run.overtaken],
        "overtaken": [run for run in told if run.overtaken],
    }
    return {
        "jobs": sum(map(len, draws)),
        "told a start": len(told),
        **{
            name: {
                "jobs": len(runs),
                "right %": round(100 * sum(map(_is_right, runs)) / max(1, len(runs)), 1),
                "median wait s": round(median(run.waited or 0.0 for run in runs), 1) if runs else None,
                "median error s": round(median(map(_error, runs)), 1) if runs else None,
            }
            for name, runs in groups.items()
        },
    }


def _error(run: Run) -> float:
    """How much later than expected it started, in seconds."""
    return (run.waited or 0.0) - (run.expected_wait or 0.0)


def _is_right(run: Run) -> bool:
    return abs(_error(run)) <= max(CLOSE_SECONDS, CLOSE_SHARE * (run.expected_wait or 0.0))


def _model_of(graph: Graph) -> str:
    inputs = graph["1"]["inputs"]
    assert isinstance(inputs, dict)
    return str(inputs["ckpt_name"])
