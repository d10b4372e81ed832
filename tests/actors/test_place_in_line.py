"""How often an interaction asks where its job is in line, in virtual time."""

from __future__ import annotations

import anyio
import pytest

from app.actors.handle import Command, Refresh, Registry, Submit, Updates
from app.actors.interaction import InteractionActor
from app.core.jobs.job import JobRequest
from app.core.reconciler import Message
from app.events import AnyUpdate, Edited, Finished, JobId, Queued, ServerName, Started
from app.reasons.jobs import ServersOffline
from tests.conftest import virtual
from tests.world import Watcher

HERE, JOB = ServerName("here"), JobId("job")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


async def asked_at(*told: AnyUpdate, seconds: float = 100.0) -> list[float]:
    """When an interaction asks for its place in line, after these updates, in so many seconds."""
    outbox, inbox = anyio.create_memory_object_stream[Command | Message](100)
    request = JobRequest(job=JOB, workflow="w", graph={}, folder="out")
    times: list[float] = []
    updates: Updates | None = None
    async with outbox, inbox, anyio.create_task_group() as tasks:
        tasks.start_soon(InteractionActor(request, Registry(outbox), Watcher()).run)
        began = anyio.current_time()
        with anyio.move_on_after(seconds):
            async for message in inbox:
                match message:
                    case Submit():
                        updates = message.updates
                        for update in told:
                            updates.put(update)
                            await anyio.wait_all_tasks_blocked()
                    case Refresh(job=job):
                        assert job == JOB
                        times.append(anyio.current_time() - began)
                    case _:
                        pass
        assert updates is not None
        updates.put(Finished(job=JOB, server=HERE, files=(), texts=(), notes=(), seed=None))
    return times


def queued(starts_in: float | None) -> Queued:
    return Queued(job=JOB, position=50, starts_in=starts_in)


@pytest.mark.parametrize(
    ("starts_in", "times"),
    [
        (None, [2.0, 6.0, 14.0, 30.0, 60.0, 90.0]),
        (4.0, [2.0, 6.0, 14.0, 30.0, 60.0, 90.0]),
        (20.0, [10.0, 30.0, 60.0, 90.0]),
        (600.0, [30.0, 60.0, 90.0]),
    ],
    ids=["unknown", "soon", "in a while", "late"],
)
async def test_a_place_in_line_is_asked_for_after_half_of_the_wait(starts_in: float | None, times: list[float]) -> None:
    assert await asked_at(queued(starts_in)) == pytest.approx(times, abs=0.5)


async def test_an_edit_does_not_change_how_often_a_place_in_line_is_asked_for() -> None:
    edited = Edited(job=JOB, values={}, seed=None, pictures=1)
    assert await asked_at(queued(20.0), edited) == pytest.approx([10.0, 30.0, 60.0, 90.0], abs=0.5)


@pytest.mark.parametrize(
    "update",
    [Started(job=JOB, server=HERE), Queued(job=JOB, position=1, note=ServersOffline((HERE,)))],
    ids=["runs", "no server"],
)
async def test_a_job_that_is_not_in_line_is_not_asked_for_its_place(update: AnyUpdate) -> None:
    assert await asked_at(queued(20.0), update) == []
