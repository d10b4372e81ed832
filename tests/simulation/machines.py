"""Machines that commands start and stop, each with a simulator, and the application that runs the commands."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import httpx
from anyio.abc import TaskGroup
from msgspec.structs import replace

from app.actors.alerts import Alerts
from app.actors.client_pool import ServerClients
from app.actors.interaction import InteractionActor
from app.actors.registry import new_prompt_id
from app.application import Services, open_services
from app.comfy.client import open_comfy_client
from app.comfy.websocket.connect import connect
from app.config.settings import Power, Server
from app.core.journal_port import Journal
from app.core.servers.state import ServerSettings
from app.events import ServerName
from app.journal.memory import MemoryJournal
from app.ports import WebSocket
from app.reasons.power import CommandFailed, CommandReason
from app.simulator.engine.simulator import Simulator
from app.simulator.faults import Request
from app.simulator.http.application import application
from tests.conftest import inline
from tests.world import Watcher, World

FAILOVER = 30.0

FOR_EVER = 1e9


class Machine:
    """A simulator that is on or off. `boot` is how long a start takes; `fails` is whether the next commands fail."""

    def __init__(self, name: str, folder: Path, *, boot: float = 60.0) -> None:
        self.name = ServerName(name)
        self.simulator = Simulator(folder / name, run_sync=inline)
        self.boot = boot
        self.fails: list[bool] = []
        self.commands: list[tuple[float, str]] = []
        self.dials = 0
        """How often somebody tried to connect."""
        self.on = False
        self.interrupted: list[tuple[str, ...]] = []
        """The prompts that were here when the machine was stopped by its command."""
        self._boots = 0

    def prompts(self) -> tuple[str, ...]:
        """The prompts that it has now."""
        running = self.simulator.running
        return tuple(item[1] for item in (*([running] if running is not None else []), *self.simulator.pending))

    def switch(self, *, on: bool) -> None:
        """Switch the machine on or off; what it had is lost then."""
        self._boots += 1
        self.on = on
        if on:
            self.simulator.faults.ask(Request(refuse_all=0.0, keep_sockets=True))
        else:
            self.simulator.faults.ask(Request(restart=FOR_EVER, drop_sockets=True))

    @asynccontextmanager
    async def dial(self, client_id: str) -> AsyncGenerator[WebSocket]:
        """Open a websocket, as the simulator does."""
        self.dials += 1
        async with self.simulator.connect(client_id) as socket:
            yield socket

    async def run(self, action: str, ground: TaskGroup) -> CommandReason | None:
        """What the command does."""
        self.commands.append((anyio.current_time(), action))
        await anyio.sleep(2.0)
        if self.fails and self.fails.pop(0):
            return CommandFailed(action, 1, "no")
        if action == "on":
            self._boots += 1
            ground.start_soon(self._come_up, self._boots)
        else:
            if self.on:
                self.interrupted.append(self.prompts())
            self.switch(on=False)
        return None

    async def _come_up(self, boots: int) -> None:
        await anyio.sleep(self.boot)
        if boots == self._boots:
            self.switch(on=True)


class Hall:
    """The application and its machines."""

    def __init__(self, folder: Path, services: Services, machines: dict[str, Machine], people: TaskGroup) -> None:
        self.services = services
        self.machines = machines
        self.watchers: list[Watcher] = []
        self._people = people
        first = next(iter(machines.values())).simulator
        self.world = World(
            first, services.registry, folder / "results", MemoryJournal(), services.work, services.overview
        )

    async def ask(self, **changes: object) -> Watcher:
        """Ask for a picture."""
        watcher = Watcher()
        self.watchers.append(watcher)
        request = replace(self.world.request(), **changes)
        await self._people.start(InteractionActor(request, self.services.registry, watcher).run)
        return watcher


def power(**changes: object) -> Power:
    """Commands that a machine understands."""
    known: dict[str, object] = {"start_command": ("on",), "stop_command": ("off",), "start_seconds": 60}
    return Power(**(known | changes))  # pyright: ignore[reportArgumentType]


@asynccontextmanager
async def ground_for(machines: dict[str, Machine]) -> AsyncGenerator[TaskGroup]:
    """Where the simulators run, for longer than one application."""
    async with anyio.create_task_group() as ground:
        for machine in machines.values():
            await ground.start(machine.simulator.run)
        yield ground
        ground.cancel_scope.cancel()


@asynccontextmanager
async def hall(
    folder: Path,
    machines: dict[str, Machine],
    ground: TaskGroup,
    settings: Mapping[str, Power | None],
    *,
    journal: Journal | None = None,
    alerts: Alerts | None = None,
    client_id: str | None = None,
) -> AsyncGenerator[Hall]:
    """One life of the application, with these machines as servers; those without settings are always on."""
    async with anyio.create_task_group() as people:
        clients: dict[ServerName, ServerClients] = {}
        async with _all_clients(machines, client_id or new_prompt_id(), clients):

            async def run_command(command: tuple[str, ...]) -> CommandReason | None:
                action, name = command
                return await machines[name].run(action, ground)

            configured: dict[ServerName, ServerSettings] = {}
            for name, each in settings.items():
                commands = None
                if each is not None:
                    commands = replace(each, start_command=("on", name), stop_command=("off", name))
                configured[ServerName(name)] = ServerSettings(failover_after=FAILOVER, power=commands)
            async with open_services(
                clients,
                journal or MemoryJournal(),
                depth=2,
                settings=configured,
                run_sync=inline,
                alerts=alerts,
                run_command=run_command,
            ) as services:
                yield Hall(folder, services, machines, people)
                people.cancel_scope.cancel()


@asynccontextmanager
async def _all_clients(
    machines: dict[str, Machine], client_id: str, clients: dict[ServerName, ServerClients]
) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for machine in machines.values():
            transport = httpx.ASGITransport(application(machine.simulator))
            server = Server(url=f"http://{machine.name}", name=machine.name)
            comfy = await stack.enter_async_context(
                open_comfy_client(server, client_id, run_sync=inline, transport=transport)
            )
            clients[machine.name] = ServerClients(comfy, partial(connect, partial(machine.dial, client_id)))
        yield
