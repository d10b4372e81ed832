"""Several fronts and workers over the modelled engine: the real standby, lease, publisher, copies and workers.

Each front has a data folder of its own with a real journal. Each worker is on the machine of one simulated server.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack, cast
from unittest.mock import patch

import anyio

from app.actors.client_pool import ServerClients
from app.application import open_clients
from app.cli import front as front_command
from app.cli.run import Sharing, client_id_of
from app.comfy.client import ComfyClient
from app.comfy.download import save
from app.comfy.websocket.connect import connect
from app.config.settings import Config, Server
from app.core.journal_port import JournalError
from app.discord.messages.active_sender import ActiveSender
from app.discord.messages.ports import MessageSender
from app.discord.user_request import Caller
from app.engine.messages import CHUNK, OfferedServer
from app.engine.remote_servers.comfy import ANSWER
from app.engine.remote_servers.workers import FrontSettings, Workers
from app.engine.replication.files import FrontFiles
from app.engine.replication.front_shards import FrontShards
from app.engine.replication.lease import SECONDS, FrontLease
from app.engine.replication.messages import Front
from app.engine.replication.open_requests import EngineOpenRequests
from app.engine.replication.standby import FrontOnStandby, JournalFile
from app.engine.replication.watch import FrontsWatch
from app.engine.worker.lease import NameInUse
from app.engine.worker.session import WorkerSettings, work
from app.events import ServerName
from app.journal.copies.named_files import NamedFiles
from app.journal.copies.replica import open_replica
from app.journal.copies.whole_copies import install, standing_of
from app.journal.migrations import NEWEST
from app.journal.opening import instance_lock
from app.journal.sqlite import open_journal
from tests.conftest import inline
from tests.simulation.board import Board
from tests.simulation.bot import HANGUPS, SLOWEST_DISK, Bot, Receiver
from tests.simulation.engine.model import EngineModel
from tests.simulation.engine.process import PROCESS, GatedSender, Process
from tests.simulation.frontend import Surroundings
from tests.simulation.network import Network
from tests.simulation.plan import Fault, Kind, Moment, Plan
from tests.simulation.recorder import Recorder
from tests.simulation.server import MemoryComfy

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

FORGOTTEN = 1.0
"""Seconds of which the engine forgets everything at a failover."""

LARGEST = 2**20
"""Bytes of the largest file that fronts copy, and of the largest result."""

SETTLED = 40.0
"""Seconds after a takeover in which the front before may still show something (`app.discord.app.SETTLED`): no process
stands still for longer here, and no request is on its way for longer."""

QUIET = max(SETTLED, ANSWER) + 5.0
"""Seconds in which nothing happens, and after which the journals of all fronts are equal, and nobody waits any longer
for an answer that a failover has forgotten."""

RECOVERED = 12.0
"""Seconds in which others have got again what the engine has forgotten."""

FORGETFUL: frozenset[Kind] = frozenset(
    {"cut_front", "silent_engine", "slow_engine", "lost_answers", "fail_over", "flush", "engine_full"}
)
"""What may keep it from the next front who waits for an answer."""

HURTFUL: frozenset[Kind] = frozenset({"kill_front", "stop_front", "freeze_front", "cut_front"})
"""What may keep the active front from publishing."""

RARELY = {
    "app.engine.replication.copies.ASKED": 1.0,
    "app.engine.replication.copies.LOOK": 0.1,
    "app.engine.replication.files.LOOK": 0.1,
    "app.engine.replication.files.SOON": 2.0,
    # A file that no front had is asked for again before the end of a world.
    "app.engine.replication.files.AGAIN": 30.0,
    "app.engine.replication.transfers.LOOK": 0.1,
}
"""Seconds between two looks of fronts at each other. Most find nothing, and as they are, they would be most of the
work."""


class LoopTime:
    """See `time`."""

    @staticmethod
    def monotonic() -> float:
        """The clock of the event loop."""
        return anyio.current_time()


class OneShard:
    """See `FrontShards`: the active front holds the only one."""

    async def direct(self, lease: FrontLease) -> None:
        """Divide nothing."""
        del lease
        await anyio.sleep_forever()


class Fleet(Bot):
    """Owns the fronts and the workers, and the engine between them. For people, it is one bot."""

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
        self._engine_rng = random.Random(f"engine {plan.chance}")
        # A picture travels with the answer of a worker, or as a chunk.
        self._small = random.Random(f"small {plan.chance}").choice((0, CHUNK))
        self._active: Process | None = None
        """The front that has become active last."""
        self._forgot_at = float("-inf")
        """When the engine forgot something the last time."""
        self._acknowledged: dict[int, float] = {}
        """When somebody was told that the bot thinks, by the number of the message that says so."""
        self._model = EngineModel(lambda: 1e9 + anyio.current_time())
        self.fronts = [self._process(folder, f"front-{number}") for number in range(plan.fronts)]
        self._workers = {network.name: self._process(folder, network.name) for network in networks}
        super().__init__(plan, folder, networks, board, recorder, rng, say, reached)

    def _process(self, folder: Path, name: str) -> Process:
        (folder / name).mkdir()
        return Process(name, folder / name, self._model, self._engine_rng)

    @property
    def _processes(self) -> list[Process]:
        return [*self.fronts, *self._workers.values()]

    def calm(self) -> None:
        """See `Bot`."""
        super().calm()
        self._model.is_full = False
        for process in self._processes:
            process.thaw()
            process.engine.calm()
            process.down = 1.0

    async def run(self) -> None:
        """Run all processes, each life after the other."""
        with self._as_in_this_world():
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                for front in self.fronts:
                    tasks.start_soon(self._run_lives, front, partial(self._run_front, front), name=front.name)
                for name, worker in self._workers.items():
                    tasks.start_soon(self._run_lives, worker, partial(self._run_worker, name, worker), name=name)

    async def _run_lives(self, process: Process, live: Callable[[], Awaitable[None]]) -> None:
        PROCESS.set(process)
        while True:
            self._say(f"{process.name} starts")
            process.begin()
            try:
                with process.scope:
                    await live()
            except* JournalError as errors:
                self._say(f"{process.name} ends: {errors.exceptions}")
                self._recorder.ended_by_itself(errors)
            except* Exception as errors:  # noqa: BLE001  an invariant judges it
                self._say(f"{process.name} ends by itself")
                self._recorder.ended_by_itself(errors)
            process.kill(process.down)
            await anyio.sleep(process.down)

    # Fronts.

    async def _run_front(self, process: Process) -> None:
        """See `app.cli.front.run_front`, without its arguments and what it serves."""
        path = process.path / "atelier.db"
        config = Config(servers=(), data=process.path, workflows=self._folder / "workflows", depth=self._plan.depth)
        front = Front(self.uuid().hex, process.name, "test", NEWEST)
        journal = JournalFile(
            path,
            partial(standing_of, path),
            partial(open_replica, path),
            lambda received, folder, keep: install(received, path, folder, keep=keep),
        )
        async with anyio.create_task_group() as tasks:
            files = FrontFiles(process.engine, front.id, process.path, LARGEST, NamedFiles(path, self.clock))
            tasks.start_soon(files.run, name="files of other fronts")
            watch = FrontsWatch(process.engine, front.id)
            open_requests = EngineOpenRequests(process.engine, front.id)
            tasks.start_soon(open_requests.run, name="open requests")
            parts = front_command.FrontParts(watch, files, open_requests, cast("FrontShards", OneShard()))
            standby, code = FrontOnStandby(process.engine, front, journal), None
            while code is None:
                with instance_lock(path):
                    turn = await standby.wait()
                self._active = process
                self._say(f"{process.name} is active with epoch {turn.lease.epoch}")
                code = await front_command._be_active(  # pyright: ignore[reportPrivateUsage]
                    process.engine, turn, config, path, parts, drain=self._plan.drain
                )
                self._say(f"{process.name} is no longer active: {code}")
            await files.hand_over()
            with anyio.move_on_after(front_command.GIVING_UP):
                await open_requests.settled()
            tasks.cancel_scope.cancel()

    async def _run_bot(self, config: Config, *, drain: bool, sharing: Sharing) -> int:
        """See `app.cli.run.run_bot`."""
        del drain
        publisher = sharing.publisher
        assert publisher is not None
        process = PROCESS.get()
        path = process.path / "atelier.db"

        opened = open_journal(
            path, run_sync=partial(self._on_front_disk, process), clock=self.clock, durable=False, publisher=publisher
        )
        try:
            async with opened as journal:
                client_id = await client_id_of(journal, sharing.stop)
                if client_id is None:
                    return 0
                self._client_id = client_id
                # Not before: a front that was frozen meanwhile is not the active one any more.
                self._recorder.move(path)
                self._recorder.servers.starts(self.configured)
                shown_by = ActiveSender(self._board, lambda: publisher.active_for)
                around = Surroundings(
                    shown_by=cast("MessageSender", GatedSender(process, shown_by, partial(self._shows, process))),
                    folder=process.path,
                    sender=cast("MessageSender", GatedSender(process, self._board)),
                    is_suspended=lambda: journal.is_suspended,
                    others=sharing.others,
                    open_requests=sharing.open_requests,
                    gate=process.gate,
                    acknowledges=self._acknowledges,
                    settled_after=SETTLED,
                    stop=sharing.stop,
                    lease=publisher.lease,
                )
                return await self._serve(journal, config, around)
        finally:
            self._board.bot_died(self._recorder.knows_deleted)

    def _shows(self, process: Process) -> None:
        """A front is about to show something."""
        forgot = anyio.current_time() < self._forgot_at + 2 * SECONDS
        if process is not self._active and not forgot:
            active = self._active.name if self._active is not None else "nobody"
            self._recorder.wrong.append(f"{process.name} shows something although {active} is active")
        self._reached("departing")

    async def _on_front_disk(self, process: Process, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> T:
        await process.gate()
        return await self._on_disk(function, *args)

    @asynccontextmanager
    async def _open_workers(
        self, config: Config, client_id: str, *, lease: tuple[str, bytes]
    ) -> AsyncGenerator[Workers]:
        """See `app.application.open_workers`."""
        del config

        async def save_stream(stream: AsyncIterator[bytes], to: Path, size: int) -> None:
            await save(stream, to, self._on_results_disk, expected=size)

        settings = FrontSettings(
            client_id=client_id,
            save=save_stream,
            run_sync=self._on_results_disk,
            largest_result=LARGEST,
            lease=lease,
        )
        async with anyio.create_task_group() as tasks:
            workers = Workers(PROCESS.get().engine, settings)
            tasks.start_soon(workers.follow, name="what workers send")
            await workers.first_look()
            try:
                yield workers
            finally:
                tasks.cancel_scope.cancel()

    # Workers.

    async def _run_worker(self, name: ServerName, process: Process) -> None:
        settings = WorkerSettings(
            name=name,
            servers={"": Server(url=f"http://{name}", name=name)},
            offer=lambda: (OfferedServer(),),
            folder=process.path,
            program="test",
            run_sync=inline,
        )
        try:
            await work(process.engine, settings, partial(self._open_host, name, process))
        except NameInUse:
            self._say(f"{name}: the name is in use")

    @asynccontextmanager
    async def _open_host(
        self, name: ServerName, process: Process, _: Server, client_id: str
    ) -> AsyncGenerator[ServerClients]:
        network = next(network for network in self._networks if network.name == name)
        comfy = WorkerComfy(network, client_id, inline, self._recorder, self._rng)
        comfy.gate = process.gate
        yield ServerClients(comfy, partial(connect, partial(network.connect, client_id)))

    def _answers(self, name: ServerName) -> bool:
        return super()._answers(name) and self._workers[name].is_up

    # What happens to them.

    def suffer(self, fault: Fault, until: float) -> None:
        """See `Bot`."""
        seconds = max(until - anyio.current_time(), 0.0)
        front = self.fronts[fault.which % len(self.fronts)]
        worker = list(self._workers.values())[fault.which % len(self._workers)]
        anybody = self._processes[fault.which % len(self._processes)]
        if self._would_lose_both(fault, front, anybody):
            self._say("not now")
            return
        match fault.kind:
            case "kill_front":
                front.kill(fault.seconds)
            case "stop_front":
                self._stop(front, fault.seconds)
            case "freeze_front":
                front.freeze(seconds)
            case "cut_front":
                front.engine.cut(seconds)
            case "kill_worker":
                worker.kill(fault.seconds)
            case "freeze_worker":
                worker.freeze(seconds)
            case "cut_worker":
                worker.engine.cut(seconds)
            case "slow_engine":
                for process in self._processes:
                    process.engine.slow(seconds)
            case "silent_engine":
                anybody.engine.silence(seconds)
            case "lost_answers":
                anybody.engine.lost_answers += 1 + fault.which % 3
            case "doubled_commands":
                anybody.engine.doubled += 1 + fault.which % 10
            case "fail_over":
                self._forgot_at = anyio.current_time()
                self._model.fail_over(FORGOTTEN)
                for process in self._processes:
                    process.engine.cut(self._engine_rng.uniform(0, 1))
            case "flush":
                self._forgot_at = anyio.current_time()
                self._model.flush()
            case "engine_full":
                self._model.is_full = True
                self._tasks.start_soon(self._make_room, until, name="room in the engine")
            case kind:
                raise AssertionError(kind)

    def _acknowledges(self, caller: Caller) -> None:
        if caller.fresh:
            self._acknowledged[int(caller.message)] = anyio.current_time()
            self._reached("thinking")

    def _left_thinking(self) -> Iterator[str]:
        """Everybody who was told that the bot thinks got an answer, also if the front stopped or was killed later.

        What only the engine or Discord forgets is in no journal: such worlds are left out.
        """
        if {fault.kind for fault in self._plan.faults} & FORGETFUL:
            return
        for number, at in self._acknowledged.items():
            message = self._board.messages[number]
            if not message.said and not message.deleted:
                yield f"message {number} of {at:.1f} says for ever that the bot thinks"

    async def differences(self) -> Sequence[str]:
        """See `Bot`."""
        await anyio.sleep(QUIET)
        return [*self._left_thinking(), *self._differences()]

    def _differences(self) -> list[str]:
        contents = [content_of(front.path / "atelier.db") for front in self.fronts]
        return [
            f"the {table} of {front.name} differ from those of {self.fronts[0].name}: {difference}"
            for front, content in zip(self.fronts[1:], contents[1:], strict=True)
            for table in contents[0]
            if (difference := _difference(content.get(table, ()), contents[0][table]))
        ]

    def _stop(self, process: Process, down: float) -> None:
        """Send SIGTERM to a front; one that is on standby ends at once."""
        if process.signals is None or not process.patience:
            process.kill(down)
            return
        process.down = down
        process.patience -= 1
        process.signals.send_nowait(15)

    def kill(self, down: float) -> None:
        """Kill all fronts."""
        for process in self.fronts:
            process.kill(down)

    def _would_lose_both(self, fault: Fault, front: Process, anybody: Process) -> bool:
        """Whether the engine would forget what only the active front has, while that is gone: see docs/SCALING.md."""
        now, active = anyio.current_time(), self._active
        if active is None:
            return False
        if fault.kind in {"fail_over", "flush"}:
            return not active.is_up or not active.engine.is_well or now < active.hurt_until
        hurt = list[Process]()
        if fault.kind in HURTFUL:
            hurt = [front]
        elif fault.kind in {"silent_engine", "lost_answers"}:
            hurt = [anybody]
        elif fault.kind in {"slow_engine", "engine_full"}:
            hurt = self.fronts
        if active in hurt and now < self._forgot_at + RECOVERED:
            return True
        for process in hurt:
            process.hurt_until = max(process.hurt_until, now + fault.seconds + RECOVERED)
        return False

    async def _make_room(self, at: float) -> None:
        await anyio.sleep_until(at)
        self._model.is_full = False

    # The world around them.

    @contextmanager
    def _as_in_this_world(self) -> Generator[None]:
        with super()._as_in_this_world(), ExitStack() as stack:
            for name, replacement in {
                "app.application.open_clients": open_clients,
                "app.application.open_workers": self._open_workers,
                "app.cli.front.run_bot": self._run_bot,
                "app.discord.request_deadline.time": LoopTime,
                "anyio.to_thread.run_sync": self._in_no_thread,
                "app.engine.worker.transfers.SMALL": self._small,
                **RARELY,
            }.items():
                stack.enter_context(patch(name, replacement))
            yield

    async def _in_no_thread(self, function: Callable[..., T], *args: object, **_: object) -> T:
        """See `anyio.to_thread.run_sync`: the process waits for its disk."""
        await anyio.sleep(self._engine_rng.uniform(0, SLOWEST_DISK))
        return function(*args)

    @contextmanager
    def _listen(self, *, patience: int = 1) -> Generator[Receiver]:
        process = PROCESS.get()
        sender, receiver = anyio.create_memory_object_stream[int](patience + HANGUPS)
        process.signals, process.patience = sender, patience
        with sender, receiver:
            try:
                yield Receiver(receiver)
            finally:
                process.signals = None


def content_of(path: Path) -> dict[str, list[str]]:
    """All rows of a journal by table, with how far it is; without what each front has of its own."""
    folder = str(path.parent.absolute()).encode()
    with closing(sqlite3.connect(path)) as database:
        database.text_factory = bytes
        tables = [name.decode() for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        content = {
            table: sorted(repr(row).replace(folder.decode(), "") for row in database.execute(f"SELECT * FROM {table}"))
            for table in tables
            if table not in {"outbox", "replication"}
        }
        content["positions"] = []
        if "replication" in tables:
            content["positions"] = [repr(database.execute("SELECT lineage, number, chain FROM replication").fetchone())]
        return content


def _difference(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """The rows that only one has; "" if there are none."""
    if ours == theirs:
        return ""
    only = [row for row in ours if row not in theirs], [row for row in theirs if row not in ours]
    return " instead of ".join(", ".join(rows)[:200] or "nothing" for rows in only)


class WorkerComfy(MemoryComfy):
    """The ComfyUI of a worker: see `MemoryComfy`."""

    gate: Callable[[], Awaitable[None]]

    async def _ask(
        self,
        moment: Moment,
        where: str,
        act: Callable[[], T],
        wrong: Callable[[ComfyClient], Awaitable[T]],
        *,
        large: bool = False,
    ) -> T:
        await self.gate()
        answer = await super()._ask(moment, where, act, wrong, large=large)
        await self.gate()
        return answer
