"""Health and metrics: the time of one scrape of a large bot, and what the port costs in memory and at the start."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import httpx

from app.config.settings import Http, Server
from app.core.jobs.cost import Run
from app.core.jobs.job import Job, JobRequest, State
from app.core.jobs.tally import OUTCOMES, Tally
from app.core.servers.state import ServerState
from app.core.work import Work
from app.events import JobId, ServerName
from app.histogram import Histogram
from app.http.metrics import Metrics
from app.http.server import open_server
from app.http.sources import Sources
from bench.discord import BOTS, IDLE, bot_process, resident
from bench.lag import GRAPH, server
from tests.discord.fake import running

SERVERS, WORKFLOWS, JOBS = 100, 26, 10_000
SCRAPES = 100
ENDED = 100
"""Jobs that end between two scrapes, each of another server and workflow."""

SCRAPE_MS, IDLE_MIB, START_S = 5.0, 95.0, 1.2
"""The goals: a scrape takes at most `SCRAPE_MS`, an idle bot `IDLE_MIB`, and its start `START_S`."""


def _large_bot() -> tuple[Sources, Tally]:
    """A bot that has run every workflow on every server, and whose line is long."""
    names = [ServerName(f"server {number}") for number in range(SERVERS)]
    tally, jobs = Tally(), dict[JobId, Job]()
    for number in range(JOBS):
        workflow = f"workflow-{number % WORKFLOWS}"
        request = JobRequest(job=JobId(f"{number:08}"), workflow=workflow, graph=GRAPH, folder=".")
        state = State.RUNNING if number < SERVERS else State.ACCEPTED
        job = jobs[request.job] = Job(request=request, state=state)
        tally.accept(job.id, job.request.workflow, 0.0)
        if number < SERVERS:
            tally.start(job.id, 1.0)
    for number in range(WORKFLOWS):
        for outcome in OUTCOMES:
            tally.ended[outcome, f"workflow-{number}"] = 1_000 + number
    for index, name in enumerate(names):
        tally.connections[name] = tally.catch_ups[name] = tally.failed_catch_ups[name] = tally.model_loads[name] = 3
        for number in range(WORKFLOWS):
            _end(tally, index, number, 10.0 + index * number / 7)
    work = Work(jobs, {name: ServerState(name, reachable=True, listening=True) for name in names}, tally)
    configured = {name: Server(url=f"http://10.0.0.{number}", name=name) for number, name in enumerate(names)}
    return Sources(work=work, configured=configured), tally


def _end(tally: Tally, index: int, number: int, seconds: float) -> None:
    name, workflow = ServerName(f"server {index}"), f"workflow-{number}"
    tally.run(Run(job=JobId("ended"), person="p", workflow=workflow, server=name, work=1.0, seconds=seconds), 12.0)


def _work_on(tally: Tally, scrape: int) -> None:
    """Count what a busy bot does until the next scrape."""
    for index in range(ENDED):
        _end(tally, index % SERVERS, (index + scrape) % WORKFLOWS, 3.0)


async def _scrapes() -> dict[str, float]:
    """Return the milliseconds for the text alone, and for a whole request with the client's part.

    Those of the processor do not depend on what else the machine does.
    """
    sources, tally = _large_bot()
    metrics = Metrics(sources, Histogram((0.1,)), started=0.0)
    written: list[float] = []
    for scrape in range(SCRAPES):
        _work_on(tally, scrape)
        began = time.thread_time()
        metrics.text()
        written.append((time.thread_time() - began) * 1000)
    requested, worked, size = list[float](), list[float](), 0
    async with open_server(Http(host="127.0.0.1", port=0), sources, started=0.0) as port:
        await port.listening.wait()
        async with httpx.AsyncClient(base_url=port.address) as client:
            for scrape in range(SCRAPES):
                _work_on(tally, scrape)
                began, used = time.perf_counter(), time.thread_time()
                size = len((await client.get("/metrics")).content)
                worked.append((time.thread_time() - used) * 1000)
                requested.append((time.perf_counter() - began) * 1000)
    return {
        "text_cpu_first_ms": round(written[0], 2),
        "text_cpu_p50_ms": round(statistics.median(written), 2),
        "request_cpu_p50_ms": round(statistics.median(worked), 2),
        "request_p50_ms": round(statistics.median(requested), 2),
        "kilobytes": round(size / 1000),
    }


def _process(backend: str, settings: Mapping[str, str]) -> tuple[float, float]:
    """Return the seconds until Discord has the bot's commands, and the memory of the idle bot in MiB."""
    with TemporaryDirectory() as folder, server() as (url, _, _comfy), running() as discord:
        arguments = BOTS[f"atelier_{backend}"]
        with bot_process(arguments, discord, url, Path(folder), settings) as (process, start_s):
            time.sleep(IDLE)
            return start_s, resident(process)


def http(rounds: int) -> dict[str, object]:
    """Return the medians of both backends, with and without the port, measured in turn."""
    figures: dict[str, object] = {}
    for backend in ("trio", "asyncio"):
        measured: dict[str, list[float]] = {}
        for _ in range(rounds):
            for name, settings in (("off", {}), ("on", {"ATELIER_HTTP": "127.0.0.1:0"})):
                start_s, idle_mib = _process(backend, settings)
                measured.setdefault(f"start_{name}_s", []).append(start_s)
                measured.setdefault(f"idle_{name}_mib", []).append(idle_mib)
        processes = {name: round(statistics.median(values), 2) for name, values in measured.items()}
        figures[backend] = {**anyio.run(_scrapes, backend=backend), **processes}
    return {"goals": {"request_ms": SCRAPE_MS, "idle_mib": IDLE_MIB, "start_s": START_S}, **figures}
