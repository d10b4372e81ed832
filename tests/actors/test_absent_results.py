"""Results that are on the disk of another front, or were deleted, before anybody saw them."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from msgspec.structs import replace

from app.actors.interaction import InteractionActor
from app.core.jobs.job import JobRequest
from app.core.journal_port import Journal
from app.events import Arrived, Finished, ServerName, TerminalUpdate
from app.journal.memory import MemoryJournal
from app.ports import OtherDisks
from app.simulator.engine.simulator import Simulator
from tests.actors.test_batches import made_by, pictures, request_for, running, simulators
from tests.conftest import virtual
from tests.elsewhere import Elsewhere
from tests.world import Watcher, on_disk


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


def streaming(folder: Path) -> JobRequest:
    """A request for one picture, which comes over the websocket."""
    request = request_for(1, folder)
    node = {"class_type": "SaveImageWebsocket", "inputs": {"images": ["6", 0]}}
    return replace(request, batch=None, graph={**request.graph, "7": node})


async def ended_unseen(
    servers: dict[ServerName, Simulator], journal: Journal, request: JobRequest, arrived: int = 0
) -> None:
    """A life of the program that ends before anybody has seen the result, or so many pictures of it."""
    async with running(servers, journal) as registry, registry.submit(request, "place") as updates:
        async for update in updates:
            if isinstance(update, Finished) or (arrived and isinstance(update, Arrived)):
                break


async def seen(
    servers: dict[ServerName, Simulator], journal: Journal, request: JobRequest, others: OtherDisks | None = None
) -> TerminalUpdate:
    """What is shown by the next life."""
    async with running(servers, journal, others) as registry:
        watcher = Watcher()
        await InteractionActor(request.job, registry, watcher).run()
        with anyio.fail_after(60):
            while await journal.unfinished():
                await anyio.lowlevel.checkpoint()
    assert isinstance(watcher.last, TerminalUpdate)
    return watcher.last


def contents(folder: Path) -> dict[str, bytes]:
    """What is in each file, by its path."""
    return {str(path): path.read_bytes() for path in folder.iterdir()}


def lose(folder: Path) -> None:
    """Delete all results, as if they were on the disk of another front."""
    files = list(folder.iterdir())
    assert files
    for file in files:
        file.unlink()


@pytest.mark.parametrize(("size", "arrived"), [(1, 0), (3, 0), (3, 1)])
async def test_results_that_are_not_here_are_fetched_again_before_they_are_shown(
    tmp_path: Path, size: int, arrived: int
) -> None:
    async with simulators(tmp_path) as servers:
        journal, request = MemoryJournal(), request_for(size, tmp_path / "results")
        await ended_unseen(servers, journal, request, arrived)
        lose(tmp_path / "results")
        last = await seen(servers, journal, request)
        assert isinstance(last, Finished)
        assert (on_disk(last), len(pictures(last)), last.notes) == (True, size, ())
        assert sum(made_by(servers)) == size, "nothing was made twice"


async def test_a_result_that_disappears_before_its_run_has_ended_is_fetched_again(tmp_path: Path) -> None:
    async with simulators(tmp_path) as servers:
        for server in servers.values():
            server.faults.history_gap = 60.0
        journal, request = MemoryJournal(), request_for(1, tmp_path / "results")
        async with running(servers, journal) as registry, registry.submit(request, "place"):
            await anyio.sleep(30)
            (job,) = await journal.unfinished()
            assert (job.history, len(job.paths)) == (None, 1), "its file is here before its end is known"
        lose(tmp_path / "results")
        last = await seen(servers, journal, request)
        assert isinstance(last, Finished)
        assert (on_disk(last), last.notes) == (True, ())
        assert sum(made_by(servers)) == 1


async def test_a_result_that_another_disk_has_is_neither_made_nor_fetched_again(tmp_path: Path) -> None:
    async with simulators(tmp_path) as servers:
        journal, request = MemoryJournal(), streaming(tmp_path / "results")
        await ended_unseen(servers, journal, request)
        others = Elsewhere(contents(tmp_path / "results"))
        lose(tmp_path / "results")
        last = await seen(servers, journal, request, others)
        assert isinstance(last, Finished)
        assert contents(tmp_path / "results") == others.has
        assert sum(made_by(servers)) == 1


async def test_only_the_missing_picture_of_several_is_fetched_again(tmp_path: Path) -> None:
    async with simulators(tmp_path) as servers:
        journal, request = MemoryJournal(), request_for(3, tmp_path / "results")
        await ended_unseen(servers, journal, request)
        first, *others = sorted((tmp_path / "results").iterdir())
        first.unlink()
        last = await seen(servers, journal, request)
        assert isinstance(last, Finished)
        assert (on_disk(last), len(pictures(last))) == (True, 3)
        assert {str(file) for file in others} < set(last.files)


async def test_a_picture_from_the_websocket_that_is_not_here_is_made_again_once(tmp_path: Path) -> None:
    async with simulators(tmp_path) as servers:
        journal, request = MemoryJournal(), streaming(tmp_path / "results")
        await ended_unseen(servers, journal, request)
        for runs in (2, 2):
            lose(tmp_path / "results")
            await ended_again(servers, journal, request)
            assert sum(made_by(servers)) == runs


async def ended_again(servers: dict[ServerName, Simulator], journal: Journal, request: JobRequest) -> None:
    """A later life that ends before anybody has seen the result."""
    async with running(servers, journal) as registry, registry.watch(request.job) as updates:
        async for update in updates:
            if isinstance(update, Finished):
                break


async def test_what_somebody_has_seen_is_not_fetched_again(tmp_path: Path) -> None:
    async with simulators(tmp_path) as servers:
        journal, request = MemoryJournal(), request_for(1, tmp_path / "results")
        async with running(servers, journal) as registry:
            await InteractionActor(request, registry, Watcher()).run()
        lose(tmp_path / "results")
        async with running(servers, journal):
            await anyio.sleep(60)
        assert not list((tmp_path / "results").iterdir())
