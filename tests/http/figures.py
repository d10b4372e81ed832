"""Sources with known figures, and how tests read what is written of them."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct, field
from prometheus_client.parser import text_string_to_metric_families

from app.config.settings import Server
from app.core.jobs.job import Job, JobRequest, State
from app.core.jobs.tally import Tally
from app.core.servers.state import ServerState
from app.core.work import Work
from app.events import JobId, ServerName
from app.histogram import Histogram

STUDIO, NAMELESS = ServerName("studio"), ServerName("10.0.0.7:8188")


class Journal(Struct):
    """A journal of which only health and commits are known."""

    commits: Histogram = field(default_factory=lambda: Histogram((0.01, 0.1)))
    problem: str = ""
    checks: int = 0

    async def check(self) -> str:
        self.checks += 1
        return self.problem


class Traffic(Struct):
    requests: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    sessions: Counter[str] = field(default_factory=Counter[str])


class Discord(Struct):
    """A frontend that is connected, unless told otherwise."""

    has_opened: bool = True
    is_connected: bool = True
    latency: float = 0.04
    media_workers: frozenset[int] = frozenset()
    traffic: Traffic = field(default_factory=Traffic)


class Engine(Struct):
    """An engine that can be used, unless told otherwise."""

    is_reachable: bool = True
    round_trip: float | None = 0.002


class Workers(Struct):
    """One worker, with the last signs of its servers."""

    lags: dict[ServerName, tuple[str, float]] = field(default_factory=lambda: {STUDIO: ("studio", 1.5)})
    here: int = 1


class Fronts(Struct):
    """An active front, and one on standby."""

    is_active: bool = True
    epoch: int | None = 3
    lease_left: float = 4.5
    standbys: dict[str, tuple[int, float]] = field(default_factory=lambda: {"cellar": (7, 2.5)})
    shards: dict[str, int] = field(default_factory=lambda: {"cellar": 2})
    events: dict[str, int] = field(default_factory=lambda: {"relayed": 5})


CONFIGURED = {
    STUDIO: Server(url="http://studio.example:8188", name="studio"),
    NAMELESS: Server(url="http://10.0.0.7:8188"),
}


def work(*servers: ServerName) -> Work:
    """What a registry with these servers owns before its first job."""
    return Work(
        {}, {name: ServerState(name, reachable=True, listening=True) for name in servers or (STUDIO, NAMELESS)}, Tally()
    )


def job(number: int, workflow: str = "txt2img", state: State = State.ACCEPTED) -> Job:
    request = JobRequest(job=JobId(f"job-{number}"), workflow=workflow, graph={}, folder="out", owner="ada")
    return Job(request=request, state=state)


def samples(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """The values of each sample by its labels, as prometheus-client reads them. No sample may be there twice."""
    values: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            of_name = values.setdefault(sample.name, {})
            assert labels not in of_name, f"{sample.name} has {labels} twice"
            of_name[labels] = sample.value
    return values


def value(text: str, name: str, **labels: str) -> float:
    """One value."""
    return samples(text)[name][tuple(sorted(labels.items()))]
