"""What one interaction asks of the registry, and when it shows an end again."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from app.actors.handle import Command, Refresh, Registry, Updates, Watch
from app.actors.interaction import FAILURES, FAR_BACK, NEXT_IN_LINE, InteractionActor
from app.core.reconciler import Message
from app.events import AnyUpdate, Edited, Failed, Finished, JobId, Queued, ServerName, Started
from tests.conftest import virtual
from tests.world import Watcher

JOB = JobId("job")
HERE = ServerName("studio")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Inbox:
    """The registry's inbox, in which a test reads what is asked for."""

    def __init__(self) -> None:
        self._sender, self._receiver = anyio.create_memory_object_stream[Command | Message](100)
        self.registry = Registry(self._sender)

    async def __aenter__(self) -> Inbox:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sender.close()
        self._receiver.close()

    async def watched(self) -> Updates:
        """The updates of the job that is followed next."""
        command = await self._receiver.receive()
        assert isinstance(command, Watch)
        return command.updates

    async def asked_within(self, seconds: float) -> bool:
        """Whether a place in line is asked for within so many seconds."""
        with anyio.move_on_after(seconds):
            return await self._receiver.receive() == Refresh(JOB)
        return False


async def test_a_job_in_line_is_asked_for_its_place_also_after_an_edit_and_until_it_starts() -> None:
    async with Inbox() as inbox, anyio.create_task_group() as tasks:
        tasks.start_soon(InteractionActor(JOB, inbox.registry, Watcher()).run)
        updates = await inbox.watched()
        updates.put(Queued(job=JOB, position=3))
        assert not await inbox.asked_within(NEXT_IN_LINE - 0.1)
        assert await inbox.asked_within(0.2)
        updates.put(Edited(job=JOB, values={"prompt": "a dog"}))
        assert await inbox.asked_within(NEXT_IN_LINE + 0.1)
        updates.put(Started(job=JOB, server=HERE))
        assert not await inbox.asked_within(10 * FAR_BACK)
        tasks.cancel_scope.cancel()


class Failing(Watcher):
    """A display that cannot show a result, and says when it was tried."""

    def __init__(self) -> None:
        super().__init__()
        self.tries: list[float] = []

    async def show(self, update: AnyUpdate) -> None:
        if isinstance(update, Finished):
            self.tries.append(anyio.current_time())
            raise ZeroDivisionError
        await super().show(update)


async def test_a_result_that_fails_unexpectedly_is_tried_soon_again_until_its_user_is_told() -> None:
    def soon() -> Iterator[float]:
        while True:
            yield 1.0

    watcher = Failing()
    async with Inbox() as inbox, anyio.create_task_group() as tasks:
        tasks.start_soon(InteractionActor(JOB, inbox.registry, watcher, pauses=soon).run)
        (await inbox.watched()).put(Finished(HERE, (), job=JOB))
        await anyio.sleep(FAILURES - 0.5)
        assert len(watcher.tries) == FAILURES
        assert isinstance(watcher.last, Failed)
        await anyio.sleep(10)
        assert len(watcher.tries) == FAILURES, "from now on, somebody has to change something first"
        await anyio.sleep(30)
        assert len(watcher.tries) > FAILURES
        tasks.cancel_scope.cancel()
