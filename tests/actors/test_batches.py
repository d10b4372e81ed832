"""Two servers share the pictures of one request, also over a restart."""

from __future__ import annotations

import copy
import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest
from PIL import Image

from app.actors.handle import Registry
from app.actors.interaction import InteractionActor
from app.actors.registry import new_prompt_id
from app.application import ServerClients, open_services
from app.comfy.client import open_comfy_client
from app.comfy.websocket.connect import connect
from app.config.settings import Server
from app.core.jobs.batches import requests_of, without_parts
from app.core.jobs.job import Batch, JobRequest, SeedInput
from app.core.journal_port import Journal
from app.events import AnyUpdate, Arrived, Cancelled, Failed, Finished, JobId, Lost, NodeId, Progressed, ServerName
from app.journal.memory import MemoryJournal
from app.journal.sqlite import open_journal
from app.ports import OtherDisks
from app.reasons.jobs import BatchIncomplete
from app.simulator.engine.simulator import Simulator
from app.simulator.http.application import application
from tests.conftest import inline, virtual
from tests.world import PICTURE, Watcher, on_disk


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


def request_for(size: int, folder: Path, seed: int = 40) -> JobRequest:
    """A request for so many pictures."""
    graph = copy.deepcopy(PICTURE)
    node = next(
        node for node, entry in graph.items() if isinstance(entry["inputs"], dict) and "seed" in entry["inputs"]
    )
    graph[node]["inputs"] |= {"seed": seed}  # pyright: ignore[reportOperatorIssue]
    return JobRequest(
        job=JobId(new_prompt_id()),
        workflow="test",
        graph=graph,
        folder=str(folder),
        seed=seed,
        batch=Batch(size, (SeedInput(NodeId(node), "seed"),)),
    )


@asynccontextmanager
async def simulators(folder: Path) -> AsyncGenerator[dict[ServerName, Simulator]]:
    """Two servers."""
    servers = {ServerName(name): Simulator(folder / name, run_sync=inline) for name in ("one", "two")}
    with anyio.fail_after(3600):
        async with anyio.create_task_group() as tasks:
            for server in servers.values():
                await tasks.start(server.run)
            yield servers
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def running(
    servers: dict[ServerName, Simulator], journal: Journal, others: OtherDisks | None = None
) -> AsyncGenerator[Registry]:
    """One life of the program."""
    async with AsyncExitStack() as stack:
        clients: dict[ServerName, ServerClients] = {}
        for name, simulator in servers.items():
            client_id = new_prompt_id()
            transport = httpx.ASGITransport(application(simulator))
            ways = open_comfy_client(Server(url=f"http://{name}"), client_id, run_sync=inline, transport=transport)
            comfy = await stack.enter_async_context(ways)
            clients[name] = ServerClients(comfy, partial(connect, partial(simulator.connect, client_id)))
        services = await stack.enter_async_context(
            open_services(clients, journal, depth=2, run_sync=inline, others=others)
        )
        yield services.registry


def made_by(servers: dict[ServerName, Simulator]) -> list[int]:
    """How many prompts each server ran."""
    return [len(server.history) for server in servers.values()]


def pictures(last: Finished) -> set[bytes]:
    """The different pictures among the files."""
    different: set[bytes] = set()
    for file in last.files:
        with Image.open(file) as picture:
            different.add(picture.tobytes())
    return different


async def test_two_servers_share_the_pictures_and_their_person_gets_all_at_once(tmp_path: Path) -> None:
    async with simulators(tmp_path) as servers, running(servers, MemoryJournal()) as registry:
        watcher = Watcher()
        await InteractionActor(request_for(6, tmp_path / "results"), registry, watcher).run()
        assert isinstance(watcher.last, Finished)
        assert on_disk(watcher.last)
        assert len(pictures(watcher.last)) == 6
        assert all(count >= 2 for count in made_by(servers)), "neither has waited for the other"
        assert [len(update.files) for update in watcher.shown if isinstance(update, Arrived)] == [1, 2, 3, 4, 5]
        assert {update.job for update in watcher.shown} == {watcher.last.job}
        assert {update.running for update in watcher.shown if isinstance(update, Progressed)} <= {0, 1, 2}


async def test_the_same_request_makes_the_same_pictures_whichever_servers_make_them(tmp_path: Path) -> None:
    async with simulators(tmp_path) as servers:
        made: list[set[bytes]] = []
        for count in (2, 1):
            some = dict(list(servers.items())[:count])
            async with running(some, MemoryJournal()) as registry:
                watcher = Watcher()
                await InteractionActor(request_for(3, tmp_path / f"results {count}"), registry, watcher).run()
                assert isinstance(watcher.last, Finished)
                made.append(pictures(watcher.last))
        assert made[0] == made[1]


