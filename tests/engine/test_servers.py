"""`servers list`, `servers drain` and `jobs stuck` with servers of workers."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio import to_thread
from rich.console import Console

from app.cli.arguments.commands import DrainServer, JournalCommand, ListServers, ListStuckJobs, ResumeServer
from app.cli.journal.execute import execute
from app.config.engine import EngineSettings
from app.config.load import load_config
from app.core.jobs.job import Attempt, Job, JobRequest, State
from app.engine.registrations import LEASE
from app.engine.worker.session import work
from app.events import JobId, PromptId, ServerName
from app.journal.opening import open_store
from app.ports import Json
from app.simulator.engine.simulator import Simulator
from tests.engine.world import pair, simulated, worker_settings

CONSOLE = Console(width=200)


@pytest.fixture
def anyio_backend() -> str:
    """The command runs in a loop of its own."""
    return "asyncio"


def job(name: str, server: str) -> Job:
    request = JobRequest(job=JobId(name), workflow="txt2img", graph={}, folder="out")
    return Job(request=request, attempt=Attempt(PromptId(name), ServerName(server)), state=State.QUEUED)


@asynccontextmanager
async def attic(database: EngineSettings, folder: Path) -> AsyncGenerator[None]:
    """A worker with a simulator."""
    simulator = Simulator(folder / "comfyui", step_time=0.0)
    async with anyio.create_task_group() as ground:
        await ground.start(simulator.run)
        async with pair(database, folder) as both:
            both.tasks.start_soon(work, both.worker, worker_settings(folder / "worker"), simulated(simulator))
            await both.known()
            yield
        ground.cancel_scope.cancel()


async def run(command: JournalCommand, engine: str, folder: Path) -> int:
    config = load_config({"ATELIER_DATA": str(folder)}, folder, engine=engine)
    return await to_thread.run_sync(partial(execute, command, config, CONSOLE, "trio"))


async def test_the_servers_of_workers_are_in_the_list_and_can_be_drained(
    database: EngineSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_store(tmp_path / "atelier.db", clock=lambda: 0.0) as store:
        store.write([([job("aaaaaaaa-1", "attic"), job("bbbbbbbb-2", "cellar/gpu2")], [])])

    async def listed() -> list[dict[str, Json]]:
        capsys.readouterr()
        assert await run(ListServers(json=True), database.address, tmp_path) == 0
        output, errors = capsys.readouterr()
        assert errors == ""
        return [msgspec.json.decode(line, type=dict[str, Json]) for line in output.splitlines() if "{" in line]

    async with attic(database, tmp_path):
        here, gone = await listed()
        assert (here["server"], here["state"], here["answers"], here["worker"]) == ("attic", "ready", True, "attic")
        assert here["waiting"] == ["aaaaaaaa-1"]
        assert isinstance(here["last_sign_seconds"], float)
        assert 0 <= here["last_sign_seconds"] < LEASE
        assert (gone["server"], gone["state"], gone["worker"]) == ("cellar/gpu2", "offline", None)
        assert await run(ListServers(), database.address, tmp_path) == 0
        assert re.search(r"attic +ready +1 +attic +[0-9.]+ s ago", capsys.readouterr().out)

        for server in ("attic", "cellar/gpu2"):
            assert await run(DrainServer(ServerName(server)), database.address, tmp_path) == 0
        assert [server["state"] for server in await listed()] == ["drained", "drained, offline"]
        assert await run(DrainServer(ServerName("atic")), database.address, tmp_path) == 1
        assert "did you mean “attic”?" in capsys.readouterr().err
        assert await run(ResumeServer(ServerName("attic")), database.address, tmp_path) == 0

        assert await run(ListStuckJobs(json=True), database.address, tmp_path) == 0
        output = capsys.readouterr().out
        assert "bbbbbbbb-2" in output
        assert "aaaaaaaa-1" not in output
    assert [server["state"] for server in await listed()] == ["offline", "drained, offline"]


async def test_without_the_engine_the_other_servers_are_listed_and_one_sentence_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(ListServers(json=True), "valkey://127.0.0.1:9", tmp_path) == 0
    errors = capsys.readouterr().err
    assert errors.startswith("atelier: The engine valkey://127.0.0.1:9/0 cannot be reached (")
    assert errors.endswith("look whether it runs. Servers of workers are missing here.\n")
    assert errors.count("\n") == 1
