"""Events per second from the socket to a subscriber, memory per job, and the event loop's delay under previews."""

from __future__ import annotations

import copy
import statistics
import struct
import time
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial

import anyio
import msgspec
from anyio.abc import SocketAttribute
from msgspec import Raw
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, Message, Request, TextMessage

from app.actors.registry import new_prompt_id
from app.application import ServerClients, open_services
from app.comfy.websocket.connect import connect, open_websocket
from app.config.settings import Server
from app.core.jobs.job import JobRequest
from app.events import (
    ExecutionStarted,
    FileRef,
    JobId,
    NodeStepped,
    Previewed,
    Progressed,
    PromptId,
    QueueChanged,
    ServerEvent,
    ServerName,
)
from app.journal.memory import MemoryJournal
from app.ports import Graph, History, Queue, Stats, Ticket
from bench.lag import GRAPH

MESSAGES = 20_000
PATIENCE = 60.0
"""Seconds for jobs to reach their servers."""

STATUS = '{"type":"status","data":{"status":{"exec_info":{"queue_remaining":1}},"sid":"x"}}'


class Taking:
    """A ComfyUI client whose server accepts every prompt and finishes none."""

    def __init__(self) -> None:
        self.prompts: list[PromptId] = []

    async def submit(self, prompt: PromptId, graph: Graph, *, paid: bool = False) -> Ticket:
        await anyio.lowlevel.checkpoint()
        self.prompts.append(prompt)
        return Ticket(prompt)

    async def queue(self) -> Queue:
        await anyio.lowlevel.checkpoint()
        return Queue((), tuple(self.prompts))

    async def history(self, prompt: PromptId) -> History | None:
        await anyio.lowlevel.checkpoint()
        return None

    async def newest(self, count: int) -> dict[PromptId, History]:
        await anyio.lowlevel.checkpoint()
        return {}

    async def cancel(self, prompt: PromptId) -> None:
        await anyio.lowlevel.checkpoint()

    async def fetch(self, file: FileRef, to: object) -> None:
        await anyio.lowlevel.checkpoint()

    async def upload(self, file: object, name: str) -> str:
        await anyio.lowlevel.checkpoint()
        return ""

    async def node(self, class_type: str) -> Raw | None:
        await anyio.lowlevel.checkpoint()
        return None

    async def nodes(self) -> Mapping[str, Raw]:
        await anyio.lowlevel.checkpoint()
        return {}

    async def stats(self) -> Stats:
        await anyio.lowlevel.checkpoint()
        return Stats("0")


@asynccontextmanager
async def silent() -> AsyncGenerator[AsyncIterator[ServerEvent]]:
    """Open a websocket that sends the first `status` and nothing more."""

    async def talk() -> AsyncGenerator[ServerEvent]:
        yield QueueChanged(remaining=0)
        await anyio.sleep_forever()

    async with aclosing(talk()) as spoken:
        yield spoken


def _step(prompt: str, value: int) -> bytes:
    data = {"value": value, "max": MESSAGES, "prompt_id": prompt, "node": "5"}
    return msgspec.json.encode({"type": "progress", "data": data})


def _preview(prompt: str) -> bytes:
    head = msgspec.json.encode(
        {"prompt_id": prompt, "node_id": "5", "display_node_id": "5", "image_type": "image/jpeg"}
    )
    return struct.pack(">II", 4, len(head)) + head + bytes(50_000)


@asynccontextmanager
async def flooding(frames: AsyncIterator[str | bytes], ready: anyio.Event) -> AsyncGenerator[int]:
    """Serve one client: send `status`, wait until `ready`, then send these frames as fast as the client reads."""

    async def handle(stream: anyio.abc.SocketStream) -> None:
        protocol = WSConnection(ConnectionType.SERVER)
        async with stream:
            request = None
            while request is None:
                protocol.receive_data(await stream.receive())
                request = next((event for event in protocol.events() if isinstance(event, Request)), None)
            await stream.send(protocol.send(AcceptConnection()))
            await stream.send(protocol.send(TextMessage(STATUS)))
            await ready.wait()
            batch: list[bytes] = []
            async for frame in frames:
                message: Message[str] | Message[bytes]
                message = TextMessage(frame) if isinstance(frame, str) else BytesMessage(frame)
                batch.append(protocol.send(message))
                if len(batch) >= 64 or not isinstance(frame, str):
                    await stream.send(b"".join(batch))
                    batch.clear()
            await stream.send(b"".join(batch))
            await anyio.sleep_forever()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def _steps(prompts: list[PromptId]) -> AsyncIterator[str | bytes]:
    for value in range(1, MESSAGES + 1):
        yield _step(prompts[0] if prompts else "p", value).decode()


async def _decoding() -> float:
    """Return messages per second from the socket to the decoder, the baseline for everything else."""
    ready = anyio.Event()
    ready.set()
    async with flooding(_steps([]), ready) as port:
        async with connect(partial(open_websocket, Server(url=f"http://127.0.0.1:{port}"), "x")) as spoken:
            await anext(spoken)
            began = time.perf_counter()
            async for what in spoken:
                if isinstance(what, NodeStepped) and what.value >= MESSAGES:
                    break
            return MESSAGES / (time.perf_counter() - began)