async def test_a_request_that_a_restart_interrupted_ends_with_all_its_pictures(tmp_path: Path) -> None:
    async with simulators(tmp_path) as servers:
        journal, request = MemoryJournal(), request_for(5, tmp_path / "results")
        async with running(servers, journal) as registry, registry.submit(request, "place") as updates:
            async for update in updates:
                if isinstance(update, Arrived) and len(update.files) == 2:
                    break
        jobs = await journal.unfinished()
        assert [job.id for job in jobs] == [each.job for each in requests_of(request)]
        assert [job.id for job in without_parts(jobs)] == [request.job]
        async with running(servers, journal) as registry:
            watcher = Watcher()
            await InteractionActor(request.job, registry, watcher).run()
            with anyio.fail_after(60):
                while await journal.unfinished():
                    await anyio.lowlevel.checkpoint()
        assert isinstance(watcher.last, Finished)
        assert on_disk(watcher.last)
        assert len(pictures(watcher.last)) == 5
        assert sum(made_by(servers)) == 5, "nothing was made twice"


class Killer(Watcher):
    """A watcher that takes a server away for good once the first picture is here."""

    def __init__(self, server: Simulator) -> None:
        super().__init__()
        self._server = server

    async def show(self, update: AnyUpdate) -> None:
        await super().show(update)
        if isinstance(update, Arrived) and not self._server.faults.away:
            self._server.faults.refuse_all(1e6)
            self._server.faults.drop_sockets()


async def test_a_server_that_dies_leaves_its_pictures_to_the_other(tmp_path: Path) -> None:
    async with simulators(tmp_path) as servers, running(servers, MemoryJournal()) as registry:
        watcher = Killer(servers[ServerName("two")])
        await InteractionActor(request_for(6, tmp_path / "results"), registry, watcher).run()
        assert isinstance(watcher.last, Finished)
        assert on_disk(watcher.last)
        assert len(pictures(watcher.last)) == 6


async def disturb(rng: random.Random, server: Simulator) -> None:
    """Something goes wrong with a server."""
    match rng.randrange(6):
        case 0:
            server.faults.drop_sockets()
        case 1:
            server.faults.refuse_all(rng.uniform(1, 100))
        case 2:
            server.faults.restart(rng.uniform(1, 20))
        case 3:
            server.faults.fail_prompt(rng.randint(1, 4), effect=rng.random() < 0.5)
        case 4:
            server.faults.forget(rng.choice(["pending", "history"]))
        case _:
            server.faults.deaf()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_every_picture_of_a_batch_ends_once(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    async with simulators(tmp_path) as servers:
        request = request_for(rng.randint(2, 6), tmp_path / "results")
        journals = partial(open_journal, tmp_path / "atelier.db", run_sync=inline, durable=False)
        for _ in range(rng.randint(0, 3)):
            async with journals() as journal, running(servers, journal) as registry, anyio.create_task_group() as tasks:
                known = await journal.find(request.job)
                watcher = InteractionActor(
                    request if known is None else request.job, registry, Watcher(), place="place"
                )
                tasks.start_soon(watcher.run)
                for _ in range(rng.randint(0, 3)):
                    await anyio.sleep(rng.expovariate(1))
                    await disturb(rng, rng.choice(list(servers.values())))
                if rng.random() < 0.15:
                    await registry.cancel(request.job)
                await anyio.sleep(rng.expovariate(1))
                # As a process that is killed.
                tasks.cancel_scope.cancel()
        async with journals() as journal, running(servers, journal) as registry:
            known = await journal.find(request.job)
            if known is None or not known.notified:
                await InteractionActor(request if known is None else request.job, registry, Watcher()).run()
            with anyio.fail_after(3600):
                while await journal.unfinished():
                    await anyio.lowlevel.checkpoint()
            jobs = [await journal.find(each.job) for each in requests_of(request)]
    assert all(job is not None and job.notified and job.terminal_update is not None for job in jobs)
    lead = jobs[0]
    assert lead is not None
    last = lead.terminal_update
    if isinstance(last, Finished):
        assert on_disk(last)
        made = next((note.made for note in last.notes if isinstance(note, BatchIncomplete)), len(jobs))
        assert len(last.files) == len(pictures(last)) == made
    else:
        assert isinstance(last, (Cancelled, Lost, Failed))
