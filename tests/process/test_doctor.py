"""Two operators who look at the same bot at the same moment."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import pytest

from app.core.jobs.job import Job, JobRequest
from app.events import JobId
from app.journal.opening import JOURNAL, instance_lock, open_store
from tests.discord.fake import FakeDiscord
from tests.discord.flows import FOLDER, STARTERS
from tests.process.bot import comfyui, environment
from tests.process.launcher import PROGRAM, forking


@pytest.fixture
def anyio_backend() -> str:
    """The test's own loop; the programs choose theirs."""
    return "asyncio"


async def test_two_doctors_at_once_beside_a_bot_both_find_all_well_and_change_nothing(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    for name in STARTERS:
        shutil.copytree(FOLDER / name, tmp_path / "workflows" / name)
    (tmp_path / "atelier.toml").write_text("included_workflows = false\n")
    job = Job(request=JobRequest(job=JobId("a"), workflow="txt2img", graph={}, folder="out"))
    ended: list[CompletedProcess[bytes]] = []
    async with comfyui(tmp_path) as (_, address):

        async def examine() -> None:
            command = [*PROGRAM, "doctor"]
            env = environment(discord, tmp_path, address)
            ended.append(await anyio.run_process(command, cwd=tmp_path, env=env, check=False))

        with instance_lock(data / JOURNAL), open_store(data / JOURNAL, clock=lambda: 1.0) as store:
            store.write([([job], [])])
            before = {path.name for path in data.iterdir()}
            with forking():
                async with anyio.create_task_group() as doctors:
                    doctors.start_soon(examine)
                    doctors.start_soon(examine)
            assert {path.name for path in data.iterdir()} == before
    for one in ended:
        assert (one.returncode, one.stderr) == (0, b""), one
        assert b"1 jobs, of which 1 are unfinished" in one.stdout
    first, second = (re.sub(rb"[0-9.]+\s+(ms|GB|GiB)|\s+", b"", one.stdout) for one in ended)
    assert first == second
