"""What 200 open pages of the live queue cost while jobs with previews run: processor time, and the delay of results.

Jobs are made in turn with and without open pages, in the same processes. A page reads its events, as a browser does.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import cast
from urllib.parse import urlsplit

PAGES = 200
JOBS = 4
"""Jobs of each turn."""
STEPS, STEP_TIME = 16, 0.5
"""Each step has a preview."""

TELLING = 10.0
"""Seconds for all pages to know of the last result."""

CPU_SHARE, RESULT_DELAY_MS, ANNOUNCED_MS = 0.10, 1.0, 200.0
"""The goals: what open pages may use of one core, how much later a result may be for them, and how soon after the end
frame an open page knows of it."""

LONGEST_LINE = 2**20
"""Bytes; a line of events may have a preview."""


class Page:
    """An open page in a browser."""

    def __init__(self, address: str, cookie: str) -> None:
        parts = urlsplit(address)
        self._host, self._port = str(parts.hostname), parts.port
        self._cookie = cookie
        self.announced: list[float] = []
        """When it knew of each result."""
        self.previews = 0
        self.messages = 0

    async def watch(self) -> None:
        """Follow its events."""
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=LONGEST_LINE)
        host, cookie = f"{self._host}:{self._port}", self._cookie
        writer.write(f"GET /queue/events HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n".encode())
        try:
            while line := await reader.readline():
                if line.startswith(b"event: results"):
                    self.announced.append(time.monotonic())
                elif line.startswith(b"event: queue"):
                    self.messages += 1
                elif line.startswith(b"event: preview"):
                    self.previews += 1
        finally:
            writer.close()


@asynccontextmanager
async def open_pages(address: str, cookies: list[str]) -> AsyncGenerator[list[Page]]:
    """Open one page for each of these sessions."""
    pages = [Page(address, cookie) for cookie in cookies]
    tasks = [asyncio.create_task(page.watch()) for page in pages]
    try:
        while not all(page.messages for page in pages):
            await asyncio.sleep(0.1)
            for task in tasks:
                if task.done():
                    task.result()
        yield pages
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _server() -> Generator[tuple[str, list[float]]]:
    """A server, and when it reported the end of each job."""
    ends: list[float] = []
    arguments = [sys.executable, "-m", "bench.server", str(STEP_TIME), str(STEPS)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        output = process.stdout

        def read() -> None:
            ends.extend(said["t"] for said in map(json.loads, output) if "ended" in said)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield f"http://127.0.0.1:{port}", ends
        finally:
            process.terminate()
            reader.join()


class Turn:
    """What was measured while some jobs were made."""

    def __init__(self) -> None:
        self.cpu: list[float] = []
        self.delays: list[float] = []
        self.announced: list[float] = []


class Bot:
    """The process of the bot."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def read(self) -> dict[str, object]:
        assert self._process.stdout is not None
        return cast("dict[str, object]", json.loads(await self._process.stdout.readline()))

    async def make(self, jobs: int) -> tuple[list[float], float]:
        """Have it make jobs; returns when their results were there, and its share of a core."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{jobs}\n".encode())
        done: list[float] = []
        while "cpu" not in (said := await self.read()):
            done.append(cast("float", said["t"]))
        return done, cast("float", said["cpu"])

    async def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                await self._process.wait()
                return
        self._process.kill()
        await self._process.wait()


async def _measure(backend: str, rounds: int) -> dict[str, object]:
    without, with_pages, previews, messages = Turn(), Turn(), 0, 0
    with _server() as (url, ends):
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "bench.page_queue_process", url, backend, str(PAGES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            limit=2**20,
        )
        bot = Bot(process)
        try:
            said = await bot.read()
            address, cookies = str(said["address"]), cast("list[str]", said["cookies"])
            # Everything is imported and connected after the first job.
            await bot.make(1)

            async def turn(into: Turn) -> list[float]:
                first = len(ends)
                done, cpu = await bot.make(JOBS)
                into.cpu.append(cpu)
                into.delays += [(at - end) * 1000 for at, end in zip(done, ends[first:], strict=True)]
                return ends[first:]

            for _ in range(rounds):
                await turn(without)
                async with open_pages(address, cookies) as pages:
                    ended = await turn(with_pages)
                    async with asyncio.timeout(TELLING):
                        while any(len(page.announced) < JOBS for page in pages):
                            await asyncio.sleep(0.1)
                    for page in pages:
                        delays = [(at - end) * 1000 for at, end in zip(page.announced, ended, strict=True)]
                        with_pages.announced += delays
                    previews += sum(page.previews for page in pages)
                    messages += sum(page.messages for page in pages)
        finally:
            await bot.end()
    percentiles = statistics.quantiles(with_pages.announced, n=100)
    share, alone = statistics.median(with_pages.cpu), statistics.median(without.cpu)
    delay, delay_alone = statistics.median(with_pages.delays), statistics.median(without.delays)
    return {
        "cpu_share_of_pages": round(share - alone, 3),
        "cpu_share_without": round(alone, 3),
        "result_without_ms": round(delay_alone, 2),
        "result_with_ms": round(delay, 2),
        "result_delay_ms": round(delay - delay_alone, 2),
        "result_without_p90_ms": round(statistics.quantiles(without.delays, n=10)[-1], 2),
        "result_with_p90_ms": round(statistics.quantiles(with_pages.delays, n=10)[-1], 2),
        "announced_p50_ms": round(percentiles[49], 1),
        "announced_p99_ms": round(percentiles[98], 1),
        "announced_worst_ms": round(max(with_pages.announced), 1),
        "messages_per_page_and_job": round(messages / PAGES / JOBS / rounds, 1),
        "previews_per_page_and_job": round(previews / PAGES / JOBS / rounds, 1),
    }


def page_queue(rounds: int) -> dict[str, object]:
    """Return the figures of both backends."""
    goals = {"cpu_share": CPU_SHARE, "result_delay_ms": RESULT_DELAY_MS, "announced_ms": ANNOUNCED_MS}
    return {
        "pages": PAGES,
        "goals": goals,
        **{backend: asyncio.run(_measure(backend, rounds)) for backend in ("trio", "asyncio")},
    }
