"""The running bot carries out the requests that an operator leaves in the journal."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from app.actors.handle import Cancel, Command, DrainServers, Registry, SetPower
from app.actors.interaction import InteractionActor
from app.actors.operator import OperatorActor
from app.core.jobs.job import Job, JobRequest
from app.core.reconciler import Message
from app.events import Cancelled, Finished, JobId, Queued, ServerName
from app.journal.opening import open_store
from app.journal.sqlite import open_journal
from app.reasons.jobs import ServersDrained
from app.simulator.engine.simulator import Simulator
from tests.conftest import inline, virtual
from tests.world import HERE, Watcher, World, delivered, house_for


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


async def test_an_operator_cancels_one_job_and_has_another_made_again(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    retried: list[Job] = []

    async def retry(job: Job) -> None:
        await anyio.lowlevel.checkpoint()
        retried.append(job)

    simulator = Simulator(tmp_path / "server", run_sync=inline)
    with anyio.fail_after(600):
        async with anyio.create_task_group() as ground, open_journal(path, run_sync=inline) as journal:
            await ground.start(simulator.run)
            async with house_for(simulator, tmp_path / "results", journal, depth=1) as found:
                ground.start_soon(OperatorActor(journal, found.registry, retry).run)
                done, dropped = Watcher(), Watcher()
                finished = found.request()
                await InteractionActor(finished, found.registry, done).run()
                async with anyio.create_task_group() as tasks:
                    await tasks.start(InteractionActor(found.request(), found.registry, Watcher()).run)
                    waiting = found.request()
                    await tasks.start(InteractionActor(waiting, found.registry, dropped).run)
                    with open_store(path, clock=lambda: 0.0) as operator:
                        operator.add_request("cancel", waiting.job)
                        operator.add_request("retry", finished.job)
                assert isinstance(dropped.last, Cancelled)
                await anyio.sleep(2)
                assert [job.id for job in retried] == [finished.job]
                assert not await journal.requests()
            ground.cancel_scope.cancel()


async def test_a_request_that_gets_the_number_of_the_one_before_is_carried_out(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    inbox, commands = anyio.create_memory_object_stream[Command | Message](3)

    async def retry(job: Job) -> None:
        raise AssertionError(job)

    async with inbox, commands, anyio.create_task_group() as tasks, open_journal(path, run_sync=inline) as journal:
        tasks.start_soon(OperatorActor(journal, Registry(inbox), retry).run)
        with open_store(path, clock=lambda: 0.0) as operator:
            for job in (JobId("first"), JobId("second")):
                operator.add_request("cancel", job)
                asked = await journal.requests()
                with anyio.fail_after(60):
                    while await journal.requests():  # noqa: ASYNC110  another process would look like this as well
                        await anyio.sleep(0.1)
                assert [request.number for request in asked] == [1]
        sent = [commands.receive_nowait() for _ in range(3)]
        cancels = [command for command in sent if not isinstance(command, DrainServers)]
        assert cancels == [Cancel(JobId("first")), Cancel(JobId("second"))]
        tasks.cancel_scope.cancel()


async def test_a_request_to_start_or_stop_a_server_reaches_the_registry(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    inbox, commands = anyio.create_memory_object_stream[Command | Message](3)

    async def retry(job: Job) -> None:
        raise AssertionError(job)

    async with inbox, commands, anyio.create_task_group() as tasks, open_journal(path, run_sync=inline) as journal:
        tasks.start_soon(OperatorActor(journal, Registry(inbox), retry).run)
        with open_store(path, clock=lambda: 0.0) as operator:
            operator.add_request("start", "cloud")
            operator.add_request("stop", "cloud")
        sent = [await commands.receive() for _ in range(3)]
        assert sent[1:] == [SetPower(ServerName("cloud"), on=True), SetPower(ServerName("cloud"), on=False)]
        tasks.cancel_scope.cancel()


async def test_a_server_that_is_drained_stays_drained_over_a_restart_until_it_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"

    async def retry(job: Job) -> None:
        raise AssertionError(job)

    simulator = Simulator(tmp_path / "server", run_sync=inline)
    running, waiting, request = Watcher(), Watcher(), list[JobRequest]()

    def order(*, drained: bool) -> None:
        with open_store(path, clock=lambda: 0.0) as operator:
            operator.drain(HERE, "ada", drained=drained)

    @asynccontextmanager
    async def bot() -> AsyncGenerator[World]:
        """One life of the bot."""
        async with (
            open_journal(path, run_sync=inline) as journal,
            house_for(simulator, tmp_path / "results", journal, depth=1) as found,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(OperatorActor(journal, found.registry, retry).run)
            yield found
            tasks.cancel_scope.cancel()

    with anyio.fail_after(600):
        async with anyio.create_task_group() as ground:
            await ground.start(simulator.run)
            async with bot() as found, anyio.create_task_group() as people:
                found.fault(hold=True)
                await people.start(InteractionActor(found.request(), found.registry, running).run)
                request.append(found.request())
                await anyio.sleep(2)
                order(drained=True)
                await anyio.sleep(2)
                found.fault(hold=False)
                await people.start(InteractionActor(request[0], found.registry, waiting).run)
                await anyio.sleep(60)
                people.cancel_scope.cancel()
            assert delivered(running), "what it has runs to its end"
            assert isinstance(waiting.last, Queued)
            assert waiting.last.note == ServersDrained((HERE,))
            async with bot() as found, found.registry.watch(request[0].job) as updates:
                await anyio.sleep(60)
                assert len(simulator.ended_at) == 1
                order(drained=False)
                await anyio.sleep(60)
                assert len(simulator.ended_at) == 2
                assert isinstance(updates.drain()[-1], Finished)
            ground.cancel_scope.cancel()
