"""How late results come if a websocket stays open but receives nothing (ComfyUI#16010), also in other clients."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import anyio

from app.simulator.faults import Request
from bench.client_process import client_process
from bench.lag import collect, post
from bench.server_process import Order, server_process

JOBS = 16
STEP_TIME = 0.05
"""Seconds for each of four steps: the jobs end over four seconds, so before, between and after server queries."""

HELD = Order(faults=Request(hold=True))
DEAFENED = Order(faults=Request(hold=False, deaf=True))
OVER = Order(ended=JOBS)

ENOUGH = 5.0
"""Seconds to wait after the last end for a client that only listens; what has not arrived by then never does."""


async def this_program() -> list[float]:
    """Return how late each result was, in seconds; the first job runs when the socket stops receiving."""
    async with server_process(STEP_TIME) as server, client_process(server.url, depth=JOBS) as client:
        await server.ask(HELD)

        async def deafen() -> None:
            await server.ask(DEAFENED)

        await client.make(range(JOBS), deafen)
        return client.late((await server.ask(OVER)).ended)


async def poller() -> list[float]:
    """Measure a client that asks for each history once a second, and so needs no websocket."""
    done: dict[str, float] = {}
    async with server_process(STEP_TIME) as server, aiohttp.ClientSession(server.url) as session:
        with TemporaryDirectory(dir=Path.cwd()) as folder:
            await server.ask(HELD)
            prompts = [await post(session, uuid.uuid4().hex, seed) for seed in range(JOBS)]

            async def follow(prompt: str) -> None:
                while not await collect(session, prompt, Path(folder)):
                    await asyncio.sleep(1)
                done[prompt] = time.monotonic()

            async with anyio.create_task_group() as tasks:
                for prompt in prompts:
                    tasks.start_soon(follow, prompt)
                await server.ask(DEAFENED)
            ended = (await server.ask(OVER)).ended
            return [done[prompt] - at for prompt, at in ended.items()]


async def listener() -> int:
    """Measure a client that only listens to its websocket; returns the number of ends that it never received."""
    heard: set[str] = set()
    client_id = uuid.uuid4().hex
    async with server_process(STEP_TIME) as server, aiohttp.ClientSession(server.url) as session:
        async with session.ws_connect(f"/ws?clientId={client_id}") as socket:
            await server.ask(HELD)
            mine = {await post(session, client_id, seed) for seed in range(JOBS)}
            await server.ask(DEAFENED)
            await server.ask(OVER)
            with anyio.move_on_after(ENOUGH):
                while heard < mine:
                    message = json.loads(await socket.receive_str())
                    if message["type"] == "executing" and message["data"]["node"] is None:
                        heard.add(message["data"]["prompt_id"])
    return len(mine - heard)


def deaf(rounds: int) -> dict[str, object]:
    """Measure all clients alternately; returns figures in seconds."""
    lateness: dict[str, list[list[float]]] = {"atelier_trio": [], "atelier_asyncio": [], "poller": []}
    for _ in range(rounds):
        for backend in ("trio", "asyncio"):
            lateness[f"atelier_{backend}"].append(anyio.run(this_program, backend=backend))
        lateness["poller"].append(anyio.run(poller, backend="asyncio"))
    figures: dict[str, object] = {
        name: {
            "late_median_s": round(statistics.median(statistics.median(late) for late in lates), 3),
            "late_worst_s": round(max(max(late) for late in lates), 3),
        }
        for name, lates in lateness.items()
    }
    figures["listener"] = {"never_heard_of": anyio.run(listener, backend="asyncio"), "of": JOBS}
    return figures
