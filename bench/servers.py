"""How well several servers are used: the time for many equal jobs on N servers, beside that on one.

All servers are simulators, each in its own process. A job takes two seconds, and there are as many jobs as let all
servers end at the same time. The time includes the first request and the last file; it leaves out the network, models
that must be loaded, and the journal on the disk. The program does not know beforehand which server is slow.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import anyio

from app.actors.interaction import InteractionActor
from app.actors.registry import new_prompt_id
from app.application import open_clients, open_services
from app.config.settings import Config, Server
from app.core.jobs.job import JobRequest
from app.events import JobId
from app.journal.memory import MemoryJournal
from bench.lag import Stamp, graph, server

STEPS = 4
SECONDS = 2.0
"""Seconds of one job on a usual server."""

SLOW = 4
"""How many times as long a job takes on the slow server."""

EACH = 12
"""Jobs for each usual server; a multiple of `SLOW`, so that the slow server can end together with the others."""

FLEETS: dict[str, tuple[float, ...]] = {
    "one": (1,),
    "two": (1, 1),
    "four": (1, 1, 1, 1),
    "four_one_slow": (1, 1, 1, SLOW),
}
"""How many times as long each server of a fleet takes as a usual one."""


def _jobs(speeds: Sequence[float]) -> int:
    """As many jobs as the fleet can finish while one usual server finishes `EACH`."""
    return round(sum(EACH / speed for speed in speeds))


async def _seconds(urls: Sequence[str], jobs: int, folder: Path) -> float:
    """How long this program takes for so many jobs."""
    done: dict[str, float] = {}
    config = Config(servers=tuple(Server(url=url, previews="off") for url in urls), data=folder, workflows=folder)
    async with open_clients(config) as clients, open_services(clients, MemoryJournal(), depth=2) as services:
        began = time.monotonic()
        async with anyio.create_task_group() as tasks:
            for seed in range(jobs):
                request = JobRequest(
                    job=JobId(new_prompt_id()), workflow="bench", graph=graph(seed), folder=str(folder)
                )
                await tasks.start(InteractionActor(request, services.registry, Stamp(done)).run)
    if len(done) != jobs:
        raise RuntimeError(f"only {len(done)} of {jobs} jobs have finished")
    return max(done.values()) - began


def _round(speeds: Sequence[float], backend: str) -> float:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = [stack.enter_context(server(SECONDS * speed / STEPS))[0] for speed in speeds]
        return anyio.run(_seconds, urls, _jobs(speeds), folder, backend=backend)


def servers(backend: str, rounds: int) -> dict[str, object]:
    """Measure all fleets in turn. `use` is the part of the time of all servers that is used; 1 for one server alone."""
    seconds = {name: [_round(speeds, backend) for _ in range(rounds)] for name, speeds in FLEETS.items()}
    one = statistics.median(seconds["one"])
    return {
        name: {
            "jobs": _jobs(FLEETS[name]),
            "seconds": round(statistics.median(taken), 2),
            "use": round(one / statistics.median(taken), 3),
        }
        for name, taken in seconds.items()
    }
