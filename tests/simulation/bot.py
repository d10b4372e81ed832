"""The bot, one process after the other: the real application and dispatcher, on a journal that survives."""

from __future__ import annotations

import errno
import random
import signal
import sqlite3
import uuid
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack
from unittest.mock import patch

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from msgspec import Struct
from msgspec.structs import replace

from app import application
from app.actors.client_pool import ClientPool, ServerClients
from app.application import Services, open_services
from app.comfy.websocket.connect import connect
from app.config.settings import Config, Server
from app.core.jobs.progress import ProgressTracker
from app.core.journal_port import JournalError, JournalUnavailable
from app.discord.custom_id import Press
from app.discord.ui.forms import Form
from app.discord.user_request import Caller, UserRequest
from app.events import PromptId, ServerName, Signal
from app.journal.sqlite import SqliteJournal, open_journal
from app.ports import RunSync
from app.system.signals import exit_code
from tests.conftest import inline
from tests.simulation.board import Board
from tests.simulation.frontend import SimulatedFrontend, Surroundings
from tests.simulation.malformed import LARGEST
from tests.simulation.network import Network
from tests.simulation.offer import Folder
from tests.simulation.plan import Fault, Moment, Plan
from tests.simulation.recorder import Recorder
from tests.simulation.server import MemoryComfy, fail

SLOWEST_DISK = 0.03
"""Seconds for a commit that reaches the disk; a few milliseconds are usual."""

HANGUPS = 100
"""How many SIGHUPs may wait."""

STOPS = 2.0
"""Seconds within which a stop must be over once nothing is waited for (`app.application.GRACE`)."""

ROUND = 10.0
"""Seconds between two readings of an operator's requests: every second would be a quarter of all the work here."""

WRITES = frozenset(
    {
        "write",
        "client_id",
        "record_power",
        "done",
        "prefer",
        "decide",
        "remove_jobs",
        "give_back",
        "hide_from_gallery",
        "expect_late_edits",
        "expect_no_late_edit",
    }
)
"""The functions of the journal that write."""

FULL = OSError(errno.ENOSPC, "No space left on device")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


HANGUP = 1
"""The number of SIGHUP."""


class Inline(Struct, frozen=True):
    """See `anyio.to_thread`: without a thread."""

    run_sync: RunSync


class Receiver:
    """See `app.system.signals.Receiver`."""

    def __init__(self, signals: MemoryObjectReceiveStream[int]) -> None:
        self._signals = signals

    def __aiter__(self) -> MemoryObjectReceiveStream[int]:
        return self._signals

    def exit_code(self, signum: int) -> int:
        """That of `run`."""
        return exit_code("run", signum)