async def _through() -> float:
    """Return messages per second from the socket through connection and registry to a subscriber."""
    ready, comfy = anyio.Event(), Taking()
    async with flooding(_steps(comfy.prompts), ready) as port:
        way = partial(connect, partial(open_websocket, Server(url=f"http://127.0.0.1:{port}"), "x"))
        clients = {ServerName("bench"): ServerClients(comfy, way)}  # pyright: ignore[reportArgumentType]
        async with open_services(clients, MemoryJournal(), depth=2) as services:
            request = JobRequest(job=JobId(new_prompt_id()), workflow="bench", graph=GRAPH, folder=".")
            async with services.registry.submit(request) as updates:
                while not comfy.prompts:
                    await anyio.sleep(0.01)
                began = time.perf_counter()
                ready.set()
                async for update in updates:
                    if isinstance(update, Progressed) and update.step >= MESSAGES:
                        return MESSAGES / (time.perf_counter() - began)
    raise AssertionError


async def jobs_in_flight(jobs: int) -> float:
    """Return the bytes per job that is on a server and has a subscriber, its graph included. Each server has two."""
    started = anyio.Event()

    def server(comfy: Taking) -> ServerClients:
        @asynccontextmanager
        async def way() -> AsyncGenerator[AsyncIterator[ServerEvent]]:
            async def talk() -> AsyncGenerator[ServerEvent]:
                yield QueueChanged(remaining=0)
                await started.wait()
                yield ExecutionStarted(prompt=comfy.prompts[0])
                await anyio.sleep_forever()

            async with aclosing(talk()) as spoken:
                yield spoken

        return ServerClients(comfy, way)  # pyright: ignore[reportArgumentType]

    comfies = [Taking() for _ in range(jobs // 2)]
    before = after = 0
    clients = {ServerName(f"bench {number}"): server(comfy) for number, comfy in enumerate(comfies)}
    async with open_services(clients, MemoryJournal(), depth=2) as services, anyio.create_task_group() as tasks:

        async def watch() -> None:
            graph = copy.deepcopy(GRAPH)
            request = JobRequest(job=JobId(new_prompt_id()), workflow="bench", graph=graph, folder=".")
            async with services.registry.submit(request) as updates:
                async for _ in updates:
                    pass

        await anyio.sleep(1.0)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(jobs):
            tasks.start_soon(watch)
        with anyio.fail_after(PATIENCE):
            while sum(len(comfy.prompts) for comfy in comfies) < jobs:
                await anyio.sleep(0.05)
        started.set()
        await anyio.sleep(0.5)
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        tasks.cancel_scope.cancel()
    return (after - before) / jobs


async def _loop_lag(rate: int, seconds: float) -> dict[str, float]:
    """Return how late a timer of 1 ms is, in ms, while `rate` previews of 50 kB arrive per second.

    The sender is in the same process.
    """
    ready, comfy = anyio.Event(), Taking()

    async def previews() -> AsyncIterator[str | bytes]:
        frame = _preview(comfy.prompts[0])
        due = anyio.current_time()
        while True:
            due += 1 / rate
            await anyio.sleep_until(due)
            yield frame

    late: list[float] = []
    preview_count = 0
    async with flooding(previews(), ready) as port:
        way = partial(connect, partial(open_websocket, Server(url=f"http://127.0.0.1:{port}"), "x"))
        clients = {ServerName("bench"): ServerClients(comfy, way)}  # pyright: ignore[reportArgumentType]
        async with open_services(clients, MemoryJournal(), depth=2) as services, anyio.create_task_group() as tasks:
            request = JobRequest(job=JobId(new_prompt_id()), workflow="bench", graph=GRAPH, folder=".")

            async def watch() -> None:
                nonlocal preview_count
                async with services.registry.submit(request) as updates:
                    async for update in updates:
                        preview_count += isinstance(update, Previewed)

            tasks.start_soon(watch)
            while not comfy.prompts:
                await anyio.sleep(0.01)
            ready.set()
            end = anyio.current_time() + seconds
            while (now := anyio.current_time()) < end:
                await anyio.sleep(0.001)
                late.append((anyio.current_time() - now - 0.001) * 1000)
            tasks.cancel_scope.cancel()
    return {
        "p50_ms": round(statistics.median(late), 3),
        "p99_ms": round(statistics.quantiles(late, n=100)[-1], 3),
        "seen": preview_count,
    }


def flow(backend: str, rounds: int) -> dict[str, object]:
    """Return all figures of one backend."""
    decoding = [anyio.run(_decoding, backend=backend) for _ in range(rounds)]
    through = [anyio.run(_through, backend=backend) for _ in range(rounds)]
    return {
        "decode_only_per_s": round(statistics.median(decoding)),
        "to_subscriber_per_s": round(statistics.median(through)),
        "of_decode_only": round(statistics.median(through) / statistics.median(decoding), 2),
        "bytes_per_job_in_flight": round(anyio.run(jobs_in_flight, 500, backend=backend)),
        "loop_lag_200_previews_per_s": anyio.run(_loop_lag, 200, 4.0, backend=backend),
    }
