"""Days on which machines start late, fail, vanish and stay on, and the bot is restarted: no job is lost, none is paid
for in vain."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskGroup

from app.config.settings import Power
from app.core.jobs.job import Job
from app.core.servers.power import DAY, LEAST_BETWEEN_STARTS, view_of
from app.events import Finished, JobId, Lost
from app.journal.sqlite import SqliteJournal, open_journal
from tests.conftest import inline, virtual
from tests.simulation.machines import Hall, Machine, ground_for, hall, power
from tests.world import Watcher, delivered

SEEDS = 2
"""Days on each backend; other ones on each."""

HOURS = 2
"""Within these, people ask and machines fail; then there is time for all that waits."""

ENOUGH = 2 * 3600.0
"""Seconds for all that waits, unless a machine may not be started again on this day."""

OVERRUN = 300.0
"""Seconds by which a ceiling is exceeded: for the job that runs then, and until the machine is gone."""


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Day:
    """One day, drawn from a seed."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = random.Random(seed)
        self.folder = folder
        self.settings: dict[str, Power | None] = {"home": None} if self.rng.random() < 0.5 else {}
        for name in ("cloud", "cellar"):
            self.settings[name] = power(
                idle_minutes=self.rng.randint(1, 20),
                start_seconds=self.rng.randint(5, 200),
                most_hours_per_day=self.rng.choice([0, 0, 0, 1]),
            )
        self.machines = {name: Machine(name, folder, boot=self.rng.uniform(5, 250)) for name in self.settings}
        for name, machine in self.machines.items():
            machine.switch(on=name == "home")
            machine.fails = [self.rng.random() < 0.3 for _ in range(self.rng.choice([0, 6]))]
        self.failures = {name: machine.fails.count(True) for name, machine in self.machines.items()}
        self.jobs: list[JobId] = []
        self.watchers: list[Watcher] = []

    async def live(self, here: Hall, seconds: float) -> None:
        """Let people ask and machines vanish for so many seconds."""
        end = anyio.current_time() + seconds
        while anyio.current_time() < end:
            await anyio.sleep(self.rng.expovariate(1 / 400))
            if self.rng.random() < 0.15:
                machine = self.rng.choice([each for name, each in self.machines.items() if name != "home"])
                if machine.on:
                    machine.switch(on=False)
            able = self.rng.choice([(), tuple(self.settings), (self.rng.choice(list(self.settings)),)])
            watcher = await here.ask(servers=able)
            self.watchers.append(watcher)

    async def check_hours(self, journal: SqliteJournal) -> None:
        while True:
            await anyio.sleep(600)
            periods = await journal.on_periods()
            for name, each in self.settings.items():
                if each is not None and each.most_hours_per_day:
                    # A machine whose stop fails is tried again after pauses that grow.
                    slack = OVERRUN + sum(600.0 * 2**number for number in range(self.failures[name]))
                    used = view_of(self.machines[name].name, periods).used
                    assert used <= each.most_hours_per_day * 3600 + slack, f"{name} was on for too long"

    async def play(self, ground: TaskGroup, journal: SqliteJournal) -> None:
        lives = self.rng.choice([1, 2, 3])
        for _ in range(lives):
            async with hall(
                self.folder, self.machines, ground, self.settings, journal=journal, client_id="bot"
            ) as here:
                await anyio.sleep(20)
                await self.live(here, HOURS * 3600 / lives)
                if self.rng.random() < 0.5:
                    await anyio.sleep(self.rng.uniform(0, 600))
            await anyio.sleep(self.rng.uniform(0, 1200))
        async with hall(self.folder, self.machines, ground, self.settings, journal=journal, client_id="bot"):
            limited = any(each is not None and each.most_hours_per_day for each in self.settings.values())
            await anyio.sleep(DAY + ENOUGH if limited else ENOUGH)


@pytest.mark.parametrize("number", range(SEEDS))
async def test_no_job_is_lost_and_no_machine_stays_on_whatever_happens_to_machines(
    number: int, tmp_path: Path, anyio_backend_name: str
) -> None:
    day = Day(2 * number + (anyio_backend_name == "asyncio"), tmp_path)
    left: Sequence[Job] = ()
    with anyio.fail_after(10 * DAY):
        async with (
            ground_for(day.machines) as ground,
            open_journal(
                tmp_path / "atelier.db", run_sync=inline, clock=lambda: 1e9 + anyio.current_time(), durable=False
            ) as journal,
            anyio.create_task_group() as checking,
        ):
            checking.start_soon(day.check_hours, journal)
            await day.play(ground, journal)
            left = await journal.unfinished()
            checking.cancel_scope.cancel()
    assert day.watchers
    assert all(isinstance(job.terminal_update, (Finished, Lost)) for job in left), "every job has ended"
    in_time = [watcher for watcher in day.watchers if watcher.shown and isinstance(watcher.last, Finished)]
    assert all(delivered(watcher) for watcher in in_time)
    for name, machine in day.machines.items():
        if name == "home":
            continue
        assert not machine.on, "nobody needs it at the end"
        assert not any(machine.interrupted), "no machine is stopped while it has a prompt"
        starts = [at for at, action in machine.commands if action == "on"]
        assert all(later - sooner >= LEAST_BETWEEN_STARTS - 0.001 for sooner, later in pairwise(starts))
