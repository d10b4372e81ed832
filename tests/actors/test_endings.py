"""Each job that ends is one line of the log and is counted once; neither says whose it is or what it shows."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from app.actors.interaction import InteractionActor
from app.events import Cancelled, Failed, Finished, JobId
from tests.conftest import virtual
from tests.world import HERE, PICTURE, Watcher, delivered, world


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


async def test_each_end_is_one_line_with_the_time_on_the_server(tmp_path: Path) -> None:
    with capture_logs() as lines:
        async with world(tmp_path, step_time=1.0) as running:
            request = replace(running.request(), owner="lovelace", values={"prompt": "a secret cat"})
            assert delivered(await running.make(request))
            broken = running.request({**PICTURE, "7": {"class_type": "NoSuchNode", "inputs": {}}})
            assert isinstance((await running.make(broken)).last, Failed)
            tally = running.work.tally
            assert tally.accepted == 2
            assert +tally.ended == {("finished", "test"): 1, ("failed", "test"): 1}
            assert tally.runs == {HERE: 1}
            assert tally.waits.count == 1
            assert tally.connections[HERE] == tally.catch_ups[HERE] == 1
    ends = [line for line in lines if line["event"] == "a job has ended"]
    assert [(line["job"], line["outcome"]) for line in ends] == [(request.job, "finished"), (broken.job, "failed")]
    assert ends[0]["server"] == HERE
    assert ends[0]["seconds"] == round(tally.run_seconds[HERE]["test"], 1) >= 10.0
    assert "lovelace" not in str(ends)
    assert "cat" not in str(ends)


async def test_a_result_that_is_cancelled_before_it_was_shown_has_ended_once(tmp_path: Path) -> None:
    async with world(tmp_path) as running:
        request = running.request()
        async with running.registry.submit(request) as updates:
            async for update in updates:
                if isinstance(update, Finished):
                    await running.registry.cancel(request.job)
                    break
        async with running.registry.watch(JobId(request.job)) as updates:
            assert isinstance(await anext(aiter(updates)), Cancelled)
        assert +running.work.tally.ended == {("finished", "test"): 1}


async def test_a_job_that_waits_is_read_while_it_waits(tmp_path: Path) -> None:
    async with world(tmp_path, step_time=10.0) as running, anyio.create_task_group() as tasks:
        for _ in range(4):
            await tasks.start(InteractionActor(running.request(), running.registry, Watcher()).run)
        await anyio.sleep(50.0)
        states = sorted(job.state.name for job in running.work.jobs.values())
        assert states == ["ACCEPTED", "ACCEPTED", "QUEUED", "RUNNING"]
        assert running.work.tally.longest_wait(anyio.current_time()) > 40.0
        tasks.cancel_scope.cancel()