class Bot:
    """Owns the successive processes of one bot. Its attributes hold the faults; times are in the loop's clock."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        networks: list[Network],
        board: Board,
        recorder: Recorder,
        rng: random.Random,
        say: Callable[[str], None],
        reached: Callable[[Moment], None],
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._networks = networks
        self._board = board
        self._recorder = recorder
        self._rng = rng
        self._say = say
        self._reached = reached
        self._workflows = Folder([network.name for network in networks])
        self._config = Config(servers=(), data=folder, workflows=folder / "workflows", depth=plan.depth)
        self.configured = {
            network.name: Server(url=f"http://{network.name}", name=network.name) for network in networks
        }
        """The servers that the configuration's file names."""
        self._life = anyio.CancelScope()
        self._began = anyio.current_time()
        self._client_id = ""
        self._signals: MemoryObjectSendStream[int] | None = None
        self._patience = 0
        """How many signals this process still takes."""
        self._closing = anyio.Event()
        self._left = float("inf")
        self._doors: list[SimulatedFrontend] = []
        """Those that are open. A front that stood still opens its own although another one is active since."""
        """The frontend; None while the process is not running."""
        self.opened = anyio.Event()
        self.down = 1.0
        """Seconds between two processes."""
        self.clock_ahead = 0.0
        """Seconds by which the clock of its machine is ahead of the loop's."""
        self.draining_since: float | None = None
        """Since when it drains."""
        self.calm()

    def calm(self) -> None:
        """End all faults."""
        self.disk_full_until = self.results_full_until = self.damaged_until = self.locked_until = float("-inf")
        self.sync_fails = False
        self.down = 1.0

    def uuid(self) -> uuid.UUID:
        """A UUID from this world's random numbers."""
        return uuid.UUID(int=self._rng.getrandbits(128), version=4)

    def new_id(self) -> str:
        """A new log id from this world's random numbers; replaces `app.boundary.new_id`."""
        return f"{self._rng.getrandbits(32):08x}"

    def kill(self, down: float) -> None:
        """Kill the process; only what was committed survives."""
        self.down = down
        self._life.cancel()

    def suffer(self, fault: Fault, until: float) -> None:
        """Something happens to fronts, workers or the engine: see `tests.simulation.engine.fleet`."""
        raise AssertionError(fault, until)

    async def differences(self) -> Sequence[str]:
        """In what the journals of several fronts differ once all is quiet."""
        return ()

    def remove(self, network: Network) -> None:
        """Start again without this server in the configuration."""
        network.gone = True
        self.configured.pop(network.name, None)
        self.kill(1.0)

    def reload(self) -> None:
        """Send SIGHUP: the configuration is loaded again."""
        if self._signals is not None:
            self._signals.send_nowait(HANGUP)

    def stop(self, down: float) -> None:
        """Send SIGTERM; one more than the application takes ends the process at once."""
        if self._signals is None:
            return
        self.down = down
        if self._patience == 0:
            self.kill(down)
            return
        self._patience -= 1
        if self._plan.drain and self.draining_since is None:
            self.draining_since = anyio.current_time()
        self._signals.send_nowait(signal.SIGTERM)

    async def run(self) -> None:
        """Run one process after the other."""
        with self._as_in_this_world():
            while True:
                self._say("the bot starts")
                try:
                    with anyio.CancelScope() as self._life:
                        self._left_with(await self._live())
                except* JournalError as errors:
                    self._say("the bot ends: its journal is damaged")
                    if anyio.current_time() > self.damaged_until + SLOWEST_DISK:
                        self._recorder.ended_by_itself(errors)
                except* Exception as errors:  # noqa: BLE001  an invariant judges it
                    self._say("the bot ends by itself")
                    self._recorder.ended_by_itself(errors)
                self._signals = None
                self._close_doors()
                self.draining_since = None
                self._board.bot_died(self._recorder.knows_deleted)
                await anyio.sleep(self.down)

    @property
    def door(self) -> SimulatedFrontend | None:
        """Where people reach the bot; None if they do not."""
        return self._doors[-1] if self._doors else None

    def _close_doors(self, *but: SimulatedFrontend) -> None:
        """Close all doors but these."""
        self._doors = list(but)
        if not but:
            self.opened = anyio.Event()

    def _left_with(self, code: int) -> None:
        self._say(f"the bot ends with {code}")
        if code or not self._closing.is_set():
            self._recorder.ended_by_itself(None)
        elif (late := anyio.current_time() - self._left) > STOPS:
            self._recorder.wrong.append(f"a stop took {late:.1f} s")

    async def _live(self) -> int:
        drawn = str(self.uuid())
        # The journal keeps it, so that each life has that of the first.
        self._client_id = self._client_id or drawn
        self._closing, self._left = anyio.Event(), float("inf")
        self._recorder.servers.starts(self.configured)
        path = self._folder / "atelier.db"
        opened = open_journal(path, run_sync=self._on_disk, clock=self.clock, durable=False)
        async with opened as journal:
            return await self._serve(journal, self._load(), Surroundings(self._board, self._folder))

    async def _serve(self, journal: SqliteJournal, config: Config, around: Surroundings) -> int:
        """Run the application on this journal; its exit code."""

        async def frontend(services: Services) -> int:
            self._closing = services.shutdown
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._note_leaving, services, name="leaving")
                door = SimulatedFrontend(
                    services,
                    journal,
                    self._workflows,
                    self._board,
                    tasks,
                    self.clock,
                    self._recorder,
                    self._answers,
                    around,
                    servers_change=self._plan.servers_change,
                    notify=self._plan.notify,
                )

                def open_door() -> None:
                    self._doors.append(door)
                    self.opened.set()

                try:
                    await door.live(open_door)
                finally:
                    if door in self._doors:
                        self._doors.remove(door)
                        self._close_doors(*self._doors)
            return 0

        return await application.run(
            config,
            frontend,
            journal=journal,
            drain=self._plan.drain,
            load=self._load if self._plan.servers_change and not self._plan.fronts else None,
            asked=True,
            others=around.others,
            stop=around.stop,
            lease=around.lease,
        )

    def _answers(self, name: ServerName) -> bool:
        """Whether a server says at this moment which nodes it has."""
        return next(network for network in self._networks if network.name == name).answers

    def _load(self) -> Config:
        """The configuration as its file is now."""
        return replace(self._config, servers=tuple(self.configured.values()))

    async def _note_leaving(self, services: Services) -> None:
        await services.shutdown.wait()
        self._left = anyio.current_time()

    @contextmanager
    def _as_in_this_world(self) -> Generator[None]:
        """The application, with the servers, the signals and the random numbers of this world."""
        recorder, hear = self._recorder, ProgressTracker.handle

        def heard(tracker: ProgressTracker, signal: Signal, now: float) -> bool:
            if recorder.breaks_job("break_signal", tracker._job):  # pyright: ignore[reportPrivateUsage]
                fail(self._rng)
            return hear(tracker, signal, now)

        opens = partial(
            open_services,
            run_sync=self._on_results_disk,
            new_prompt_id=lambda: PromptId(str(self.uuid())),
            pauses=self._pauses,
        )
        with ExitStack() as stack:
            for name, replacement in {
                "app.application.open_clients": self._servers,
                "app.application.open_services": opens,
                "app.application.PromptRegistry": recorder.registry(),
                "app.system.signals.listen": self._listen,
                "app.system.signals.stops": stops,
                "app.actors.reload.to_thread": Inline(inline),
                # Its file is never looked at: operators send SIGHUP.
                "app.actors.reload.LOOK": float("inf"),
                "uuid.uuid4": self.uuid,
                "random.SystemRandom": lambda: self._rng,
                "app.boundary.new_id": self.new_id,
                "app.backoff.random": self._rng,
                # Only what the port of a malformed server gets is measured: `malformed.py`.
                "app.comfy.client.ANSWER_BYTES": LARGEST,
                # SQLite would wait for the other program in real time.
                "app.journal.sqlite.BUSY": 0.0,
                "app.actors.operator.ROUND": ROUND,
                "anyio.to_thread.run_sync": no_thread,
            }.items():
                stack.enter_context(patch(name, replacement))
            stack.enter_context(patch.object(ProgressTracker, "handle", heard))
            yield

    @asynccontextmanager
    async def _servers(
        self, config: Config, client_id: str | None, workers: None
    ) -> AsyncGenerator[Mapping[ServerName, ServerClients]]:
        assert workers is None, "these worlds have no engine"
        pool = ClientPool(self._open_server)
        try:
            for server in config.servers:
                await pool.open(server)
            yield pool
        finally:
            await pool.aclose()

    @asynccontextmanager
    async def _open_server(self, server: Server) -> AsyncGenerator[ServerClients]:
        network = next(network for network in self._networks if network.name == server.label)
        comfy = MemoryComfy(network, self._client_id, self._on_results_disk, self._recorder, self._rng)
        yield ServerClients(comfy, partial(connect, partial(network.connect, self._client_id)))

    @contextmanager
    def _listen(self, *, patience: int = 1) -> Generator[Receiver]:
        """See `app.system.signals.listen`: the signals of this world instead of the process's own."""
        sender, receiver = anyio.create_memory_object_stream[int](patience + HANGUPS)
        self._signals, self._patience = sender, patience
        with sender, receiver:
            yield Receiver(receiver)

    def tell(self, request: UserRequest) -> None:
        """Pass on a request, if the bot is running."""
        if self.door is not None:
            self.door.tell(request)

    async def form(self, press: Press, caller: Caller) -> Form | str | None:
        """The content of a button's form, if the bot is running."""
        return await self.door.form(press, caller) if self.door is not None else "This interaction failed"

    def _pauses(self) -> Iterator[float]:
        return (pause * self._rng.uniform(0.5, 1.0) for pause in doubling())

    def clock(self) -> float:
        """The clock of its machine, which may be set while it runs."""
        return anyio.current_time() - self._began + self.clock_ahead

    async def _on_disk(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        """Delay each write; one that is in progress when the bot dies is lost."""
        write, writes = function.__name__ == "write", function.__name__ in WRITES
        if write:
            self._reached("commit")
        await anyio.sleep(self._rng.uniform(0, SLOWEST_DISK))
        if write and anyio.current_time() < self.damaged_until:
            raise JournalError("The journal is damaged.")
        if writes and anyio.current_time() < self.disk_full_until:
            raise JournalUnavailable("The disk of the journal is full.")
        if anyio.current_time() < self.locked_until:
            with held(self._folder / "atelier.db"):
                return function(*args)
        done = function(*args)
        if write and self.sync_fails:
            self.sync_fails = False
            self.damaged_until = anyio.current_time()
            raise JournalError("A commit may not have reached the disk.")
        if write:
            self._reached("committed")
        return done

    async def _on_results_disk(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        if anyio.current_time() < self.results_full_until and function.__name__ in {"finish", "_write"}:
            raise FULL
        path: object = args[-1] if args else None
        if function.__name__ == "_write" and isinstance(path, Path) and self._recorder.breaks_file("break_keep", path):
            return fail(self._rng)
        return await inline(function, *args)


@contextmanager
def held(journal: Path) -> Generator[None]:
    """Hold the journal as another program does that writes to it: SQLite itself refuses other writes."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def stops(signum: int) -> bool:
    """See `app.system.signals.stops`: SIGHUP does not."""
    return signum != HANGUP


async def no_thread(function: Callable[..., object], *_: object, **__: object) -> object:
    """A thread takes real time, in which virtual time would jump ahead."""
    raise AssertionError(function)


def doubling() -> Iterator[float]:
    """The pauses of `app.backoff` without its ten seconds of short ones, which would be most of all the work here."""
    pause = 0.1
    while True:
        yield pause
        pause = min(pause * 2, 2.0)
