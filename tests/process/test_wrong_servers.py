"""The program between a good server and one that is wrong, or gone for good; and on a disk without room."""

from __future__ import annotations

import gzip
import os
import shlex
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import cast

import anyio
import msgspec
import pytest
from anyio.streams.text import TextReceiveStream
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.ports import Json
from app.simulator.engine.simulator import Simulator
from app.simulator.http import application
from tests.process.launcher import PROGRAM, ROOT, forking
from tests.process.test_bad_lines import simulator

JSON = "application/json"

DEEP = b"[" * 100_000


def endless() -> Response:
    """A body of which far more comes than is read; the server does not notice that nobody reads it."""

    async def zeros() -> AsyncGenerator[bytes]:
        for _ in range(1000):
            yield bytes(65536)
            await anyio.sleep(0.01)

    return StreamingResponse(zeros())


def broken_off() -> Response:
    """A body that ends before its length."""
    return Response(b"\x89PNG", headers={"content-length": "1000"})


def packed() -> Response:
    """A body that is a thousand times larger than it seems."""
    return Response(bomb(), media_type=JSON, headers={"content-encoding": "gzip"})


@cache
def bomb() -> bytes:
    """Two hundred MiB of blanks; packed once, and only where it is sent."""
    return gzip.compress(b" " * (200 * 2**20), 1)


WRONG: dict[str, tuple[str, tuple[Callable[[], Response], ...]]] = {
    "the queue is too deep": ("/queue", (lambda: Response(DEEP, media_type=JSON),)),
    "no history can be read": (
        "/history",
        (
            lambda: Response("Internal Server Error", 500),
            lambda: Response(b'{"x":{"outputs":[7]}}', media_type=JSON),
            lambda: Response(b'{"x":{"outputs":' + DEEP, media_type=JSON),
            lambda: Response(b'{"x":{"status":{"messages":[["execution_error",{"node_id":7}]]}}}', media_type=JSON),
            lambda: Response(b'{"\xff\xfe": "\xc3"}', media_type=JSON),
            packed,
        ),
    ),
    "no file can be fetched": (
        "/view",
        (broken_off, lambda: RedirectResponse("http://127.0.0.1:9/secret.png"), lambda: Response("", 500), endless),
    ),
    "no node can be described": ("/object_info", (lambda: Response(b"<html>502</html>", 502), packed)),
}
"""The path, and what is answered in turn to requests for it."""


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the program's is a parameter where it matters."""
    return "asyncio"


class Hostile:
    """A ComfyUI that answers everything correctly except for one path."""

    def __init__(self, inner: Starlette, wrong: str) -> None:
        self._inner = inner
        self._path, answers = WRONG[wrong]
        self._answers = cycle(answers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(self._path):
            await next(self._answers)()(scope, receive, send)
        else:
            await self._inner(scope, receive, send)


@asynccontextmanager
async def hostile(folder: Path, wrong: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[int]:
    """Such a server on a real port."""
    original = application.application
    monkeypatch.setattr(application, "application", lambda server: Hostile(original(server), wrong))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    async with anyio.create_task_group() as ground:
        port = await ground.start(application.serve, Simulator(folder, steps=2, step_time=0.02), "127.0.0.1", 0)
        yield port
        ground.cancel_scope.cancel()


def settings(folder: Path, *ports: int) -> dict[str, str]:
    """An environment with these servers, in this order, which are given up soon."""
    servers = "".join(f'[[servers]]\nname = "{port}"\nurl = "http://127.0.0.1:{port}"\n' for port in ports)
    path = folder / "atelier.toml"
    path.write_text(f"failover_after = 5\nlargest_result = 1000000\n{servers}")
    workflows = str(ROOT / "workflows")
    return {"PYTHONPATH": str(ROOT), "PATH": "", "ATELIER_WORKFLOWS": workflows, "ATELIER_CONFIG": str(path)}


async def draw(
    folder: Path, count: int, *ports: int, kill: int = 0, largest: int = 0, backend: str = "trio"
) -> tuple[int | None, list[dict[str, Json]]]:
    """Have pictures made, and kill a process once the first is there; return the exit code and the lines of --json.

    `largest` is the largest file that the program may write, in bytes.
    """
    words = ("generate", "txt2img", "prompt=x", "width=64", "height=64", "--count", str(count), "--json")
    command = [*PROGRAM, *words, "--out", str(folder), "--backend", backend]
    lines: list[dict[str, Json]] = []
    if largest:
        command = ["/bin/sh", "-c", f"ulimit -f {largest // 512}; exec {shlex.join(command)}"]
    with forking():
        opening = await anyio.open_process(command, cwd=ROOT, env=settings(folder, *ports))
    async with opening as process:
        assert process.stdout is not None
        unfinished_line = ""
        async for piece in TextReceiveStream(process.stdout):
            *whole, unfinished_line = (unfinished_line + piece).split("\n")
            lines += [msgspec.json.decode(line) for line in whole]
            if kill and any(line["event"] == "finished" for line in lines):
                os.kill(kill, signal.SIGKILL)
                kill = 0
        return await process.wait(), lines


def ends(lines: list[dict[str, Json]]) -> list[str]:
    """How each job ended."""
    return [str(line["event"]) for line in lines if line["event"] in {"finished", "failed", "cancelled", "lost"}]


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_wrong_with_one_server_costs_its_own_jobs_at_most(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with anyio.fail_after(180):
        async with simulator() as (_, good), hostile(tmp_path / "server", wrong, monkeypatch) as bad:
            code, lines = await draw(tmp_path, 8, bad, good)
    ended = ends(lines)
    assert len(ended) == 8
    assert ended.count("finished") >= 6, "all that the good server made arrived"
    reported = [line for line in lines if line.get("notes") or line["event"] in {"failed", "lost"}]
    # No job is sent to a server whose queue cannot be read. Which nodes are asked for depends on who is first.
    if wrong != "no node can be described":
        assert bool(reported) != (wrong == "the queue is too deep"), "what did not arrive is reported"
    # What a server announced through the websocket arrives although its history cannot be read.
    incomplete = wrong == "no file can be fetched" or ended.count("finished") < 8
    assert code == (1 if incomplete else 0)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_jobs_of_a_server_that_is_gone_for_good_are_made_by_the_other(backend: str, tmp_path: Path) -> None:
    with anyio.fail_after(180):
        async with simulator() as (doomed, first), simulator() as (_, second):
            code, lines = await draw(tmp_path, 50, first, second, kill=doomed.pid, backend=backend)
    assert ends(lines) == ["finished"] * 50
    assert code == 0
    files = {str(file) for line in lines if line["event"] == "finished" for file in cast("list[str]", line["files"])}
    assert len(files) == 50
    there = [path async for path in anyio.Path(tmp_path).rglob("*.*")]
    assert files <= {str(path) for path in there}
    assert not [path for path in there if path.suffix == ".part"]


async def test_a_result_for_which_there_is_no_room_is_named_and_is_no_success(tmp_path: Path) -> None:
    """As on a full disk: no file of the program may have more than 1,000 bytes."""
    with anyio.fail_after(120):
        async with simulator() as (_, port):
            code, lines = await draw(tmp_path, 1, port, largest=1_000)
    assert ends(lines) == ["finished"]
    (note,) = cast("list[str]", lines[-2]["notes"])
    assert "could not be saved" in note
    assert ".png" in note
    assert code == 1
    assert lines[-1]["incomplete"] == 1
    assert not [path async for path in anyio.Path(tmp_path).rglob("*.part")]
