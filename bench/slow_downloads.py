"""How much later a job's result is while seventeen downloads of other people do not come to an end.

The server is the simulator, in the same process and on a real port; it sends the results of some jobs a byte at a time.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import cast

import anyio
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from app.actors.interaction import InteractionActor
from app.actors.registry import new_prompt_id
from app.application import open_clients, open_services
from app.config.settings import Config, Server
from app.core.jobs.job import JobRequest
from app.events import AnyUpdate, Finished, JobId
from app.journal.memory import MemoryJournal
from app.ports import Graph
from app.simulator.engine.simulator import Simulator
from app.simulator.http import application
from bench.lag import Noting

HOSTILE = 17
JOBS = 30

DRIP = 0.05
"""Seconds between two bytes: slow enough to outlast the measurement, which takes a few seconds."""


def picture(seed: int, prefix: str) -> Graph:
    """A small picture that takes a few milliseconds; the seed is its colour."""
    size = {"width": 64, "height": 64, "batch_size": 1}
    return {
        "5": {"class_type": "EmptyImage", "inputs": {**size, "color": seed}, "_meta": {"title": "Picture"}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": prefix}},
    }


class Dripping:
    """A ComfyUI that sends files called `slow…` a byte at a time."""

    def __init__(self, inner: Starlette) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def drip(message: Message) -> None:
            for byte in message.get("body", b""):
                await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
                await anyio.sleep(DRIP)

        async def slowly(message: Message) -> None:
            await (drip(message) if message["type"] == "http.response.body" else send(message))

        is_slow = scope["type"] == "http" and scope["path"] == "/view" and b"filename=slow" in scope["query_string"]
        await self._inner(scope, receive, slowly if is_slow else send)


class Stamp:
    """A `Reply` that notes when `Finished` came; all files are on disk by then."""

    pause = 0.0
    receipt = ""

    def __init__(self) -> None:
        self.at = 0.0

    async def show(self, update: AnyUpdate) -> None:
        if isinstance(update, Finished):
            self.at = anyio.current_time()


async def _lags(slow: int) -> list[float]:
    """The lag of each job in milliseconds, while so many downloads of others do not end."""
    prompts: dict[int, str] = {}
    stamps: dict[int, Stamp] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulator = Simulator(folder / "server")
        async with anyio.create_task_group() as ground:
            port = await ground.start(application.serve, simulator, "127.0.0.1", 0)
            config = Config(servers=(Server(url=f"http://127.0.0.1:{port}"),), data=folder, workflows=folder)
            async with open_clients(config) as clients:
                for link in clients.values():
                    cast("Noting", link.comfy).__class__ = Noting
                    cast("Noting", link.comfy).prompts = prompts
                async with open_services(clients, MemoryJournal(), depth=2) as services:

                    async def make(seed: int, prefix: str) -> InteractionActor:
                        job, stamp = JobId(new_prompt_id()), stamps.setdefault(seed, Stamp())
                        graph, owner = picture(seed, prefix), f"{prefix} {seed}"
                        request = JobRequest(job=job, workflow="bench", graph=graph, folder=str(folder), owner=owner)
                        return InteractionActor(request, services.registry, stamp)

                    async with anyio.create_task_group() as downloads:
                        for number in range(slow):
                            downloads.start_soon((await make(1000 + number, "slow")).run)
                        while len(simulator.history) < slow:
                            await anyio.sleep(0.05)
                        async with anyio.create_task_group() as tasks:
                            for seed in range(JOBS):
                                tasks.start_soon((await make(seed, "quick")).run)
                        downloads.cancel_scope.cancel()
            ground.cancel_scope.cancel()
        return [(stamps[seed].at - simulator.ended_at[prompts[seed]]) * 1000 for seed in range(JOBS)]


def slow_downloads(rounds: int) -> dict[str, object]:
    """Medians over all rounds, in milliseconds, with and without the slow downloads, and their ratio."""
    inner = application.application
    application.application = lambda simulator: cast("Starlette", Dripping(inner(simulator)))
    figures: dict[str, object] = {}
    for backend in ("trio", "asyncio"):
        alone, beside = list[float](), list[float]()
        for _ in range(rounds):
            alone += anyio.run(_lags, 0, backend=backend)
            beside += anyio.run(_lags, HOSTILE, backend=backend)
        medians = statistics.median(alone), statistics.median(beside)
        figures[backend] = {
            "alone_ms": round(medians[0], 2),
            "beside_17_slow_ms": round(medians[1], 2),
            "ratio": round(medians[1] / medians[0], 2),
        }
    application.application = inner
    return figures
