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

from app.config.settings import Config, Server
from bench.engine import Stamps, comfyui, front, make

STEP = 0.5
"""Seconds of a step on a usual server; a job has four."""

SLOW = 4
"""How many times as long a job takes on the slow server."""

EACH = 12
"""Jobs for each usual server; a multiple of `SLOW`, so that the slow server can end together with the others."""

FLEETS: dict[str, tuple[int, ...]] = {
    "one": (1,),
    "two": (1, 1),
    "four": (1, 1, 1, 1),
    "four_one_slow": (1, 1, 1, SLOW),
}
"""How many times as long as a usual server each server of a fleet takes for a job."""


def _jobs(fleet: Sequence[int]) -> int:
    """As many jobs as the fleet can finish while one usual server finishes `EACH`."""
    return sum(EACH // slowness for slowness in fleet)


async def _seconds(urls: Sequence[str], jobs: int, folder: Path) -> float:
    """How long this program takes for so many jobs."""
    config = Config(servers=tuple(Server(url=url, previews="off") for url in urls), data=folder, workflows=folder)
    async with front(config, len(urls)) as services:
        began = time.monotonic()
        async with anyio.create_task_group() as tasks:
            for seed in range(jobs):
                tasks.start_soon(make, services, folder, seed)
        return time.monotonic() - began


def _round(fleet: Sequence[int], backend: str) -> float:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = [stack.enter_context(comfyui(STEP * slowness, Stamps())) for slowness in fleet]
        return anyio.run(_seconds, urls, _jobs(fleet), folder, backend=backend)


def servers(backend: str, rounds: int) -> dict[str, object]:
    """Measure all fleets in turn. `use` is the part of the time of all servers that is used; 1 for one server alone."""
    seconds = {name: [_round(fleet, backend) for _ in range(rounds)] for name, fleet in FLEETS.items()}
    one = statistics.median(seconds["one"])
    return {
        name: {
            "jobs": _jobs(FLEETS[name]),
            "seconds": round(statistics.median(taken), 2),
            "use": round(one / statistics.median(taken), 3),
        }
        for name, taken in seconds.items()
    }
