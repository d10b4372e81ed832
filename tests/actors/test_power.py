"""Servers that the application starts and stops by commands: from the job that needs one to the stop."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import anyio
import pytest

from app.actors.alerts import AlertActor
from app.actors.servers import OffServers
from app.core.servers.power import view_of
from app.events import Queued
from app.journal.sqlite import open_journal
from app.reasons.jobs import ServersOffline, ServersStarting
from app.texts.alerts import alert_text
from tests.conftest import inline, virtual
from tests.simulation.machines import FAILOVER, Hall, Machine, ground_for, hall, power
from tests.world import Watcher, delivered

IDLE = 600.0

LONGEST = 100_000.0


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


@asynccontextmanager
async def one_hall(folder: Path, machine: Machine) -> AsyncGenerator[Hall]:
    """An application with one machine, which is off."""
    machine.switch(on=False)
    machines = {str(machine.name): machine}
    async with ground_for(machines) as ground, hall(folder, machines, ground, {str(machine.name): power()}) as here:
        yield here


def notes(watcher: Watcher) -> list[object]:
    return [update.note for update in watcher.shown if isinstance(update, Queued)]


async def test_a_job_starts_the_server_and_the_server_is_stopped_when_nobody_needs_it(tmp_path: Path) -> None:
    cloud = Machine("cloud", tmp_path)
    with anyio.fail_after(LONGEST):
        async with one_hall(tmp_path, cloud) as here:
            await anyio.sleep(3600)
            assert cloud.commands == []
            assert list(here.services.off) == ["cloud"]
            assert cloud.dials <= 3600 / 15 + 10, "it is tried only now and then"
            asked = anyio.current_time()
            watcher = await here.ask()
            await anyio.sleep(30)
            assert notes(watcher)[-1] == ServersStarting(("cloud",))
            assert list(here.services.off) == ["cloud"]
            await anyio.sleep(60)
            assert delivered(watcher)
            assert cloud.commands == [(asked, "on")]
            assert not here.services.off
            await anyio.sleep(IDLE)
            assert [action for _, action in cloud.commands] == ["on", "off"]
            await anyio.sleep(60)
            assert (cloud.on, list(here.services.off)) == (False, ["cloud"])
            assert cloud.interrupted == [()]


async def test_a_machine_that_is_taken_away_is_started_again_and_its_job_is_made(tmp_path: Path) -> None:
    cloud = Machine("cloud", tmp_path)
    with anyio.fail_after(LONGEST):
        async with one_hall(tmp_path, cloud) as here:
            await anyio.sleep(60)
            cloud.simulator.faults.hold()
            watcher = await here.ask()
            await anyio.sleep(400)
            assert cloud.prompts()
            cloud.switch(on=False)
            cloud.simulator.faults.hold(lifted=True)
            await anyio.sleep(FAILOVER / 2)
            assert ServersOffline(("cloud",)) in [getattr(update, "note", None) for update in watcher.shown]
            await anyio.sleep(200)
            assert [action for _, action in cloud.commands] == ["on", "on"]
            assert delivered(watcher)


async def test_a_command_that_fails_affects_no_other_server_and_alerts_the_operator(tmp_path: Path) -> None:
    machines = {"home": Machine("home", tmp_path), "cloud": Machine("cloud", tmp_path)}
    home, cloud = machines.values()
    home.switch(on=True)
    cloud.switch(on=False)
    cloud.fails = [True] * 3
    actor = AlertActor(alert_text)
    with anyio.fail_after(LONGEST):
        async with anyio.create_task_group() as tasks, ground_for(machines) as ground:
            tasks.start_soon(actor.run)
            settings = {"home": None, "cloud": power()}
            with actor.handle.listen() as texts:
                async with hall(tmp_path, machines, ground, settings, alerts=actor.handle) as here:
                    await anyio.sleep(10)
                    only_cloud = await here.ask(servers=("cloud",))
                    other = await here.ask(servers=("home",))
                    await anyio.sleep(60)
                    assert delivered(other)
                    assert texts.receive_nowait().startswith("Start cloud yourself, or correct its start_command")
                    await anyio.sleep(3000)
                    assert delivered(only_cloud)
                    assert [action for _, action in cloud.commands][:4] == ["on"] * 4
                    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(cloud.commands)]
                    assert all(gap >= 300 for gap in gaps[:3])
            tasks.cancel_scope.cancel()


async def test_a_bot_that_starts_again_knows_what_it_started_and_stops_it(tmp_path: Path) -> None:
    cloud = Machine("cloud", tmp_path)
    cloud.switch(on=False)
    machines, settings = {"cloud": cloud}, {"cloud": power(most_hours_per_day=5)}
    with anyio.fail_after(LONGEST):
        async with (
            ground_for(machines) as ground,
            open_journal(
                tmp_path / "atelier.db", run_sync=inline, clock=lambda: 1e9 + anyio.current_time(), durable=False
            ) as journal,
        ):
            async with hall(tmp_path, machines, ground, settings, journal=journal) as here:
                await anyio.sleep(10)
                watcher = await here.ask()
                await anyio.sleep(120)
                assert delivered(watcher)
            await anyio.sleep(300)
            assert cloud.on
            async with hall(tmp_path, machines, ground, settings, journal=journal):
                await anyio.sleep(60)
                view = view_of(cloud.name, await journal.on_periods())
                assert (view.state, view.starter) == ("on", "bot")
                await anyio.sleep(IDLE)
                assert not cloud.on
                view = view_of(cloud.name, await journal.on_periods())
                assert view.state == "off"
                began, ended = (at for at, _ in cloud.commands)
                assert ended - began <= view.used <= ended - began + 20


async def test_an_operator_starts_and_stops_a_server_that_no_job_needs(tmp_path: Path) -> None:
    cloud = Machine("cloud", tmp_path)
    with anyio.fail_after(LONGEST):
        async with one_hall(tmp_path, cloud) as here:
            await anyio.sleep(10)
            await here.services.registry.set_power(cloud.name, on=True)
            await anyio.sleep(70)
            assert cloud.on
            await here.services.registry.set_power(cloud.name, on=False)
            await anyio.sleep(10)
            assert not cloud.on
            assert isinstance(here.services.off, OffServers)
