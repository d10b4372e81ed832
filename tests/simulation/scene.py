"""One world, from the first wish to the last word: the real house over the simulator, in one thread."""

from __future__ import annotations

import random
from collections.abc import Generator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import anyio
import trio
from msgspec import Struct, field

from app.events import JobId, ServerName
from app.jobs import Wish
from app.journal.store import open_store
from app.ports import ConnectionLost
from app.simulator.engine import Simulator
from tests.conftest import inline, virtual
from tests.simulation.board import Board
from tests.simulation.bot import Bot
from tests.simulation.invariants import broken
from tests.simulation.network import Network
from tests.simulation.plan import CALM, Moment, Plan, Want
from tests.simulation.trouble import Trouble, picture
from tests.simulation.witness import Witness

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where files cost nothing, on systems that have such a place."""

GLIMPSE = b"\xff\xd8\xff\xe0" + bytes(500)
"""What stands for every picture: its pixels matter to nobody here, and would take half of the time."""


class Report(Struct):
    """What came of a world: every step in order, which promises were broken, how each job ended."""

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
        self._numbers: dict[str, int] = {}
        self._began = anyio.current_time()
        self.report = Report()
        self._witness = Witness(folder / "atelier.db")
        self._networks = [self._network(number) for number in range(plan.servers)]
        self._board = Board(self._rng, self._saw)
        self._trouble = Trouble(plan, self._networks, self._board, self._witness, self._say)
        self._bot = Bot(
            plan, folder, self._networks, self._board, self._witness, self._rng, self._say, self._trouble.reached
        )

    def _network(self, number: int) -> Network:
        simulator = Simulator(self._folder / f"server {number}", run_sync=inline, modern=self._plan.modern, seed=number)
        return Network(ServerName(f"server {number}"), simulator, self._rng, self._say, self._reached)

    async def play(self) -> Report:
        """Live through the trouble and the calm, and say what was broken."""
        with patch("app.house.PromptRegistry", self._witness.registry()), without_pixels():
            async with anyio.create_task_group() as world:
                for network in self._networks:
                    await world.start(network.simulator.run)
                world.start_soon(self._bot.run)
                for number, want in enumerate(self._plan.wants):
                    world.start_soon(self._person, number, want)
                await self._trouble.run(self._bot)
                await self._end()
                world.cancel_scope.cancel()
        self._witness.close()
        self.report.seconds = anyio.current_time() - self._began
        with open_store(self._folder / "atelier.db", clock=lambda: 0.0, durable=False) as store:
            self.report.broken += broken(self._plan, self._witness, self._board, store, self._networks, self._began)
            for entry in reversed(store.newest("", 1000)):
                self.report.endings.append(type(entry.job.last_word).__name__)
                for line in store.story(entry.job.id):
                    step, number = line.transition, self._numbers[entry.job.id]
                    told = f"{step.version} {step.state} {step.server}: {step.cause}"
                    self._say(f"#{number} {line.at:.3f} {told}")
        return self.report

    def _say(self, what: str) -> None:
        self.report.trace.append(f"{anyio.current_time() - self._began:9.4f} {what}")

    def _reached(self, moment: Moment, network: Network) -> None:
        self._trouble.reached(moment, network)

    def _saw(self, job: JobId, ended: bool) -> None:
        self._say(f"#{self._numbers.get(job, -1)} is shown{', ended' if ended else ''}")
        self._witness.saw(job)
        self._trouble.reached("shown")

    async def _person(self, number: int, want: Want) -> None:
        """Ask, and perhaps think better of it."""
        await anyio.sleep(want.at)
        await self._bot.opened.wait()
        job = JobId(self._bot.uuid())
        self._numbers[job] = number
        try:
            message = await self._board.begin(job)
        except ConnectionLost:
            return
        self._say(f"#{number} asks")
        self._bot.ask(self._wish(job, number, want), message)
        if want.cancel is not None:
            await anyio.sleep(want.cancel)
            self._say(f"#{number} takes it back")
            await self._bot.take_back(job)

    def _wish(self, job: JobId, number: int, want: Want) -> Wish:
        prefix = f"{'large' if want.large else 'small'} {job}"
        graph = picture(prefix, number, want.seconds, want.steps, previews=want.previews)
        match want.ending:
            case "breaks":
                graph["6"] = {"class_type": "BotTestRaise", "inputs": {"image": ["5", 0], "message": "boom"}}
                graph["7"]["inputs"] = {"images": ["6", 0], "filename_prefix": prefix}
            case "refused":
                graph["1"]["inputs"] = {"width": 0, "height": 8, "batch_size": 1, "color": number}
            case "well":
                pass
        servers = () if want.server is None else (self._networks[want.server % len(self._networks)].name,)
        folder = str(self._folder / "results")
        return Wish(job=job, workflow="test", graph=graph, folder=folder, servers=servers, owner="42", seed=number)

    async def _end(self) -> None:
        """Until everything has ended, or too long."""
        ends = anyio.current_time() + CALM
        while anyio.current_time() < ends:
            await anyio.sleep(5)
            if self._bot.door is not None and not self._witness.unfinished:
                break
        else:
            self.report.broken.append(f"not everything has ended {CALM:.0f} s after the trouble")
        await anyio.sleep(5)
        self.report.broken += self._witness.left_over()


@contextmanager
def without_pixels() -> Generator[None]:
    """The same for every preview and every result."""
    with (
        patch("app.simulator.painter.noise", _glimpse),
        patch("app.simulator.saving._png", _glimpse),
    ):
        yield


def _glimpse(*_: object) -> bytes:
    return GLIMPSE


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
