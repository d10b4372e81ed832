"""A simulator behind a `Line`, in its own process, which executes orders from stdin."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import anyio
import msgspec
from anyio.abc import ByteSendStream
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec import Struct

from app.simulator.engine.simulator import Simulator
from app.simulator.faults import Request
from app.simulator.http.application import serve
from bench.line import Carried, Line

LONGEST = 64 * 2**20
"""The limit in bytes for one report; a thousand prompts and their requests take some hundred kB."""


class Order(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Actions to execute in the order of these fields; a report follows when all are done."""

    line: Literal["", "cut", "freeze", "mend"] = ""
    faults: Request | None = None
    taken: int = 0
    """Wait until the server has accepted this many prompts."""
    ended: int = 0
    """Wait until this many prompts have ended."""


class Report(Struct, frozen=True):
    """The state after an order. Times are of the monotonic clock, which all processes of a machine share."""

    at: float
    """When the order was completed."""
    ended: dict[str, float]
    """When each prompt's end was reported."""
    carried: list[Carried]
    """All requests so far."""


class Ends(dict[str, float]):
    """When each prompt's end was reported; `reach` waits for a number of ends."""

    def __init__(self) -> None:
        super().__init__()
        self._more = anyio.Event()

    def __setitem__(self, prompt: str, _: float) -> None:
        super().__setitem__(prompt, time.monotonic())
        self._more.set()

    async def reach(self, count: int) -> None:
        while len(self) < count:
            self._more = anyio.Event()
            await self._more.wait()


class ServerProcess:
    """The process from the outside: sends orders to its stdin, and reads reports from its stdout."""

    def __init__(self, port: int, orders: ByteSendStream, reports: BufferedByteReceiveStream) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._orders = orders
        self._reports = reports

    async def ask(self, order: Order) -> Report:
        """Send an order, and wait for its report."""
        await self._orders.send(msgspec.json.encode(order) + b"\n")
        return msgspec.json.decode(await self._reports.receive_until(b"\n", LONGEST), type=Report)


@asynccontextmanager
async def server_process(step_time: float) -> AsyncGenerator[ServerProcess]:
    """Run a server process for the duration of the block; its samplers take four steps of `step_time` seconds."""
    command = [sys.executable, "-m", "bench.server_process", str(step_time)]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        reports = BufferedByteReceiveStream(process.stdout)
        yield ServerProcess(int(await reports.receive_until(b"\n", LONGEST)), process.stdin, reports)


async def main(step_time: float) -> None:
    """Execute orders until stdin ends."""
    with TemporaryDirectory() as folder:
        simulator = Simulator(Path(folder), steps=4, step_time=step_time)
        ends = simulator.ended_at = Ends()
        async with anyio.create_task_group() as tasks:
            line = Line(await tasks.start(serve, simulator, "127.0.0.1", 0))
            print(await tasks.start(line.run), flush=True)
            async for order in anyio.wrap_file(sys.stdin.buffer):
                await _obey(msgspec.json.decode(order, type=Order), simulator, line, ends)
                report = Report(time.monotonic(), ends, line.carried)
                print(msgspec.json.encode(report).decode(), flush=True)
            tasks.cancel_scope.cancel()


async def _obey(order: Order, simulator: Simulator, line: Line, ends: Ends) -> None:
    match order.line:
        case "cut":
            await line.cut()
        case "freeze":
            line.freeze()
        case "mend":
            await line.mend()
        case _:
            pass
    if order.faults is not None:
        simulator.faults.ask(order.faults)
    while len(ends) + len(simulator.pending) + (simulator.running is not None) < order.taken:
        await line.moved()
    await ends.reach(order.ended)


if __name__ == "__main__":
    anyio.run(main, float(sys.argv[1]), backend="trio")
