"""What it costs to reach ComfyUI through workers and Valkey instead of directly, and how soon workers come and go.

Everything is on one machine: Valkey, each worker and each simulated server are processes, and the front is this one,
without Discord. So the figures leave out the network, and several workers share the cores. `direct` is the baseline:
the same front reaches the same servers itself, in the same run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import anyio
from anyio import to_thread

from app import __version__
from app.actors.interaction import InteractionActor
from app.actors.registry import new_prompt_id
from app.application import Services, open_clients, open_services, open_workers
from app.config.engine import EngineSettings
from app.config.settings import Config, Server
from app.core.jobs.job import Job, JobRequest
from app.engine.connection import Engine, open_engine
from app.engine.replication.messages import Front
from app.engine.replication.publisher import JournalPublisher
from app.engine.replication.standby import FrontOnStandby, JournalFile
from app.events import AnyUpdate, Finished, JobId, ServerName
from app.journal.copies.replica import open_replica
from app.journal.copies.whole_copies import standing_of, take_over
from app.journal.memory import MemoryJournal
from app.journal.migrations import NEWEST
from app.journal.sqlite import open_journal
from bench.lag import graph
from tests.engine.valkey import Valkey

T = TypeVar("T")

DELAYED = 40
"""Jobs of which the delays are measured, one after the other."""

QUICK, SLOW = 0.01, 0.25
"""Seconds of a step, of which a job has four: for the delays, and for the jobs per second."""

EACH = 10
"""Jobs for each server whose jobs per second are measured."""

WORKERS = (1, 2, 4)

WAITING = 1500
"""Jobs that wait while Valkey's memory is read: fewer than the changes of the journal that it keeps."""

PATIENCE = 60.0
"""Seconds for a worker to appear, and for each job."""

GOALS = {
    "more_to_post_ms": 10.0,
    "more_to_result_ms": 10.0,
    "rate_of_direct": 0.9,
    "rate_of_one": 0.95,
    "joined_s": 5.0,
    "moved_s": 15.0,
    "valkey_bytes_per_waiting_job": 3000,
}


class Stamps:
    """When a prompt was last posted to a server, and when one last ended, by the monotonic clock; 0.0 for never."""

    def __init__(self) -> None:
        self.posted = 0.0
        self.ended = 0.0

    def read(self, process: subprocess.Popen[str]) -> None:
        """Read what a server prints, until it ends."""
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if "posted" in event:
                self.posted = event["t"]
            elif "ended" in event:
                self.ended = event["t"]


