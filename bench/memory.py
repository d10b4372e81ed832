"""The journal: transitions per second with every commit on the disk, and a start with many unfinished jobs."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from app.actors.registry import new_prompt_id
from app.application import ServerClients, open_services
from app.core.jobs.job import Attempt, Job, JobRequest, State, Transition
from app.events import JobId, PromptId, ServerName
from app.journal.sqlite import open_journal
from app.system.garbage import collect_rarely
from bench.flow import Taking, silent
from bench.lag import GRAPH

CALLERS = 64
UNFINISHED = 10_000


def _job(number: int) -> Job:
    return Job(request=JobRequest(job=JobId(f"{number:08}"), workflow="bench", graph=GRAPH, folder="."))


async def _transitions(path: Path, seconds: float) -> dict[str, float]:
    """Let many callers record transitions; returns transitions per second, and the event loop's delay in ms."""
    written = 0
    late: list[float] = []
    async with open_journal(path) as journal, anyio.create_task_group() as tasks:

        async def call(number: int) -> None:
            nonlocal written
            job = _job(number)
            while True:
                job.version += 1
                await journal.record([job], [Transition(job.id, job.version, "running", "bench")])
                written += 1

        for number in range(CALLERS):
            tasks.start_soon(call, number)
        end = anyio.current_time() + seconds
        while (now := anyio.current_time()) < end:
            await anyio.sleep(0.001)
            late.append((anyio.current_time() - now - 0.001) * 1000)
        tasks.cancel_scope.cancel()
    return {
        "per_s": round(written / seconds),
        "loop_lag_p99_ms": round(statistics.quantiles(late, n=100)[-1], 2),
    }


async def _start(path: Path) -> float:
    """Return the seconds from opening the journal to a registry that accepts job requests, with many jobs to adopt."""
    jobs = [_job(number) for number in range(UNFINISHED)]
    for job in jobs[:1000]:
        job.state, job.attempt = State.RUNNING, Attempt(PromptId(new_prompt_id()), ServerName("bench"), posting=False)
    async with open_journal(path) as journal:
        await journal.record(jobs, [])
    clients = {ServerName("bench"): ServerClients(Taking(), silent)}  # pyright: ignore[reportArgumentType]
    # As `app/__main__.py` does before everything else; the jobs above are no part of the start.
    collect_rarely()
    began = time.perf_counter()
    async with open_journal(path) as journal, open_services(clients, journal, depth=2):
        return time.perf_counter() - began


def memory(backend: str, rounds: int) -> dict[str, object]:
    """Return medians of all figures of one backend."""
    with TemporaryDirectory(dir=Path.cwd()) as folder:
        paths = [Path(folder) / f"{number}.db" for number in range(2 * rounds)]
        written = [anyio.run(_transitions, path, 3.0, backend=backend) for path in paths[:rounds]]
        starts = [anyio.run(_start, path, backend=backend) for path in paths[rounds:]]
    return {
        "transitions_per_s": statistics.median(figures["per_s"] for figures in written),
        "loop_lag_p99_ms": statistics.median(figures["loop_lag_p99_ms"] for figures in written),
        "start_with_10000_unfinished_s": round(statistics.median(starts), 3),
    }
