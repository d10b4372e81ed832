"""One world, from the first request to the last terminal update: the real application over the simulator."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import trio
from msgspec import Struct, field

from app.discord.ui.components import Card
from app.events import JobId, ServerName
from app.journal.opening import open_store
from app.simulator.engine.simulator import Simulator
from app.simulator.version import V0_3_64, V0_33_0
from tests.conftest import inline, virtual
from tests.simulation.board import Board, Message, is_last_word
from tests.simulation.bot import Bot
from tests.simulation.faults import FaultPlayer
from tests.simulation.invariants import broken
from tests.simulation.network import Network
from tests.simulation.operators import Operators
from tests.simulation.people import People
from tests.simulation.pictures import without_pixels
from tests.simulation.plan import Moment, Plan, calm_of
from tests.simulation.reading import untrue
from tests.simulation.recorder import Recorder

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A folder in memory, on systems that have one."""

LOOK = 10.0
"""Seconds between two checks whether everything has ended."""

SHOWING = 600.0
"""Seconds without faults in which every person sees what has ended: ten times the longest pause between two tries."""

LATE = 300.0
"""Seconds of calm in which a job ends that its server is done with, however often something has to be tried."""

CALM = 90.0
"""Seconds without faults after which the bot knows that its servers answer."""

MOST_WRONG = 5
"""Promises broken before everybody's eyes after which a world need not go on: what ends a bot may do so for hours."""


class Report(Struct):
    """The result of a world: every step in order, the broken invariants, and how each job ended."""

    trace: list[str] = field(default_factory=list[str])
    broken: list[str] = field(default_factory=list[str])
    endings: list[str] = field(default_factory=list[str])
    seconds: float = 0.0


