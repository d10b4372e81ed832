"""The program over a bad line, and with a server that dies: real processes, real sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream
from PIL import Image

from tests.process.launcher import PROGRAM, ROOT, forking
from tests.process.proxy import Proxy, proxy

COUNT = 12


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the program's is a parameter."""
    return "asyncio"


@asynccontextmanager
async def running(*words: str, stdout: int = subprocess.PIPE) -> AsyncGenerator[Process]:
    env = {"PYTHONPATH": str(ROOT), "PATH": "", "ATELIER_WORKFLOWS": str(ROOT / "workflows")}
    with forking():
        process = await anyio.open_process([*PROGRAM, *words], cwd=ROOT, env=env, stdout=stdout)
    async with process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)


@asynccontextmanager
async def simulator(*options: str, port: int = 0) -> AsyncGenerator[tuple[Process, int]]:
    quick = options or ("--steps", "3", "--step-time", "0.02")
    async with running("simulate", "--port", str(port), *quick) as process:
        assert process.stdout is not None
        ready = await TextReceiveStream(process.stdout).receive()
        yield process, int(ready.strip().rpartition(":")[2])


async def draw(
    backend: str, port: int, folder: Path, trouble: Callable[[], Coroutine[object, object, None]], count: int = COUNT
) -> tuple[int | None, list[dict[str, object]]]:
    """Have pictures made through a port, and something go wrong as soon as the first is there."""
    words = ("generate", "txt2img", "prompt=x", "width=256", "height=256", "--count", str(count), "--json")
    server = ("--server", f"http://127.0.0.1:{port}", "--out", str(folder), "--backend", backend)
    lines: list[dict[str, object]] = []
    code: int | None = None
    async with running(*words, *server) as process, anyio.create_task_group() as tasks:
        assert process.stdout is not None
        unfinished_line = ""
        started = False
        async for piece in TextReceiveStream(process.stdout):
            *whole, unfinished_line = (unfinished_line + piece).split("\n")
            lines += [json.loads(line) for line in whole]
            if not started and any(line["event"] == "finished" for line in lines):
                started = True
                tasks.start_soon(trouble)
        code = await process.wait()
    return code, lines


def all_there(code: int | None, lines: list[dict[str, object]], count: int = COUNT) -> None:
    none = {"failed": 0, "cancelled": 0, "lost": 0, "incomplete": 0}
    assert lines[-1] == {"event": "summary", "jobs": count, "finished": count, **none}
    assert code == 0
    files = [Path(file) for line in lines if line["event"] == "finished" for file in line["files"]]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownArgumentType, reportUnknownVariableType]
    assert len(files) == count
    for file in files:
        with Image.open(file) as picture:
            picture.load()


async def freeze(line: Proxy) -> None:
    line.freeze()
    await anyio.sleep(2.5)
    line.thaw()


async def reset(line: Proxy) -> None:
    for _ in range(3):
        await line.reset()
        await anyio.sleep(0.5)


async def delay(line: Proxy) -> None:
    line.delay = 0.15
    await anyio.sleep(2.5)
    line.delay = 0.0


async def break_off(line: Proxy) -> None:
    for room in (0, 50, 400, 3_000):
        line.room = room
        await line.reset()
        await anyio.sleep(0.7)
    line.room = None


@pytest.mark.parametrize("trouble", [freeze, reset, delay, break_off], ids=lambda trouble: trouble.__name__)
@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_every_picture_comes_over_a_bad_line(
    backend: str, trouble: Callable[[Proxy], Coroutine[object, object, None]], tmp_path: Path
) -> None:
    with anyio.fail_after(180):
        async with simulator() as (_, port), proxy(port) as line:

            async def happen() -> None:
                await trouble(line)

            all_there(*await draw(backend, line.port, tmp_path, happen))


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_every_picture_comes_from_a_server_that_was_killed_under_fifty_jobs(backend: str, tmp_path: Path) -> None:
    with anyio.fail_after(180):
        async with simulator() as (process, port), anyio.create_task_group() as tasks:
            done = anyio.Event()

            async def live_again() -> None:
                async with simulator(port=port):
                    await done.wait()

            async def kill() -> None:
                os.kill(process.pid, signal.SIGKILL)
                await process.wait()
                await anyio.sleep(1)
                tasks.start_soon(live_again)

            all_there(*await draw(backend, port, tmp_path, kill, count=50), count=50)
            done.set()
