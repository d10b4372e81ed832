"""One world, from the first wish to the last word: the real house over the simulator, in one thread."""

from __future__ import annotations

import copy
import random
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, TypeVarTuple, Unpack
from unittest.mock import patch

import anyio
import trio
from anyio.abc import TaskGroup
from msgspec import Struct, field

from app.actors.handle import Registry
from app.actors.interaction import InteractionActor
from app.actors.registry import PromptRegistry
from app.archive import JournalError
from app.comfy.dial import dial
from app.comfy.http import open_comfy
from app.config import Server
from app.events import AnyUpdate, JobId, PromptId, ServerName
from app.house import Link, open_house
from app.jobs import Wish
from app.journal.sqlite import open_journal
from app.journal.store import open_store
from app.ports import ConnectionLost
from app.simulator.engine import Simulator
from app.simulator.faults import Request
from tests.conftest import inline, virtual
from tests.simulation.board import Board, Post
from tests.simulation.invariants import Witness, broken
from tests.simulation.network import Network
from tests.simulation.plan import CALM, TROUBLE, Fault, Plan, Want
from tests.world import PICTURE

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where files cost nothing, on systems that have such a place."""

SLOWEST_DISK = 0.03
"""Seconds for a commit that reaches the disk; a few milliseconds are usual."""

HERE = ServerName("server")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Report(Struct):
    """What came of a world: every step in order, and which promises were broken."""

    trace: list[str] = field(default_factory=list[str])
    broken: list[str] = field(default_factory=list[str])
    seconds: float = 0.0


def _glimpse(picture: object, clearness: float) -> bytes:
    return b"\xff\xd8\xff\xe0" + bytes(500)


class _Bot(Struct):
    """The bot, in one of its lives."""

    registry: Registry
    guests: TaskGroup


class Scene:
    """Owns one world: its server, its board, its journal's file, and the bot, while it lives."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._rng = random.Random(plan.chance)
        self.report = Report()
        self._simulator = Simulator(folder / "server", step_time=0.1, previews=True, run_sync=inline)
        self._network = Network(self._simulator, self._rng, self._say, self._took)
        self._board = Board(self._rng, self._saw)
        self.witness = Witness()
        self._bot_now: _Bot | None = None
        self._started = anyio.Event()
        self._life = anyio.CancelScope()
        self._disk_full = False
        self._down = 1.0
        self._began = 0.0
        self._numbers: dict[str, int] = {}

    async def play(self) -> Report:
        """Live through the trouble and the calm, and say what was broken."""
        witness = self.witness

        class Witnessed(PromptRegistry):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                witness.registries.append(self)

        # A preview's pixels matter to nobody here, and would take half of the time.
        with (
            patch("app.house.PromptRegistry", Witnessed),
            patch("app.simulator.painter.preview", _glimpse),
        ):
            return await self._play()

    async def _play(self) -> Report:
        self._began = anyio.current_time()
        async with anyio.create_task_group() as world:
            await world.start(self._simulator.run)
            world.start_soon(self._bot)
            for number, want in enumerate(self._plan.wants):
                world.start_soon(self._person, number, want)
            for fault in self._plan.faults:
                world.start_soon(self._bring_about, fault)
            await anyio.sleep(TROUBLE)
            self._calm()
            await self._end()
            world.cancel_scope.cancel()
        with open_store(self._path, clock=lambda: 0.0, durable=False) as store:
            self.report.broken += broken(self.witness, self._board, self._network, store)
            for entry in reversed(store.newest("", 1000)):
                for line in store.story(entry.job.id):
                    step = line.transition
                    self._say(f"#{self._number(step.job)} {line.at:.3f} {step.version} {step.state}: {step.cause}")
        self.report.seconds = anyio.current_time() - self._began
        return self.report

    @property
    def _path(self) -> Path:
        return self._folder / "atelier.db"

    def _say(self, what: str) -> None:
        self.report.trace.append(f"{anyio.current_time() - self._began:9.4f} {what}")

    def _number(self, job: str) -> int:
        return self._numbers.get(job, -1)

    def _saw(self, update: AnyUpdate) -> None:
        told = f"#{self._number(update.job)} {type(update).__name__} {getattr(update, 'reason', '')}"
        self._say(f"shown {told}".rstrip())
        if update.job not in self.witness.told:
            with open_store(self._path, clock=lambda: 0.0, durable=False) as store:
                self.witness.told[update.job] = store.find(update.job) is not None

    def _took(self, prompt: str) -> None:
        with closing(sqlite3.connect(self._path)) as database:
            known = database.execute("SELECT 1 FROM jobs WHERE prompt = ?", (prompt,)).fetchone()
        if known is None:
            self.witness.unwritten.append(prompt)

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def _pauses(self) -> Iterator[float]:
        return (pause * self._rng.uniform(0.5, 1.0) for pause in doubling())

    async def _bot(self) -> None:
        """One life after the other."""
        while True:
            self._say("the bot starts")
            with anyio.CancelScope() as self._life:
                try:
                    await self._live()
                except* JournalError:
                    self._say("the bot ends: its journal cannot be written")
            self._bot_now, self._started = None, anyio.Event()
            await anyio.sleep(self._down)

    async def _live(self) -> None:
        client_id = self._uuid()
        server = Server(url="http://server")
        clock = anyio.current_time
        opened = open_journal(self._path, run_sync=self._on_disk, clock=lambda: clock() - self._began, durable=False)
        async with opened as journal, open_comfy(server, client_id, run_sync=inline, transport=self._network) as comfy:
            links = {HERE: Link(comfy, partial(dial, partial(self._network.connect, client_id)))}
            house = open_house(
                links,
                journal,
                depth=self._plan.depth,
                run_sync=inline,
                mint=lambda: PromptId(self._uuid()),
                pauses=self._pauses,
            )
            async with house as found, anyio.create_task_group() as guests:
                for job in await journal.unfinished():
                    reply = Post(self._board, found.registry, job.id, int(job.place))
                    self._follow(guests, InteractionActor(job.id, found.registry, reply, pauses=self._pauses))
                self._bot_now = _Bot(found.registry, guests)
                self._started.set()
                await anyio.sleep_forever()

    async def _on_disk(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        """A disk takes its time, and what is on its way when the bot dies was never written."""
        await anyio.sleep(self._rng.uniform(0, SLOWEST_DISK))
        if self._disk_full and function.__name__ == "write":
            raise JournalError("the disk is full")
        return await inline(function, *args)

    def _follow(self, guests: TaskGroup, actor: InteractionActor) -> None:
        guests.start_soon(actor.run)

    async def _person(self, number: int, want: Want) -> None:
        """Ask, and perhaps think better of it."""
        await anyio.sleep(want.at)
        await self._started.wait()
        job = JobId(self._uuid())
        self._numbers[job] = number
        graph = copy.deepcopy(PICTURE)
        sampler = graph["5"]["inputs"]
        assert isinstance(sampler, dict)
        sampler["seed"] = number
        wish = Wish(job=job, workflow="test", graph=graph, folder=str(self._folder / "results"), seed=number)
        try:
            message = await self._board.create(job, job)
        except ConnectionLost:
            return
        if (bot := self._alive()) is None:
            return
        self._say(f"#{number} asks")
        reply = Post(self._board, bot.registry, job, message.number)
        place = str(message.number)
        self._follow(bot.guests, InteractionActor(wish, bot.registry, reply, place=place, pauses=self._pauses))
        if want.cancel is not None:
            await anyio.sleep(want.cancel)
            if (bot := self._alive()) is not None:
                self._say(f"#{number} takes it back")
                await bot.registry.cancel(job)

    def _alive(self) -> _Bot | None:
        return self._bot_now

    async def _bring_about(self, fault: Fault) -> None:
        await anyio.sleep(fault.at)
        self._say(f"fault {fault.kind} for {fault.seconds}")
        until = min(anyio.current_time() + fault.seconds, self._began + TROUBLE)
        network, simulator, count = self._network, self._simulator, 1 + fault.which % 3
        match fault.kind:
            case "drop":
                network.cut()
            case "half_open":
                network.half_open()
            case "deaf":
                simulator.faults.ask(Request(deaf=True))
            case "stall":
                simulator.faults.ask(Request(stall=until - anyio.current_time()))
            case "refuse":
                network.refused_until = until
                network.cut()
            case "refuse_sockets":
                network.sockets_refused_until = until
                network.cut()
            case "restart":
                network.life += 1
                simulator.faults.ask(Request(restart=until - anyio.current_time()))
            case "forget_pending" | "forget_history":
                self.witness.meddled.add(network.life)
                simulator.faults.ask(Request(forget=fault.kind.removeprefix("forget_")))
            case "forget_prompt":
                self.witness.meddled.add(network.life)
                if network.taken:
                    simulator.faults.ask(Request(forget=network.taken[fault.which % len(network.taken)][2]))
            case "post_500":
                network.broken_posts = count
            case "post_500_effect":
                network.broken_posts_with_effect = count
            case "lose_replies":
                network.lost_replies = count
            case "delay":
                network.delayed_until = until
            case "slow_frames":
                network.slow_until = until
            case "duplicate":
                network.doubled_until = until
            case "garbage":
                network.garbled_until = until
            case "kill":
                self._down = fault.seconds
                self._life.cancel()
            case "disk_full":
                self._disk_full, self._down = True, fault.seconds
                await anyio.sleep(fault.seconds)
                self._disk_full = False
            case "board_away":
                self._board.away_until = until
            case "board_forgets":
                self._board.forgetful_until = until
            case "message_deleted":
                if self._board.messages:
                    self._board.messages[fault.which % len(self._board.messages)].deleted = True

    def _calm(self) -> None:
        self._say("calm")
        self._network.calm()
        self._board.away_until = self._board.forgetful_until = float("-inf")
        self._disk_full = False
        self._down = 1.0

    async def _end(self) -> None:
        """Until everything has ended, or too long."""
        ends = anyio.current_time() + CALM
        while anyio.current_time() < ends:
            await anyio.sleep(5)
            with open_store(self._path, clock=lambda: 0.0, durable=False) as store:
                if self._alive() is not None and not store.unfinished():
                    break
        else:
            self.report.broken.append(f"not everything has ended {CALM:.0f} s after the trouble")
        await anyio.sleep(5)
        self.report.broken += self.witness.left_over()


def simulate(plan: Plan, backend: str) -> Report:
    """Play one world on virtual time. The same plan gives the same report, to the byte."""
    if backend == "trio":
        # trio shuffles its tasks on purpose; private names, which a test holds against trio's own changes.
        trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # pyright: ignore[reportPrivateUsage]
        trio._core._run._r.seed(plan.chance)  # pyright: ignore[reportPrivateUsage]
    with TemporaryDirectory(dir=MEMORY) as folder:
        name, options = virtual(backend)
        return anyio.run(_play, plan, Path(folder), backend=name, backend_options=options)


async def _play(plan: Plan, folder: Path) -> Report:
    return await Scene(plan, folder).play()


def doubling() -> Iterator[float]:
    """The pauses of `app.backoff`, before it throws its own dice."""
    pause = 0.1
    while True:
        yield pause
        pause = min(pause * 2, 2.0)