class Scene:
    """Owns one world: its servers, its board, its journal's file, its bot, and what goes wrong."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._rng = random.Random(plan.chance)
        self._numbers: dict[JobId, int] = {}
        self._began = self._calm_since = anyio.current_time()
        self.report = Report()
        self._recorder = Recorder(folder / "atelier.db")
        self._networks = self._recorder.servers.networks = [self._network(number) for number in range(plan.servers)]
        servers = [network.name for network in self._networks]
        self._board = Board(self._rng, random.Random(f"answers {plan.chance}"), self._saw, self._recorder.not_shown)
        self._people = People(self._board, self._recorder, servers, self._rng, self._say, have_batches=plan.has_batches)
        self._operators = Operators(self._networks, self._recorder, self._say)
        self._trouble = FaultPlayer(
            plan, self._networks, self._board, self._recorder, self._people, self._operators, self._say
        )
        self._board.reached_notice = partial(self._trouble.reached, "notified")
        kind = Bot
        if plan.fronts:
            # Only here: the library of the engine takes a while, and other worlds have none.
            from tests.simulation.engine.fleet import Fleet

            kind = Fleet
        self._bot = kind(
            plan, folder, self._networks, self._board, self._recorder, self._rng, self._say, self._trouble.reached
        )

    def _network(self, number: int) -> Network:
        pace = self._plan.paces[number] if self._plan.paces else 1.0
        folder, version = self._folder / f"server {number}", V0_33_0 if self._plan.modern else V0_3_64
        simulator = Simulator(folder, run_sync=inline, version=version, seed=number, pace=pace)
        # The name of a worker has no space.
        name = ServerName(f"server{'-' if self._plan.fronts else ' '}{number}")
        return Network(name, simulator, self._rng, self._say, self._reached)

    async def play(self) -> Report:
        """Run the faults and the time without faults; report what was broken."""
        with without_pixels(self._drew):
            async with anyio.create_task_group() as world:
                self._people.meet(self._bot, world)
                self._operators.meet(self._bot, world)
                for network in self._networks:
                    await world.start(network.simulator.run)
                world.start_soon(self._bot.run)
                for number, want in enumerate(self._plan.wants):
                    world.start_soon(self._people.ask, number, want)
                await self._trouble.run(self._bot)
                await self._end()
                world.cancel_scope.cancel()
        self._recorder.close()
        self.report.seconds = anyio.current_time() - self._began
        path = self._recorder.path
        with open_store(path, clock=lambda: 0.0, durable=False) as store:
            self.report.broken += broken(
                self._plan, self._recorder, self._board, store, self._networks, self._began, path.parent
            )
            for entry in reversed(store.newest("", 1000)):
                self.report.endings.append(type(entry.job.terminal_update).__name__)
                for line in store.transitions(entry.job.id):
                    step = line.transition
                    told = f"{step.version} {step.state} {step.server}: {step.cause}"
                    self._say(f"{self._called(entry.job.id)} {line.at:.3f} {told}")
        return self.report

    def _say(self, what: str) -> None:
        self.report.trace.append(f"{anyio.current_time() - self._began:9.4f} {what}")

    def _called(self, job: JobId) -> str:
        """A short name for a job, in the order in which jobs were seen."""
        return f"#{self._numbers.setdefault(job, len(self._numbers))} ({job[:8]})"

    def _reached(self, moment: Moment, network: Network) -> None:
        self._trouble.reached(moment, network)

    def _saw(self, message: Message, card: Card) -> None:
        ended = ", ended" if is_last_word(card) else ""
        self._say(f"{self._called(message.job)} is shown in message {message.number}{ended}")
        self._recorder.saw(message.job)
        if not ended:
            self._recorder.wrong += self._untrue(message.job, card)
        self._trouble.reached("shown")

    def _untrue(self, job: JobId, card: Card) -> Iterator[str]:
        """What is not true of what people are about to read."""
        now = anyio.current_time()
        jumps = any(fault.kind == "clock_jumps" for fault in self._plan.faults)
        return untrue(
            card,
            now=self._bot.clock(),
            # What a front has sent that was replaced may arrive late.
            in_time=not jumps and self._board.is_prompt and not self._plan.fronts,
            all_is_well=self._recorder.well(now - CALM, now),
            was_taken=partial(self._recorder.was_taken, job),
        )

    def _drew(self, preview: bytes) -> None:
        running = [network.simulator.running for network in self._networks]
        self._recorder.previews[preview].update(item[1] for item in running if item is not None)

    async def _end(self) -> None:
        """Until everything has ended, or too long.

        What could not be shown because of an unexpected exception is shown by the next life.
        """
        calm = calm_of(self._plan)
        self._calm_since = anyio.current_time()
        ends = anyio.current_time() + calm
        all_made = float("inf")
        while anyio.current_time() < min(ends, all_made + SHOWING):
            await anyio.sleep(LOOK)
            if len(self._recorder.wrong) > MOST_WRONG:
                return
            if (since := self._bot.draining_since) is not None:
                if anyio.current_time() > max(since, self._began + self._plan.trouble) + self._longest_drain():
                    self.report.broken.append("the bot still drains, long after all that ran has ended")
                    return
                all_made = float("inf")
                continue
            if self._bot.door is None:
                continue
            done = {job: at for job, at in self._recorder.done_since().items() if job not in self._recorder.unshown}
            if late := [job for job, at in done.items() if anyio.current_time() > max(at, self._calm_since) + LATE]:
                self.report.broken.append(f"not everything has ended: {late[0]}, long after its server was done")
                return
            waiting, made = self._recorder.waiting(), self._recorder.made()
            if not waiting and not self._recorder.left_at_servers():
                break
            if not waiting:
                # Everybody knows how it ended, and a server that cannot be told to stop goes on to the end.
                all_made = float("inf")
                continue
            all_made = min(all_made, anyio.current_time()) if waiting <= made else float("inf")
            if waiting <= self._recorder.unshown:
                self._recorder.unshown.clear()
                self._bot.kill(1.0)
        else:
            self.report.broken.append(f"not everything has ended and was told {calm:.0f} s after the trouble")
        await anyio.sleep(5)
        self.report.broken += await self._bot.differences()
        self.report.broken += self._recorder.left_over()

    def _longest_drain(self) -> float:
        """Seconds in which everything on a server ends and is shown."""
        longest = max((want.seconds for want in self._plan.wants), default=0.0)
        return self._plan.depth * self._plan.slowest * longest + SHOWING


def simulate(plan: Plan, backend: str) -> Report:
    """Play one world on virtual time. The same plan gives the same report, to the byte."""
    if backend == "trio":
        # trio shuffles its tasks on purpose; private names, which a test holds against trio's own changes.
        trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # pyright: ignore[reportPrivateUsage]
        trio._core._run._r.seed(plan.chance)  # pyright: ignore[reportPrivateUsage]
    with TemporaryDirectory(dir=MEMORY) as folder:
        _, options = virtual(backend)
        if backend == "trio":
            options = {"clock": _Clock()}
        return anyio.run(_play, plan, Path(folder), backend=backend, backend_options=options)


class _Clock(trio.abc.Clock):
    """As `trio.testing.MockClock`, which takes a whole turn of the loop for each jump: an eighth of all the time."""

    def __init__(self) -> None:
        self._now = 0.0

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """trio asks when nobody has anything to do: it is later at once."""
        if deadline == inf:
            return inf
        self._now = max(self._now, deadline)
        return 0.0


async def _play(plan: Plan, folder: Path) -> Report:
    return await Scene(plan, folder).play()
