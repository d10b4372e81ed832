"""Servers are added, changed and removed while the application runs, and no job is lost or made twice."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import TaskGroup

from app.actors.client_pool import ClientPool, ServerClients
from app.actors.interaction import InteractionActor
from app.actors.registry import new_prompt_id
from app.actors.servers import ConfiguredServer
from app.application import Services, open_services
from app.comfy.client import open_comfy_client
from app.comfy.websocket.connect import connect
from app.config.settings import Server
from app.core.servers.state import ServerSettings
from app.events import TERMINAL_UPDATES, Finished, Lost, Queued, ServerName
from app.journal.memory import MemoryJournal
from app.simulator.engine.simulator import Simulator
from app.simulator.faults import Request
from app.simulator.http.application import application
from tests.conftest import inline, virtual
from tests.world import Watcher, World, delivered

STUDIO, CELLAR = ServerName("studio"), ServerName("cellar")

FAILOVER = 10.0


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Park:
    """Several simulators, and an application whose servers change."""

    def __init__(self, folder: Path, ground: TaskGroup, services: Services, simulators: dict[str, Simulator]) -> None:
        self.services = services
        self.simulators = simulators
        self._ground = ground
        (first,) = [simulators[server.url] for server in services.configured.values()]
        self._world = World(
            first, services.registry, folder / "results", MemoryJournal(), services.work, services.overview
        )
        self.watchers: list[Watcher] = []

    def configure(self, *servers: Server) -> None:
        self.services.servers.configure(
            {
                server.label: ConfiguredServer(
                    server,
                    ServerSettings(
                        failover_after=FAILOVER,
                        weight=server.weight,
                        workflows=None if server.workflows is None else frozenset(server.workflows),
                    ),
                )
                for server in servers
            }
        )

    async def ask(self, count: int = 1) -> None:
        """Ask for so many pictures."""
        for _ in range(count):
            watcher = Watcher()
            self.watchers.append(watcher)
            actor = InteractionActor(self._world.request(), self.services.registry, watcher)
            await self._ground.start(actor.run)

    def fault(self, name: str, **what: object) -> None:
        self.simulators[f"http://{name}"].faults.ask(Request(**what))  # pyright: ignore[reportArgumentType]

    def at(self, name: str) -> int:
        """How many prompts a simulator has now."""
        simulator = self.simulators[f"http://{name}"]
        return len(simulator.pending) + (simulator.running is not None)

    def made_by(self) -> list[str]:
        """The server of each finished job; every one must have its files."""
        assert all(delivered(watcher) for watcher in self.watchers)
        assert all(sum(isinstance(update, Finished) for update in watcher.shown) == 1 for watcher in self.watchers)
        return [watcher.last.server for watcher in self.watchers if isinstance(watcher.last, Finished)]


@asynccontextmanager
async def park(tmp_path: Path, *more: str) -> AsyncGenerator[Park]:
    """An application that begins with the server `studio`, and simulators for it, `cellar` and `more`."""
    simulators = {f"http://{name}": Simulator(tmp_path / name, run_sync=inline) for name in ("studio", "cellar", *more)}
    client_id = new_prompt_id()

    @asynccontextmanager
    async def open_server(server: Server) -> AsyncGenerator[ServerClients]:
        simulator = simulators[server.url]
        transport = httpx.ASGITransport(application(simulator))
        async with open_comfy_client(server, client_id, run_sync=inline, transport=transport) as comfy:
            yield ServerClients(comfy, partial(connect, partial(simulator.connect, client_id)))

    with anyio.fail_after(3600):
        async with anyio.create_task_group() as ground:
            for simulator in simulators.values():
                await ground.start(simulator.run)
            pool = ClientPool(open_server)
            await pool.open(server_of("studio"))
            settings = {STUDIO: ServerSettings(failover_after=FAILOVER)}
            async with (
                open_services(pool, MemoryJournal(), depth=2, run_sync=inline, settings=settings) as services,
                anyio.create_task_group() as people,
            ):
                yield Park(tmp_path, people, services, simulators)
                people.cancel_scope.cancel()
            await pool.aclose()
            ground.cancel_scope.cancel()


def server_of(name: str, **settings: object) -> Server:
    return Server(**{"url": f"http://{name}", "name": name, **settings})  # pyright: ignore[reportArgumentType]


async def test_a_server_that_is_added_gets_jobs(tmp_path: Path) -> None:
    async with park(tmp_path) as here:
        here.fault("studio", hold=True)
        await here.ask()
        await anyio.sleep(5)
        here.configure(server_of("studio"), server_of("cellar"))
        await anyio.sleep(5)
        assert list(here.services.nodes) == list(here.services.clients) == [STUDIO, CELLAR]
        await here.ask()
        await anyio.sleep(60)
        here.fault("studio", hold=False)
        await anyio.sleep(60)
        assert here.made_by() == [STUDIO, CELLAR]


async def test_waiting_jobs_go_to_an_added_server_only_once_it_is_known_to_run_them(tmp_path: Path) -> None:
    async with park(tmp_path) as here:
        here.fault("studio", hold=True)
        await here.services.registry.offer({"test": (STUDIO,)})
        await here.ask(4)
        await anyio.sleep(5)
        here.configure(server_of("studio"), server_of("cellar"))
        await anyio.sleep(60)
        assert not here.simulators["http://cellar"].ended_at
        await here.services.registry.offer({"test": (STUDIO, CELLAR)})
        await anyio.sleep(60)
        here.fault("studio", hold=False)
        await anyio.sleep(60)
        assert sorted(here.made_by()) == [CELLAR, CELLAR, STUDIO, STUDIO]


async def test_removing_a_server_loses_no_job_and_makes_none_twice(tmp_path: Path) -> None:
    async with park(tmp_path) as here:
        here.configure(server_of("studio"), server_of("cellar"))
        await anyio.sleep(5)
        for name in ("studio", "cellar"):
            here.fault(name, hold=True)
        await here.ask(6)
        await anyio.sleep(5)
        assert (here.at("studio"), here.at("cellar")) == (2, 2)
        here.configure(server_of("cellar"))
        await anyio.sleep(5)
        assert here.at("studio") == 1, "what waited there is cancelled there"
        assert STUDIO in here.services.clients, "it is connected until what runs has ended"
        here.fault("cellar", hold=False)
        await anyio.sleep(60)
        here.fault("studio", hold=False)
        await anyio.sleep(60)
        assert sorted(here.made_by()) == [CELLAR] * 5 + [STUDIO]
        assert list(here.services.clients) == list(here.services.nodes) == [CELLAR]
        made = [len(simulator.ended_at) for simulator in here.simulators.values()]
        assert made == [1, 5], "no prompt ran twice"
        await here.ask()
        await anyio.sleep(60)
        assert here.made_by()[-1] == CELLAR


async def test_a_removed_server_that_cannot_be_reached_gives_its_jobs_to_others_after_some_time(tmp_path: Path) -> None:
    async with park(tmp_path) as here:
        here.fault("studio", hold=True)
        await here.ask(2)
        await anyio.sleep(5)
        here.fault("studio", refuse_all=3000.0)
        here.configure(server_of("cellar"))
        await anyio.sleep(2 * FAILOVER)
        assert STUDIO in here.services.clients
        await anyio.sleep(4 * FAILOVER)
        assert list(here.services.clients) == [CELLAR]
        await anyio.sleep(60)
        assert here.made_by() == [CELLAR, CELLAR]


async def test_jobs_of_a_removed_server_that_is_lost_wait_for_the_next_one(tmp_path: Path) -> None:
    async with park(tmp_path) as here:
        here.fault("studio", hold=True)
        await here.ask(2)
        await anyio.sleep(5)
        here.fault("studio", refuse_all=30_000.0)
        here.configure()
        await anyio.sleep(6 * FAILOVER)
        assert not here.services.clients
        here.configure(server_of("cellar"))
        await anyio.sleep(60)
        assert here.made_by() == [CELLAR, CELLAR]


async def test_a_server_with_another_address_is_removed_and_added_again(tmp_path: Path) -> None:
    async with park(tmp_path) as here:
        here.fault("studio", hold=True)
        await here.ask(3)
        await anyio.sleep(5)
        here.configure(server_of("studio", url="http://cellar"))
        await anyio.sleep(30)
        assert here.at("cellar") == 0, "the old one has not ended yet"
        here.fault("studio", hold=False)
        await anyio.sleep(60)
        assert here.made_by() == [STUDIO] * 3
        assert [len(simulator.ended_at) for simulator in here.simulators.values()] == [1, 2]


async def test_waiting_jobs_may_go_to_a_server_that_was_removed_and_added_again(tmp_path: Path) -> None:
    async with park(tmp_path) as here:
        here.configure(server_of("studio"), server_of("cellar"))
        await anyio.sleep(5)
        for name in ("studio", "cellar"):
            here.fault(name, hold=True)
        await here.ask(6)
        await anyio.sleep(5)
        here.configure(server_of("studio"), server_of("cellar", headers={"X-Gate": "open"}))
        await anyio.sleep(5)
        here.fault("cellar", hold=False)
        await anyio.sleep(60)
        assert (here.at("studio"), here.at("cellar")) == (2, 0)
        here.fault("studio", hold=False)
        await anyio.sleep(60)
        assert sorted(here.made_by()) == [CELLAR] * 4 + [STUDIO] * 2


async def test_a_server_that_is_renamed_is_never_connected_twice(tmp_path: Path) -> None:
    async with park(tmp_path) as here:
        here.fault("studio", hold=True)
        await here.ask(2)
        await anyio.sleep(5)
        here.configure(server_of("attic", url="http://studio"))
        await anyio.sleep(30)
        assert list(here.services.clients) == [STUDIO]
        here.fault("studio", hold=False)
        await anyio.sleep(60)
        assert list(here.services.clients) == ["attic"]
        assert here.made_by() == [STUDIO, "attic"]


async def test_changed_settings_of_a_server_apply_at_once_and_keep_its_connection(tmp_path: Path) -> None:
    async with park(tmp_path) as here:
        comfy = here.services.clients[STUDIO].comfy
        here.configure(server_of("studio", workflows=()))
        await anyio.sleep(5)
        await here.ask()
        await anyio.sleep(60)
        assert here.at("studio") == 0
        assert isinstance(here.watchers[0].last, Queued)
        here.configure(server_of("studio", workflows=("test",)))
        await anyio.sleep(60)
        assert here.made_by() == [STUDIO]
        assert here.services.clients[STUDIO].comfy is comfy


async def test_a_server_that_is_drained_before_it_is_added_gets_no_jobs(tmp_path: Path) -> None:
    async with park(tmp_path) as here:
        await here.services.registry.drain_servers([CELLAR])
        here.configure(server_of("cellar"))
        await anyio.sleep(5)
        await here.ask()
        await anyio.sleep(30)
        assert here.at("cellar") == 0
        assert not here.simulators["http://cellar"].ended_at
        await here.services.registry.drain_servers([])
        await anyio.sleep(30)
        assert here.made_by() == [CELLAR]


async def test_jobs_of_a_removed_server_wait_if_no_other_one_is_there(tmp_path: Path) -> None:
    async with park(tmp_path) as here:
        here.fault("studio", hold=True)
        await here.ask(3)
        await anyio.sleep(5)
        here.configure()
        await anyio.sleep(5)
        here.fault("studio", hold=False)
        await anyio.sleep(60)
        assert not here.services.clients
        assert [isinstance(watcher.last, Queued) for watcher in here.watchers] == [False, True, True]
        here.configure(server_of("cellar"))
        await anyio.sleep(60)
        assert here.made_by() == [STUDIO, CELLAR, CELLAR]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_added_removed_drained_and_restarted_every_job_ends_once(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    names = ("studio", "cellar", "attic")
    async with park(tmp_path, "attic") as here:
        for _ in range(25):
            name = rng.choice(names)
            match rng.randrange(8):
                case 0 | 1 | 2:
                    await here.ask(rng.randrange(1, 4))
                case 3 | 4:
                    here.configure(*map(server_of, rng.sample(names, rng.randrange(4))))
                case 5:
                    drained = rng.sample(names, rng.randrange(3))
                    await here.services.registry.drain_servers([ServerName(each) for each in drained])
                case 6:
                    here.fault(name, refuse_all=rng.choice([1.0, 15.0, 60.0]))
                case _:
                    here.fault(name, restart=rng.choice([0.5, 20.0]))
            await anyio.sleep(rng.choice([0.0, 0.1, 0.5, 3.0, 20.0]))
        here.configure(*map(server_of, names))
        await here.services.registry.drain_servers([])
        await anyio.sleep(1800)
        # A server that dies twice while it runs a job may have been killed by it.
        ended = [watcher for watcher in here.watchers if not isinstance(watcher.last, Lost)]
        assert all(delivered(watcher) for watcher in ended)
        for watcher in here.watchers:
            assert sum(isinstance(update, TERMINAL_UPDATES) for update in watcher.shown) == 1
        assert sorted(here.services.clients) == sorted(names)
        assert all(here.at(name) == 0 for name in names)


async def test_servers_of_workers_are_used_besides_configured_ones_which_keep_their_names(tmp_path: Path) -> None:
    studio, cellar = Server(url="http://studio", name=STUDIO), Server(url="http://cellar", name=CELLAR)
    settings = ServerSettings(failover_after=FAILOVER)
    async with park(tmp_path) as around:
        servers, configured = around.services.servers, around.services.configured
        around.configure(studio)
        impostor = Server(url="http://cellar", name=STUDIO)
        servers.offer({STUDIO: ConfiguredServer(impostor, settings), CELLAR: ConfiguredServer(cellar, settings)})
        await anyio.sleep(10)
        assert configured[STUDIO].url == "http://studio"
        await around.ask(2)
        await anyio.sleep(60)
        assert set(around.made_by()) == {STUDIO, CELLAR}
        # A reload does not remove them, and they go when they are offered no more.
        around.configure(studio)
        await anyio.sleep(1)
        assert CELLAR in configured
        servers.offer({})
        await anyio.sleep(10)
        assert list(configured) == [STUDIO]
