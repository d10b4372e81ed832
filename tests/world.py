"""The whole application over a simulator in memory: real actors, real HTTP client, real decoder, no sockets."""

from __future__ import annotations

import copy
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import httpx
import msgspec
from msgspec import Struct

from app.actors.handle import Registry
from app.actors.interaction import InteractionActor
from app.actors.registry import new_prompt_id
from app.application import ServerClients, open_services
from app.comfy.client import open_comfy_client
from app.comfy.websocket.connect import connect
from app.config.settings import Server
from app.core.jobs.job import JobRequest
from app.core.journal_port import Journal
from app.core.scheduling.line.overview import Overview
from app.core.servers.state import ServerSettings
from app.core.work import Work
from app.events import AnyUpdate, Finished, JobId, Queued, ServerName
from app.journal.memory import MemoryJournal
from app.ports import Graph
from app.simulator.engine.simulator import Simulator
from app.simulator.faults import Request
from app.simulator.http.application import application
from tests.conftest import inline

HERE = ServerName("simulator")

PICTURE: Graph = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dreamscape-v1.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a test", "clip": ["1", 1]}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "5": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 0,
            "steps": 10,
            "cfg": 7.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["2", 0],
            "latent_image": ["4", 0],
        },
        "_meta": {"title": "Sampler"},
    },
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "test/picture"}},
}


class Watcher:
    """A `Reply` that records every update."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause = pause
        self.receipt = ""
        self.shown: list[AnyUpdate] = []

    async def show(self, update: AnyUpdate) -> None:
        await anyio.lowlevel.checkpoint()
        self.shown.append(update)

    @property
    def last(self) -> AnyUpdate:
        return self.shown[-1]

    def positions(self) -> list[int]:
        return [update.position for update in self.shown if isinstance(update, Queued)]


class World(Struct):
    """The application, its one server, and the folder of the results."""

    simulator: Simulator
    registry: Registry
    folder: Path
    journal: Journal
    work: Work
    overview: Overview

    def request(self, graph: Graph = PICTURE, **changes: object) -> JobRequest:
        """A job request with a random seed."""
        graph = copy.deepcopy(graph)
        seed = random.getrandbits(32)
        for entry in graph.values():
            if isinstance(inputs := entry["inputs"], dict) and "seed" in inputs:
                inputs["seed"] = seed
        return JobRequest(job=JobId(new_prompt_id()), workflow="test", graph=graph, folder=str(self.folder), seed=seed)

    async def make(self, request: JobRequest | None = None, watcher: Watcher | None = None) -> Watcher:
        """Run one job until its terminal update is shown."""
        watcher = watcher or Watcher()
        await InteractionActor(request or self.request(), self.registry, watcher).run()
        return watcher

    async def make_many(self, count: int) -> list[Watcher]:
        """Run many jobs at once, submitted in this order."""
        watchers = [Watcher() for _ in range(count)]
        async with anyio.create_task_group() as tasks:
            for watcher in watchers:
                await tasks.start(InteractionActor(self.request(), self.registry, watcher).run)
        return watchers

    def fault(self, **what: object) -> None:
        self.simulator.faults.ask(msgspec.convert(what, Request))


def delivered(watcher: Watcher) -> bool:
    """Whether every picture is on disk."""
    return isinstance(watcher.last, Finished) and on_disk(watcher.last)


def on_disk(last: Finished) -> bool:
    """Whether there are files, and all of them are there."""
    return bool(last.files) and all(Path(file).is_file() for file in last.files)


@asynccontextmanager
async def house_for(
    simulator: Simulator,
    folder: Path,
    journal: Journal | None = None,
    *,
    depth: int = 2,
    api_key: str = "",
    pays: bool = False,
) -> AsyncGenerator[World]:
    """A house, as one life of the program has it, for a simulator that lives elsewhere; it has the key if it `pays`."""
    journal = journal or MemoryJournal()
    client_id = new_prompt_id()
    transport = httpx.ASGITransport(application(simulator))
    server = Server(url="http://simulator")
    async with open_comfy_client(server, client_id, run_sync=inline, transport=transport, api_key=api_key) as comfy:
        clients = {HERE: ServerClients(comfy, partial(connect, partial(simulator.connect, client_id)))}
        settings = {HERE: ServerSettings(pays=pays)}
        async with open_services(clients, journal, depth=depth, run_sync=inline, settings=settings) as services:
            yield World(simulator, services.registry, folder, journal, services.work, services.overview)


@asynccontextmanager
async def world(tmp_path: Path, *, depth: int = 2, longest: float = 3600.0, **options: object) -> AsyncGenerator[World]:
    """A simulator and a house; nothing may take longer than an hour of its clock, or than `longest` seconds."""
    simulator = Simulator(tmp_path / "server", run_sync=inline, **options)  # pyright: ignore[reportArgumentType]
    with anyio.fail_after(longest):
        async with anyio.create_task_group() as ground:
            await ground.start(simulator.run)
            async with house_for(simulator, tmp_path / "results", depth=depth) as running:
                yield running
            ground.cancel_scope.cancel()
