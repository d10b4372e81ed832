"""The time from the server's end frame to the file on disk: for this program, a bare client, and a poller.

For `generate --json` it is the time until the line about the file was read from its pipe.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import aiohttp
import anyio

from app.actors.interaction import InteractionActor
from app.actors.registry import new_prompt_id
from app.application import open_clients, open_services
from app.comfy.client import ComfyClient
from app.config.settings import Config, Server
from app.core.jobs.job import JobRequest
from app.events import AnyUpdate, Finished, JobId, PromptId
from app.journal.memory import MemoryJournal
from app.ports import Graph, Json, Ticket

GRAPH: Graph = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dreamscape-v1.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a bench by the sea", "clip": ["1", 1]}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 256, "height": 256, "batch_size": 1}},
    "5": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 0,
            "steps": 4,
            "cfg": 7.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["2", 0],
            "latent_image": ["4", 0],
        },
    },
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "bench/x"}},
}

JOBS = 30
STEP_TIME = 0.01


def graph(seed: int) -> Graph:
    made = copy.deepcopy(GRAPH)
    cast("dict[str, Json]", made["5"]["inputs"])["seed"] = seed
    return made


@contextmanager
def server() -> Generator[tuple[str, dict[str, float], subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.server", str(STEP_TIME)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        port = json.loads(process.stdout.readline())["port"]
        yield f"http://127.0.0.1:{port}", {}, process
    finally:
        process.terminate()
        process.wait()


def measure(client: Callable[[str, Path], dict[str, float]]) -> list[float]:
    """Return the lag of each job of one round, in milliseconds."""
    with server() as (url, ends, process), tempfile.TemporaryDirectory() as folder:
        done = client(url, Path(folder))
        assert process.stdout is not None
        while len(ends) < JOBS:
            line = json.loads(process.stdout.readline())
            if "ended" in line:
                ends[line["ended"]] = line["t"]
    if done.keys() != ends.keys():
        # Lines of a pipe do not name prompts, but these end one after the other.
        done = dict(zip(sorted(ends, key=ends.__getitem__), sorted(done.values()), strict=True))
    return [(done[prompt] - ends[prompt]) * 1000 for prompt in ends]


class _Stamp:
    """A `Reply` that notes when `Finished` came; all files are on disk by then."""

    pause = 0.0
    receipt = ""

    def __init__(self, done: dict[str, float]) -> None:
        self._done = done

    async def show(self, update: AnyUpdate) -> None:
        if isinstance(update, Finished):
            self._done[update.job] = time.monotonic()


class Noting(ComfyClient):
    """The real client, which also notes the prompt id of each seed or colour of node 5."""

    prompts: dict[int, str]

    async def submit(self, prompt: PromptId, graph: Graph, *, paid: bool = False) -> Ticket:
        inputs = cast("dict[str, Json]", graph["5"]["inputs"])
        self.prompts[cast("int", inputs.get("seed", inputs.get("color")))] = prompt
        return await super().submit(prompt, graph, paid=paid)


def this_program(backend: str) -> Callable[[str, Path], dict[str, float]]:
    """Return a client that is this program without the command line."""

    async def client(url: str, folder: Path) -> dict[str, float]:
        done: dict[str, float] = {}
        jobs = {JobId(new_prompt_id()): seed for seed in range(JOBS)}
        config = Config(servers=(Server(url=url, previews="off"),), data=folder, workflows=folder)
        prompts: dict[int, str] = {}
        async with open_clients(config) as clients:
            for link in clients.values():
                cast("Noting", link.comfy).__class__ = Noting
                cast("Noting", link.comfy).prompts = prompts
            async with open_services(clients, MemoryJournal(), depth=2) as services, anyio.create_task_group() as tasks:
                for job, seed in jobs.items():
                    request = JobRequest(job=job, workflow="bench", graph=graph(seed), folder=str(folder))
                    await tasks.start(InteractionActor(request, services.registry, _Stamp(done)).run)
        return {prompts[seed]: done[job] for job, seed in jobs.items()}

    return lambda url, folder: anyio.run(client, url, folder, backend=backend)


def through_pipe(backend: str) -> Callable[[str, Path], dict[str, float]]:
    """Return a client that is `generate --json`, whose lines are read from a pipe."""

    def client(url: str, folder: Path) -> dict[str, float]:
        done: dict[str, float] = {}
        workflow = folder / "bench.json"
        workflow.write_text(json.dumps(GRAPH))
        program = [sys.executable, "-m", "app", "generate", str(workflow), "--json", "--backend", backend]
        arguments = ["--server", url, "--count", str(JOBS), "--out", str(folder)]
        environment = {**os.environ, "ATELIER_DATA": str(folder)}
        with subprocess.Popen([*program, *arguments], stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                now, update = time.monotonic(), json.loads(line)
                if update["event"] == "finished":
                    done[update["job"]] = now
        return done

    return client


async def post(session: aiohttp.ClientSession, client_id: str, seed: int) -> str:
    prompt = str(uuid.uuid4())
    body = {"prompt": graph(seed), "client_id": client_id, "prompt_id": prompt}
    async with session.post("/prompt", json=body) as answer:
        answer.raise_for_status()
    return prompt


async def collect(session: aiohttp.ClientSession, prompt: str, folder: Path) -> bool:
    async with session.get(f"/history/{prompt}") as answer:
        history = await answer.json()
    if prompt not in history:
        return False
    for output in history[prompt]["outputs"].values():
        for image in output["images"]:
            async with session.get("/view", params=image) as answer:
                (folder / f"{prompt}-{image['filename']}").write_bytes(await answer.read())
    return True


async def _bare(url: str, folder: Path) -> dict[str, float]:
    """Wait on the websocket, then fetch: about the fastest client that can be written in forty lines."""
    done: dict[str, float] = {}
    client_id = uuid.uuid4().hex
    async with aiohttp.ClientSession(url) as session, session.ws_connect(f"/ws?clientId={client_id}") as socket:
        mine = {await post(session, client_id, seed) for seed in range(JOBS)}

        async def finish(prompt: str) -> None:
            while not await collect(session, prompt, folder):
                await asyncio.sleep(0.05)
            done[prompt] = time.monotonic()

        async with asyncio.TaskGroup() as tasks:
            while mine:
                message = await socket.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                content = json.loads(message.data)
                prompt = content["data"].get("prompt_id")
                if content["type"] == "executing" and content["data"].get("node") is None and prompt in mine:
                    mine.discard(prompt)
                    tasks.create_task(finish(prompt))
    return done


async def _poller(url: str, folder: Path) -> dict[str, float]:
    """Ask for the history once a second, as other bots do."""
    done: dict[str, float] = {}
    async with aiohttp.ClientSession(url) as session:

        async def follow(prompt: str) -> None:
            while not await collect(session, prompt, folder):
                await asyncio.sleep(1)
            done[prompt] = time.monotonic()

        async with asyncio.TaskGroup() as tasks:
            for seed in range(JOBS):
                tasks.create_task(follow(await post(session, uuid.uuid4().hex, seed)))
    return done


def summary(rounds: list[list[float]]) -> dict[str, float]:
    """Return the median of the rounds' medians with their spread, the median 90th percentile, and the worst value."""
    medians = [statistics.median(lags) for lags in rounds]
    return {
        "median_ms": round(statistics.median(medians), 2),
        "lowest_median_ms": round(min(medians), 2),
        "highest_median_ms": round(max(medians), 2),
        "p90_ms": round(statistics.median(statistics.quantiles(lags, n=10)[-1] for lags in rounds), 2),
        "worst_ms": round(max(max(lags) for lags in rounds), 2),
    }


def lag(rounds: int) -> dict[str, object]:
    """Measure all clients alternately, so that other load affects them alike."""
    clients: dict[str, Callable[[str, Path], dict[str, float]]] = {
        "atelier_trio": this_program("trio"),
        "atelier_asyncio": this_program("asyncio"),
        "atelier_trio_pipe": through_pipe("trio"),
        "atelier_asyncio_pipe": through_pipe("asyncio"),
        "bare": lambda url, folder: asyncio.run(_bare(url, folder)),
        "poller": lambda url, folder: asyncio.run(_poller(url, folder)),
    }
    lags_of: dict[str, list[list[float]]] = {name: [] for name in clients}
    for _ in range(rounds):
        for name, client in clients.items():
            lags_of[name].append(measure(client))
    figures: dict[str, object] = {name: summary(lags) for name, lags in lags_of.items()}
    medians = {name: statistics.median(statistics.median(lags) for lags in lags_of[name]) for name in lags_of}
    figures["times_bare"] = {name: round(medians[name] / medians["bare"], 2) for name in medians}
    figures["times_quicker_than_poller"] = {name: round(medians["poller"] / medians[name], 1) for name in medians}
    return figures
