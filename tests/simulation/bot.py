"""The bot, one life after the other: the real house and the real replies, on a journal that outlives it."""

from __future__ import annotations

import errno
import random
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

import anyio

from app.archive import JournalError
from app.comfy.dial import dial
from app.discord import place as places
from app.events import JobId, PromptId
from app.house import Link, open_house
from app.jobs import Wish
from app.journal.sqlite import open_journal
from app.ports import Graph
from tests.conftest import inline
from tests.simulation.board import Board, Message
from tests.simulation.door import Door
from tests.simulation.network import Network
from tests.simulation.plan import Moment, Plan
from tests.simulation.server import MemoryComfy
from tests.simulation.witness import Witness

SLOWEST_DISK = 0.03
"""Seconds for a commit that reaches the disk; a few milliseconds are usual."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Bot:
    """Owns the lives of one bot. What the world does to it stands in its attributes, times in the loop's clock."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        networks: list[Network],
        board: Board,
        witness: Witness,
        rng: random.Random,
        say: Callable[[str], None],
        reached: Callable[[Moment], None],
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._networks = networks
        self._board = board
        self._witness = witness
        self._rng = rng
        self._say = say
        self._reached = reached
        self._life = anyio.CancelScope()
        self._began = anyio.current_time()
        self.door: Door | None = None
        """Where it can be asked; None while it is dead."""
        self.opened = anyio.Event()
        self.down = 1.0
        """Seconds between two lives."""
        self.disk_full_until = self.results_full_until = float("-inf")

    def uuid(self) -> str:
        """By this world's dice."""
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def kill(self, down: float) -> None:
        """Only what was committed survives."""
        self.down = down
        self._life.cancel()

    async def run(self) -> None:
        """One life after the other."""
        while True:
            self._say("the bot starts")
            with anyio.CancelScope() as self._life:
                try:
                    await self._live()
                except* JournalError:
                    self._say("the bot ends: its journal cannot be written")
            self.door, self.opened = None, anyio.Event()
            await anyio.sleep(self.down)

    async def _live(self) -> None:
        client_id = self.uuid()
        links = {network.name: self._link(network, client_id) for network in self._networks}
        path, clock = self._folder / "atelier.db", anyio.current_time
        opened = open_journal(path, run_sync=self._on_disk, clock=lambda: clock() - self._began, durable=False)
        async with opened as journal:
            house = open_house(
                links,
                journal,
                depth=self._plan.depth,
                run_sync=inline,
                mint=lambda: PromptId(self.uuid()),
                pauses=self._pauses,
            )
            async with house as found, anyio.create_task_group() as guests:
                self.door = Door(found.registry, self._board, guests, self._pauses)
                for job in await journal.unfinished():
                    if (place := places.read(job.place)) is not None:
                        self.door.resume(job, place)
                self.opened.set()
                await anyio.sleep_forever()

    def _link(self, network: Network, client_id: str) -> Link:
        comfy = MemoryComfy(network, client_id, self._on_results_disk, self._took, self._witness.withdrew)
        return Link(comfy, partial(dial, partial(network.connect, client_id)))

    def _took(self, network: Network, prompt: PromptId, graph: Graph) -> None:
        match graph["7"]["inputs"]:
            case {"filename_prefix": str(prefix)}:
                self._witness.took(network, JobId(prefix.rpartition(" ")[2]), prompt)
            case inputs:
                raise AssertionError(inputs)

    def ask(self, wish: Wish, message: Message) -> None:
        """Hand in a wish, if anybody is there."""
        if self.door is not None:
            self.door.begin(wish, message)

    async def take_back(self, job: JobId) -> None:
        """Cancel a job, if anybody is there."""
        if self.door is not None:
            self._witness.asked_back.setdefault(job, anyio.current_time())
            await self.door.registry.cancel(job)

    def _pauses(self) -> Iterator[float]:
        return (pause * self._rng.uniform(0.5, 1.0) for pause in doubling())

    async def _on_disk(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        """A disk takes its time, and what is on its way when the bot dies was never written."""
        write = function.__name__ == "write"
        if write:
            self._reached("commit")
        await anyio.sleep(self._rng.uniform(0, SLOWEST_DISK))
        if write and anyio.current_time() < self.disk_full_until:
            raise JournalError("the disk is full")
        done = function(*args)
        if write:
            self._reached("committed")
        return done

    async def _on_results_disk(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        if function.__name__ == "finish" and anyio.current_time() < self.results_full_until:
            raise OSError(errno.ENOSPC, "No space left on device")
        return await inline(function, *args)


def doubling() -> Iterator[float]:
    """The pauses of `app.backoff`, before it throws its own dice."""
    pause = 0.1
    while True:
        yield pause
        pause = min(pause * 2, 2.0)
