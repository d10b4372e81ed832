"""`generate` with a server that hangs, and with a reader that does not read: real processes."""

from __future__ import annotations

import fcntl
import json
import os
import signal

import anyio
import httpx
import pytest
from anyio.streams.text import TextReceiveStream

from tests.process.test_bad_lines import running, simulator

PIPE = 4096
"""Bytes that the pipe holds, which is the least that Linux allows: one job alone writes more."""


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the program's is a parameter."""
    return "asyncio"


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_a_timeout_under_a_hanging_server_says_that_it_may_go_on_there(backend: str) -> None:
    with anyio.fail_after(180):
        async with simulator() as (server, port):
            words = ("generate", "txt2img", "prompt=x", "--json", "--timeout", "4", "--backend", backend)
            async with running(*words, "--server", f"http://127.0.0.1:{port}", "--set", "Sampler.steps=150") as process:
                assert process.stdout is not None
                output = ""
                async for piece in TextReceiveStream(process.stdout):
                    output += piece
                    if '"started"' in piece:
                        os.kill(server.pid, signal.SIGSTOP)
                code = await process.wait()
            os.kill(server.pid, signal.SIGCONT)
    *_, last, summary = [json.loads(line) for line in output.splitlines()]
    assert last["event"] == "cancelled"
    assert last["reason"].endswith("The server did not confirm it, and may still run it.")
    assert last["reason_kind"] == "CancelUnconfirmed"
    assert summary["cancelled"] == 1
    assert code == 1


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
async def test_a_reader_who_does_not_read_holds_up_no_job(backend: str) -> None:
    count = 5
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE)
    with anyio.fail_after(180):
        async with (
            simulator("--steps", "60", "--step-time", "0.001") as (_, port),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as server,
        ):
            words = (
                "generate",
                "txt2img",
                "prompt=x",
                "width=128",
                "height=128",
                "--json",
                "--count",
                str(count),
                "--backend",
                backend,
            )
            async with running(*words, "--server", f"http://127.0.0.1:{port}", stdout=writer) as process:
                os.close(writer)
                while len((await server.get("/history")).json()) < count:  # noqa: ASYNC110  the server is the one to ask
                    await anyio.sleep(0.5)
                async with await anyio.open_file(reader, encoding="utf-8") as output:
                    content = await output.read()
                assert await process.wait() == 0
    assert len(content) > PIPE
    assert json.loads(content.splitlines()[-1])["finished"] == count


async def test_generate_asks_for_no_previews_because_nobody_sees_them() -> None:
    with anyio.fail_after(180):
        async with (
            simulator("--steps", "8", "--step-time", "0.001", "--previews") as (_, port),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as server,
        ):
            words = ("generate", "txt2img", "prompt=x", "width=64", "height=64", "--json")
            async with running(*words, "--server", f"http://127.0.0.1:{port}") as process:
                assert process.stdout is not None
                output = "".join([piece async for piece in TextReceiveStream(process.stdout)])
                assert await process.wait() == 0
            (entry,) = (await server.get("/history")).json().values()
    assert entry["prompt"][3]["preview_method"] == "none"
    events = {json.loads(line)["event"] for line in output.splitlines()}
    assert "finished" in events
    assert "previewed" not in events