@contextmanager
def comfyui(step_time: float, stamps: Stamps) -> Generator[str]:
    """A simulated server in its own process; yields its address."""
    words = [sys.executable, "-m", "bench.server", str(step_time)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        reader = threading.Thread(target=stamps.read, args=(process,))
        reader.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            reader.join()


@contextmanager
def worker(name: str, config: Config, url: str, backend: str) -> Generator[subprocess.Popen[bytes]]:
    """A worker in its own process, at the engine of a front; it is killed at the end of the block."""
    assert config.engine is not None
    words = [sys.executable, "-m", "app", "work", "--backend", backend, "--name", name, "--server", url]
    variables = {**os.environ, "ATELIER_DATA": str(config.data / name), "ATELIER_ENGINE": config.engine.address}
    with subprocess.Popen(words, env=variables, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@asynccontextmanager
async def front(config: Config, servers: int) -> AsyncGenerator[Services]:
    """A front within the block; entering waits until it knows so many servers."""
    async with (
        open_workers(config, new_prompt_id()) as workers,
        open_clients(config, workers=workers) as clients,
        open_services(
            clients, MemoryJournal(), depth=2, settings=workers.settings if workers is not None else None
        ) as services,
        anyio.create_task_group() as tasks,
    ):
        if workers is not None:
            tasks.start_soon(workers.run, services.servers.offer)
        with anyio.fail_after(PATIENCE):
            while len(services.clients) < servers:
                await anyio.sleep(0.01)
        yield services
        tasks.cancel_scope.cancel()


class Stamp:
    """A `Reply` that notes when the result came; it is on the disk then."""

    pause = 0.0
    receipt = ""

    def __init__(self) -> None:
        self.finished = 0.0

    async def show(self, update: AnyUpdate) -> None:
        """Note the time."""
        if isinstance(update, Finished):
            self.finished = time.monotonic()


async def make(services: Services, folder: Path, seed: int) -> float:
    """Make one picture; when its result came."""
    request = JobRequest(job=JobId(new_prompt_id()), workflow="bench", graph=graph(seed), folder=str(folder))
    stamp = Stamp()
    with anyio.fail_after(PATIENCE):
        await InteractionActor(request, services.registry, stamp).run()
    assert stamp.finished, "a job did not finish"
    return stamp.finished


async def _delays(config: Config, stamps: Stamps) -> dict[str, float]:
    """Medians in ms: from a request to its POST, and from the end frame to the file."""
    to_post: list[float] = []
    to_result: list[float] = []
    async with front(config, 1) as services:
        # The first job loads the model.
        await make(services, config.data, 0)
        for seed in range(1, DELAYED):
            asked = time.monotonic()
            finished = await make(services, config.data, seed)
            while stamps.ended < asked:
                await anyio.sleep(0.005)
            to_post.append((stamps.posted - asked) * 1000)
            to_result.append((finished - stamps.ended) * 1000)
    return {"to_post_ms": statistics.median(to_post), "to_result_ms": statistics.median(to_result)}


async def _rate(config: Config, servers: int) -> float:
    """Jobs per second of so many servers, from the first request to the last result."""
    async with front(config, servers) as services:
        began = 0.0
        # The first job of each loads the model.
        for count in (servers, EACH * servers):
            began = time.monotonic()
            async with anyio.create_task_group() as tasks:
                for seed in range(count):
                    tasks.start_soon(make, services, config.data, count + seed)
        return EACH * servers / (time.monotonic() - began)


async def _joined(config: Config, name: str, url: str, backend: str) -> float:
    """Seconds from the start of a worker's process until the front has its server."""
    async with front(config, 0) as services:
        began = time.monotonic()
        with worker(name, config, url, backend):
            with anyio.fail_after(PATIENCE):
                while ServerName(name) not in services.clients:
                    await anyio.sleep(0.01)
            return time.monotonic() - began


async def _moved(config: Config, urls: Sequence[str], stamps: Sequence[Stamps], backend: str) -> float:
    """Seconds from `kill -9` of a worker that runs a job until the job is posted to the server of another one."""
    moved = 0.0
    with (
        worker("first", config, urls[0], backend) as first,
        worker("second", config, urls[1], backend) as second,
    ):
        async with front(config, 2) as services, anyio.create_task_group() as tasks:
            before = [each.posted for each in stamps]
            tasks.start_soon(make, services, config.data, 1)
            with anyio.fail_after(PATIENCE):
                while [each.posted for each in stamps] == before:
                    await anyio.sleep(0.01)
                has, other = (0, 1) if stamps[0].posted != before[0] else (1, 0)
                (first, second)[has].kill()
                killed = time.monotonic()
                while stamps[other].posted == before[other]:
                    await anyio.sleep(0.01)
            moved = stamps[other].posted - killed
            tasks.cancel_scope.cancel()
    return moved


async def _bytes_per_waiting_job(engine_settings: EngineSettings, path: Path) -> float:
    """Bytes of Valkey's memory for each job that was accepted, of a front whose journal others can copy."""
    file = JournalFile(path, partial(standing_of, path), partial(open_replica, path), _install_nothing)
    taken = 0
    async with open_engine(engine_settings) as engine, anyio.create_task_group() as tasks:
        await engine.ready()
        turn = await FrontOnStandby(engine, Front("bench", "bench", __version__, NEWEST), file).wait()
        await turn.lease.announce(await to_thread.run_sync(take_over, path, turn.lease.epoch))
        tasks.start_soon(turn.lease.keep)
        async with open_journal(path, publisher=JournalPublisher(engine, turn.lease)) as journal:
            before = await _memory(engine)
            for number in range(WAITING):
                request = JobRequest(job=JobId(new_prompt_id()), workflow="bench", graph=graph(number), folder=".")
                await journal.record([Job(request=request)], [])
            taken = await _memory(engine) - before
        tasks.cancel_scope.cancel()
    return taken / WAITING


async def _memory(engine: Engine) -> int:
    used = (await engine.information("memory"))["used_memory"]
    assert isinstance(used, int)
    return used


def _install_nothing(received: Path, folder: str, keep: bool) -> None:
    raise AssertionError("there is no other front")


def engine(backend: str, rounds: int) -> dict[str, object]:
    """Return medians of all figures of one backend."""
    valkey = Valkey()
    valkey.start()
    try:
        with TemporaryDirectory() as name:
            measured = [_measure(backend, valkey, Path(name) / str(number)) for number in range(rounds)]
    finally:
        valkey.close()
    return {
        **{key: round(statistics.median(each[key] for each in measured), 3) for key in measured[0]},
        "goals": GOALS,
    }


def _measure(backend: str, valkey: Valkey, folder: Path) -> dict[str, float]:
    """All figures of one round."""
    figures: dict[str, float] = {}

    def config(part: str, urls: Sequence[str] = ()) -> Config:
        (folder / part).mkdir(parents=True)
        return Config(
            servers=tuple(Server(url=url, name=f"server-{number}") for number, url in enumerate(urls)),
            data=folder / part,
            workflows=folder,
            engine=None if urls else valkey.database(),
        )

    def run(call: Callable[..., Awaitable[T]], *arguments: object) -> T:
        return anyio.run(call, *arguments, backend=backend)

    stamps = Stamps()
    with comfyui(QUICK, stamps) as url:
        direct = run(_delays, config("direct", [url]), stamps)
        through = config("through")
        figures["joined_s"] = run(_joined, config("joined"), "attic", url, backend)
        with worker("attic", through, url, backend):
            delays = run(_delays, through, stamps)
    for what in ("to_post_ms", "to_result_ms"):
        figures |= {f"direct_{what}": direct[what], what: delays[what], f"more_{what}": delays[what] - direct[what]}
    for count in WORKERS:
        with ExitStack() as stack:
            urls = [stack.enter_context(comfyui(SLOW, Stamps())) for _ in range(count)]
            direct_rate = run(_rate, config(f"direct-{count}", urls), count)
            shared = config(f"workers-{count}")
            for number, url in enumerate(urls):
                stack.enter_context(worker(f"attic-{number}", shared, url, backend))
            rate = run(_rate, shared, count)
        figures[f"jobs_per_s_{count}"] = rate
        figures[f"rate_of_direct_{count}"] = rate / direct_rate
        figures[f"rate_of_one_{count}"] = rate / (count * figures["jobs_per_s_1"])
    with ExitStack() as stack:
        both = [Stamps(), Stamps()]
        urls = [stack.enter_context(comfyui(SLOW, each)) for each in both]
        figures["moved_s"] = run(_moved, config("moved"), urls, both, backend)
    figures["valkey_bytes_per_waiting_job"] = run(
        _bytes_per_waiting_job, valkey.database(), folder / "direct" / "atelier.db"
    )
    return figures
