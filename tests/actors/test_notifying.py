"""The owner of a job is notified once its result is shown, and before the journal says that it was."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from app.actors.interaction import FAILURES, NOTIFYING, InteractionActor
from app.events import Finished, TerminalUpdate
from app.ports import ConnectionLost
from app.reasons.servers import HungUp
from tests.conftest import virtual
from tests.world import Watcher, World, delivered, world


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Owner:
    """Somebody to be notified, who cannot be reached the first times: these are the errors."""

    def __init__(self, world: World, errors: list[Exception]) -> None:
        self._world = world
        self._errors = errors
        self.notified: list[TerminalUpdate] = []
        self.tries = 0
        self.unfinished = 0

    async def notify(self, update: TerminalUpdate) -> None:
        await anyio.lowlevel.checkpoint()
        self.tries += 1
        self.unfinished = len(await self._world.journal.unfinished())
        if self._errors:
            raise self._errors.pop(0)
        self.notified.append(update)


async def make(found: World, owner: Owner) -> Watcher:
    watcher = Watcher()
    await InteractionActor(found.request(), found.registry, watcher, notify=owner.notify).run()
    await anyio.sleep(1)
    return watcher


async def test_it_comes_after_the_result_and_before_the_journal_says_that_it_was_shown(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        owner = Owner(found, [])
        watcher = await make(found, owner)
        assert delivered(watcher)
        assert owner.notified == [watcher.last]
        assert owner.unfinished == 1
        assert not await found.journal.unfinished()


async def test_it_is_tried_again_while_nobody_can_be_reached_and_the_result_is_shown_once(tmp_path: Path) -> None:
    async with world(tmp_path, longest=3600) as found:
        owner = Owner(found, [ConnectionLost(HungUp())] * 10)
        watcher = await make(found, owner)
        assert (owner.tries, len(owner.notified)) == (11, 1)
        assert len([update for update in watcher.shown if isinstance(update, Finished)]) == 1


async def test_it_is_given_up_after_some_hours_or_some_unexpected_failures(tmp_path: Path) -> None:
    async with world(tmp_path, longest=2 * NOTIFYING) as found:
        for errors in ([ConnectionLost(HungUp())] * 10_000, [ZeroDivisionError()] * 10_000):
            owner = Owner(found, [*errors])
            assert delivered(await make(found, owner))
            assert not owner.notified
            assert not await found.journal.unfinished()
        assert owner.tries == FAILURES
