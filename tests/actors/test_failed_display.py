"""A job whose display fails: it is not lost, and the bot can still be drained."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from app.actors.handle import SHOWING
from app.actors.interaction import FAILURES, PATIENCE, InteractionActor
from app.events import AnyUpdate, Cancelled, Failed, Finished, Progressed
from app.journal.memory import MemoryJournal
from app.ports import ConnectionLost, NoPlace
from app.reasons.servers import HungUp
from app.simulator.engine.simulator import Simulator
from tests.conftest import inline, virtual
from tests.world import Watcher, delivered, house_for, world


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Broken(Watcher):
    """A display that fails the first `times` times that it is to show one of these."""

    def __init__(self, *kinds: type[AnyUpdate], times: int = 1_000_000) -> None:
        super().__init__()
        self._kinds = kinds
        self._left = times

    async def show(self, update: AnyUpdate) -> None:
        if isinstance(update, self._kinds) and self._left:
            self._left -= 1
            raise ZeroDivisionError
        await super().show(update)


class Away(Watcher):
    """A display that cannot be reached."""

    async def show(self, update: AnyUpdate) -> None:
        raise ConnectionLost(HungUp())


async def until(predicate: Callable[[], bool]) -> None:
    """Wait, in virtual time."""
    while not predicate():  # noqa: ASYNC110  the simulator says it to nobody
        await anyio.sleep(0.1)


class NoResults(Watcher):
    """A display that refuses results and takes all other updates."""

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0

    async def show(self, update: AnyUpdate) -> None:
        if isinstance(update, Finished):
            self.tries += 1
            raise ConnectionLost(HungUp())
        await super().show(update)


async def test_a_job_whose_result_cannot_be_posted_can_be_cancelled_and_its_user_reads_so_at_once(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as found:
        watcher, request = NoResults(), found.request()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(found.make, request, watcher)
            # By then the pauses between two attempts are a minute long.
            await until(lambda: watcher.tries == 10)
            await anyio.sleep(5)
            await found.registry.cancel(request.job)
            asked = anyio.current_time()
            await until(lambda: isinstance(watcher.last, Cancelled))
            assert anyio.current_time() - asked < 1
        await anyio.sleep(1)
        assert not await found.journal.unfinished()


class Unwelcome(Watcher):
    """A place that refuses results until `opens`, in the loop's clock."""

    def __init__(self, opens: float) -> None:
        super().__init__()
        self.tries: list[float] = []
        self._opens = opens

    async def show(self, update: AnyUpdate) -> None:
        if isinstance(update, Finished):
            self.tries.append(anyio.current_time())
            if self.tries[-1] < self._opens:
                raise NoPlace
        await super().show(update)


async def test_a_result_that_every_place_refuses_is_tried_again_with_growing_pauses(tmp_path: Path) -> None:
    async with world(tmp_path, longest=8 * 3600) as found:
        watcher = Unwelcome(anyio.current_time() + 6 * 3600)
        assert delivered(await found.make(watcher=watcher))
        pauses = [later - earlier for earlier, later in pairwise(watcher.tries)]
        assert pauses[0] <= 30
        assert max(pauses) > 1000
        assert len(pauses) < 20, "nobody has changed anything since the last attempt"
        await anyio.sleep(1)
        assert not await found.journal.unfinished()


async def test_a_result_that_every_place_refuses_for_a_day_is_only_kept(tmp_path: Path) -> None:
    async with world(tmp_path, longest=2 * PATIENCE) as found:
        began = anyio.current_time()
        await found.make(watcher=Unwelcome(float("inf")))
        assert PATIENCE <= anyio.current_time() - began < PATIENCE + 3700
        await anyio.sleep(1)
        assert not await found.journal.unfinished()


async def test_an_update_that_cannot_be_shown_does_not_cost_the_result(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        assert delivered(await found.make(watcher=Broken(Progressed)))
        await anyio.sleep(1)
        assert not await found.journal.unfinished()


async def test_a_last_word_that_fails_for_a_moment_is_shown(tmp_path: Path) -> None:
    async with world(tmp_path) as found:
        assert delivered(await found.make(watcher=Broken(Finished, times=FAILURES - 1)))
        await anyio.sleep(1)
        assert not await found.journal.unfinished()


async def test_a_result_that_fails_for_hours_is_shown_then_and_its_user_reads_meanwhile_that_something_went_wrong(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, longest=8 * 3600) as found:
        watcher, began = Broken(Finished, times=12), anyio.current_time()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(found.make, None, watcher)
            await until(lambda: bool(watcher.shown) and isinstance(watcher.last, Failed))
            assert anyio.current_time() - began < 60
        assert delivered(watcher)
        assert anyio.current_time() - began > 3600, "the pauses grow"
        await anyio.sleep(1)
        assert not await found.journal.unfinished()


async def test_a_last_word_that_cannot_be_shown_is_shown_by_the_next_life(tmp_path: Path) -> None:
    journal = MemoryJournal()
    simulator = Simulator(tmp_path / "server", run_sync=inline)
    with anyio.fail_after(600):
        async with anyio.create_task_group() as ground:
            await ground.start(simulator.run)
            async with house_for(simulator, tmp_path / "results", journal) as first:
                broken = Broken(Finished)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(first.make, None, broken)
                    await until(lambda: bool(broken.shown) and isinstance(broken.last, Failed))
                    tasks.cancel_scope.cancel()
                (job,) = await journal.unfinished()
            async with house_for(simulator, tmp_path / "results", journal) as second:
                whole = Watcher()
                await InteractionActor(job.id, second.registry, whole).run()
                assert delivered(whole)
                await anyio.sleep(1)
                assert not await journal.unfinished()
            ground.cancel_scope.cancel()


@pytest.mark.parametrize("kind", ["broken", "mute", "away"])
async def test_draining_ends_although_one_result_cannot_be_shown(tmp_path: Path, kind: str) -> None:
    async with world(tmp_path) as found, anyio.create_task_group() as tasks:
        watcher = {"broken": Broken(Finished), "mute": Broken(Finished, Failed), "away": Away()}[kind]
        whole = Watcher()
        await tasks.start(InteractionActor(found.request(), found.registry, watcher).run)
        await tasks.start(InteractionActor(found.request(), found.registry, whole).run)
        await until(lambda: bool(found.simulator.history))
        began = anyio.current_time()
        await found.registry.drain()
        assert anyio.current_time() - began < SHOWING + 60
        assert delivered(whole)
        assert len(await found.journal.unfinished()) == 1
        tasks.cancel_scope.cancel()


async def test_draining_waits_for_a_job_that_runs_as_long_as_that_takes(tmp_path: Path) -> None:
    async with world(tmp_path, step_time=30.0) as found, anyio.create_task_group() as tasks:
        watcher = Watcher()
        await tasks.start(InteractionActor(found.request(), found.registry, watcher).run)
        await until(lambda: found.simulator.running is not None)
        await found.registry.drain()
        assert delivered(watcher)
        tasks.cancel_scope.cancel()
