"""A front uses a ComfyUI through a worker, over a real Valkey."""

from __future__ import annotations

import hashlib
import random
import socket
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio import to_thread
from msgspec import structs

from app.actors.client_pool import ClientPool, ServerClients
from app.application import open_services
from app.config.engine import EngineSettings
from app.config.settings import Server
from app.engine.keys import PREFIX, lease_key, requests_key
from app.engine.messages import CHUNK, INLINE, Events, Large, OfferedServer, Registration, encode
from app.engine.registrations import refused_names, registered
from app.engine.remote_servers.remote_worker import RemoteWorker
from app.engine.remote_servers.transfers import pieces
from app.engine.worker.hosts import CLIENTS, Hosts
from app.engine.worker.lease import Lease, NameInUse
from app.engine.worker.session import work
from app.events import (
    ExecutionEnded,
    FileRef,
    Finished,
    ImageStreamed,
    NodeId,
    PromptId,
    QueueChanged,
    ServerEvent,
    ServerName,
)
from app.journal.memory import MemoryJournal
from app.ports import ConnectionLost, Graph, History, Queue, Refused, Stats, Ticket
from app.reasons.servers import EngineAway, HungUp, ResultGone, SocketDeaf, WorkerAway
from app.simulator.engine.simulator import Simulator
from tests.engine.valkey import Valkey
from tests.engine.world import HERE, NAME, PATIENCE, SERVER, connected, pair, simulated, until, worker_settings
from tests.world import PICTURE, World, delivered


class FakeComfy:
    """A ComfyUI that has one file, and remembers what it got."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content
        self.submitting = 0
        self.submitted: list[Graph] = []
        self.uploaded: dict[str, bytes] = {}
        self.description = msgspec.Raw(b'{"input":{}}')
        self.held = anyio.Event()
        self.held.set()

    async def submit(self, prompt: PromptId, graph: Graph, *, paid: bool = False) -> Ticket:
        self.submitting += 1
        await self.held.wait()
        self.submitted.append(graph)
        return Ticket(prompt)

    async def queue(self) -> Queue:
        return Queue((), tuple(PromptId(str(number)) for number in range(len(self.submitted))))

    async def history(self, prompt: PromptId) -> History | None:
        return History("success") if prompt else None

    async def newest(self, count: int) -> dict[PromptId, History]:
        return {PromptId(str(number)): History("failed", error="é") for number in range(count)}

    async def cancel(self, prompt: PromptId) -> None:
        raise Refused(ResultGone(prompt), missing=(), certain=False)

    async def fetch(self, file: FileRef, to: Path) -> None:
        if file.filename != "here":
            raise Refused(ResultGone(file.filename))
        await anyio.Path(to).write_bytes(self.content)

    async def upload(self, file: Path, name: str) -> str:
        self.uploaded[name] = await anyio.Path(file).read_bytes()
        return f"renamed-{name}"

    async def node(self, class_type: str) -> msgspec.Raw | None:
        return self.description if class_type else None

    async def nodes(self) -> dict[str, msgspec.Raw]:
        return {f"Node{number}": msgspec.Raw(self.content) for number in range(3)}

    async def replacements(self) -> dict[str, msgspec.Raw]:
        return {}

    async def stats(self) -> Stats:
        return Stats("0.33", ("GPU",), 2**34, 2**33)


class FakeHost:
    """Opens the fake, and a websocket that delivers what a test puts into `send`."""

    def __init__(self, content: bytes = b"") -> None:
        self.comfy = FakeComfy(content)
        self.send, self._receive = anyio.create_memory_object_stream[ServerEvent | ConnectionLost](1000)
        self.opened = 0
        self.refuses = False

    @asynccontextmanager
    async def __call__(self, server: Server, client_id: str) -> AsyncGenerator[ServerClients]:
        yield ServerClients(self.comfy, self.connect)

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        self.opened += 1
        if self.refuses:
            raise ConnectionLost(HungUp(7))

        async def frames() -> AsyncIterator[ServerEvent]:
            while True:
                event = await self._receive.receive()
                if isinstance(event, ConnectionLost):
                    raise event
                yield event

        yield frames()

    def close(self) -> None:
        self.send.close()
        self._receive.close()


@pytest.fixture
def host() -> Generator[FakeHost]:
    host = FakeHost()
    yield host
    host.close()


@asynccontextmanager
async def world(database: EngineSettings, folder: Path, **options: object) -> AsyncGenerator[World]:
    """The registry and a simulator, with nothing but the engine between them."""
    simulator = Simulator(folder / "comfyui", step_time=0.0, **options)  # pyright: ignore[reportArgumentType]
    async with anyio.create_task_group() as ground:
        await ground.start(simulator.run)
        async with pair(database, folder, simulated(simulator)) as both:
            pool, journal = ClientPool(both.workers.open_clients), MemoryJournal()
            await pool.open(await both.known())
            async with open_services(pool, journal, depth=2, settings=both.workers.settings) as services:
                yield World(simulator, services.registry, folder / "results", journal, services.work, services.overview)
        ground.cancel_scope.cancel()


async def test_jobs_run_through_a_worker_as_on_a_server_of_its_own(database: EngineSettings, tmp_path: Path) -> None:
    async with world(database, tmp_path, previews=True) as house:
        with anyio.fail_after(PATIENCE):
            watchers = await house.make_many(3)
        assert all(delivered(watcher) for watcher in watchers)
        last = watchers[0].last
        assert isinstance(last, Finished)
        assert last.server == HERE
        assert {type(update).__name__ for update in watchers[0].shown} >= {"Queued", "Started", "Progressed"}


async def test_nothing_about_people_reaches_the_engine(
    valkey: Valkey, database: EngineSettings, tmp_path: Path
) -> None:
    with socket.create_connection(("127.0.0.1", valkey.port)) as monitor:
        monitor.sendall(b"MONITOR\r\n")
        async with world(database, tmp_path) as house:
            request = structs.replace(house.request(), owner="123456789012345678")
            with anyio.fail_after(PATIENCE):
                await house.make(request)
        monitor.settimeout(0.3)
        commands = b""
        with suppress(TimeoutError):
            while part := await to_thread.run_sync(monitor.recv, 1 << 20):
                commands += part
    assert b"CheckpointLoaderSimple" in commands
    assert not [
        secret
        for secret in (b"123456789012345678", request.folder.encode(), request.job.encode())
        if secret in commands
    ]


async def test_every_method_of_the_port_gives_what_comfyui_gave(
    database: EngineSettings, tmp_path: Path, host: FakeHost
) -> None:
    host.comfy.content = b'{"a":"b"}'
    async with pair(database, tmp_path, host) as both, both.clients() as clients:
        comfy, prompt = clients.comfy, PromptId("p")
        assert await comfy.submit(prompt, PICTURE) == Ticket(prompt)
        assert host.comfy.submitted == [PICTURE]
        assert await comfy.queue() == Queue((), (PromptId("0"),))
        assert await comfy.history(prompt) == History("success")
        assert await comfy.history(PromptId("")) is None
        assert await comfy.newest(2) == await host.comfy.newest(2)
        assert bytes(await comfy.node("KSampler") or b"") == b'{"input":{}}'
        assert await comfy.node("") is None
        assert {name: bytes(raw) for name, raw in (await comfy.nodes()).items()} == {
            f"Node{number}": host.comfy.content for number in range(3)
        }
        assert await comfy.replacements() == {}
        assert await comfy.stats() == await host.comfy.stats()
        with pytest.raises(Refused) as refused:
            await comfy.cancel(prompt)
        assert (refused.value.reason, refused.value.certain) == (ResultGone("p"), False)
        assert clients.probe is not None
        await clients.probe()


async def test_what_a_server_has_is_told_once_it_has_what_another_front_submits(
    database: EngineSettings, tmp_path: Path, host: FakeHost
) -> None:
    host.comfy.held = anyio.Event()
    told: list[Queue] = []
    async with (
        pair(database, tmp_path, host) as both,
        both.clients() as before,
        pair(database, tmp_path) as other,
        other.clients() as after,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(before.comfy.submit, PromptId("0"), PICTURE)
        await until(lambda: host.comfy.submitting == 1)

        async def ask() -> None:
            told.append(await after.comfy.queue())

        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        # The worker has read the question before this one.
        await after.comfy.stats()
        assert not told
        assert await before.comfy.queue() == Queue((), ()), "whoever submits it knows that it may be missing"
        host.comfy.held.set()
    assert told == [Queue((), (PromptId("0"),))]


@pytest.mark.parametrize("size", [0, 1, CHUNK, CHUNK + 1, 9 * CHUNK + 5])
async def test_files_arrive_complete_in_both_directions(
    database: EngineSettings, tmp_path: Path, host: FakeHost, size: int
) -> None:
    host.comfy.content = random.Random(size).randbytes(size)
    async with pair(database, tmp_path, host) as both, both.clients() as clients:
        await clients.comfy.fetch(FileRef("here"), tmp_path / "result")
        assert (tmp_path / "result").read_bytes() == host.comfy.content
        assert await clients.comfy.upload(tmp_path / "result", "mask.png") == "renamed-mask.png"
        assert host.comfy.uploaded == {"mask.png": host.comfy.content}
        with pytest.raises(Refused):
            await clients.comfy.fetch(FileRef("gone"), tmp_path / "other")
        assert not (tmp_path / "other").exists()
        await until(lambda: not list((tmp_path / "worker").iterdir()))
        assert await both.front.keys("*:chunk:*") == []


async def test_no_more_is_taken_from_a_worker_than_it_has_announced(
    database: EngineSettings, tmp_path: Path, host: FakeHost
) -> None:
    content = bytes(3 * CHUNK)
    large = Large("transfer", len(content), hashlib.sha256(content).hexdigest(), content=content)
    async with pair(database, tmp_path, host) as both:
        worker = RemoteWorker(both.front, NAME, "front", str)
        taken = 0

        async def take() -> None:
            nonlocal taken
            async with pieces(worker, NAME, large) as received:
                async for piece in received:
                    taken += len(piece)

        with pytest.raises(ConnectionLost):
            await take()
        assert taken <= len(content)


async def test_an_answer_that_is_too_large_for_a_message_travels_in_chunks(
    database: EngineSettings, tmp_path: Path, host: FakeHost
) -> None:
    host.comfy.content = b'"' + b"x" * INLINE + b'"'
    async with pair(database, tmp_path, host) as both, both.clients() as clients:
        assert [bytes(raw) for raw in (await clients.comfy.nodes()).values()] == [host.comfy.content] * 3
        await until(lambda: not list((tmp_path / "worker").iterdir()))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_large_file_takes_little_memory_of_the_engine_and_delays_nothing(
    valkey: Valkey, database: EngineSettings, tmp_path: Path, host: FakeHost
) -> None:
    host.comfy.content = bytes(200 * 2**20)
    highest, answered = 0, 0
    async with pair(database, tmp_path, host) as both, both.clients() as clients:
        used = await both.front.information("memory")
        before = int(str(used["used_memory"]))
        finished = anyio.Event()

        async def watch() -> None:
            nonlocal highest, answered
            while not finished.is_set():
                await clients.comfy.queue()
                answered += 1
                used = await both.front.information("memory")
                highest = max(highest, int(str(used["used_memory"])) - before)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await clients.comfy.fetch(FileRef("here"), tmp_path / "video")
            finished.set()
        assert (tmp_path / "video").stat().st_size == len(host.comfy.content)
    # On a busy machine much of it is what Valkey has not written to its file yet.
    assert highest < 64 * 2**20
    assert answered > 10


async def test_events_arrive_in_order_and_only_the_newest_progress_counts(
    database: EngineSettings, tmp_path: Path, host: FakeHost
) -> None:
    prompt = PromptId("p")
    picture = ImageStreamed(prompt=prompt, display=NodeId("1"), image=bytes(2 * INLINE), media_type="image/png")
    async with pair(database, tmp_path, host) as both, both.clients() as clients:
        async with clients.connect() as events:
            for remaining in range(100):
                host.send.send_nowait(QueueChanged(remaining))
            host.send.send_nowait(picture)
            host.send.send_nowait(ExecutionEnded(prompt=prompt))
            received: list[ServerEvent] = []
            with anyio.fail_after(PATIENCE):
                async for event in events:
                    received.append(event)
                    if isinstance(event, ExecutionEnded):
                        break
            assert received[-2:] == [picture, ExecutionEnded(prompt=prompt)]
            assert received[-3] == QueueChanged(99)
            assert len(received) < 20
            host.send.send_nowait(ConnectionLost(HungUp(1011)))
            with pytest.raises(ConnectionLost) as lost, anyio.fail_after(PATIENCE):
                await anext(aiter(events))
            assert lost.value.reason == HungUp(1011)
        assert host.opened == 1


async def test_a_websocket_that_cannot_be_opened_and_one_that_nobody_reads_both_end(
    database: EngineSettings, tmp_path: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.worker.subscriptions.LAPSE", 0.05)
    # Also how long the worker has for its answer, on a busy machine too.
    monkeypatch.setattr("app.engine.remote_servers.listening.RENEWAL", 1.0)
    async with pair(database, tmp_path, host) as both, both.clients() as clients:
        async with clients.connect() as events:
            with anyio.fail_after(PATIENCE), pytest.raises(ConnectionLost) as lost:
                await anext(aiter(events))
            assert lost.value.reason == SocketDeaf()
        host.refuses = True
        with pytest.raises(ConnectionLost) as refused:
            async with clients.connect():
                pass
        assert refused.value.reason == HungUp(7)


async def test_a_missing_or_unreadable_event_loses_the_connection(
    database: EngineSettings, tmp_path: Path, host: FakeHost
) -> None:
    async with pair(database, tmp_path, host) as both, both.clients() as clients:
        for data in (encode(Events(7, ())), b"nonsense"):
            async with clients.connect() as events:
                host.send.send_nowait(QueueChanged(1))
                assert await anext(aiter(events)) == QueueChanged(1)
                (stream,) = await both.front.keys(f"{PREFIX}{NAME}:events:*")
                await both.front.add(stream, data, longest=10)
                with anyio.fail_after(PATIENCE), pytest.raises(ConnectionLost):
                    async for _ in events:
                        pass
            await both.front.delete(stream)


async def test_messages_that_are_none_are_skipped_and_the_rest_goes_on(
    database: EngineSettings, tmp_path: Path, host: FakeHost
) -> None:
    async with pair(database, tmp_path, host) as both, both.clients() as clients:
        registration = both.workers.registration(NAME)
        assert registration is not None
        requests = requests_key(NAME, registration.session)
        for data in (b"", b"\xff", b"\x93\x01", encode({"number": 1}), bytes(2 * 2**20)):
            await both.front.add(requests, data, longest=100)
        assert await clients.comfy.queue() == Queue()
        (replies,) = await both.front.keys(f"{PREFIX}{NAME}:replies:*")
        await both.front.add(replies, b"nonsense", longest=100)
        assert await clients.comfy.queue() == Queue()
        for name, value in (
            ("other", b"nonsense"),
            ("older", msgspec.json.encode(Registration(session="s", protocol=0))),
        ):
            await both.front.set(lease_key(name), value, 60.0)
        await both.front.set(lease_key("No Name"), msgspec.json.encode(registration), 60.0)
        await both.workers.look()
        assert both.workers.offered.keys() == {HERE}
        assert await clients.comfy.queue() == Queue()


async def test_a_request_that_was_withdrawn_or_is_late_or_for_another_session_is_not_done(
    database: EngineSettings,
) -> None:
    async with connected(database) as engine:
        lease = Lease(engine, NAME, "a" * 32, lambda: Registration(session="a" * 32))
        await lease.acquire()
        assert lease.held
        withdrawn, late, twice, lost = [await engine.add(lease.requests, b"", longest=9) for _ in range(4)]
        await engine.remove(lease.requests, withdrawn)
        assert not await lease.claim(withdrawn, 60.0)
        assert not await lease.claim(late, -1.0)
        assert await lease.claim(twice, 60.0)
        assert not await lease.claim(twice, 60.0)
        await lease.release()
        successor = Lease(engine, NAME, "b" * 32, lambda: Registration(session="b" * 32))
        await successor.acquire()
        assert not await lease.claim(lost, 60.0)
        assert await engine.range(lease.requests) == []


async def test_a_prompt_is_not_submitted_once_the_lease_may_have_ended(
    database: EngineSettings, tmp_path: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pair(database, tmp_path, host) as both, both.clients() as clients:
        monkeypatch.setattr(Lease, "held", property(lambda _: False))
        with pytest.raises(ConnectionLost) as lost:
            await clients.comfy.submit(PromptId("p"), PICTURE)
        assert lost.value.reason == WorkerAway()
        assert host.comfy.submitted == []


async def test_a_caller_learns_at_once_that_a_request_could_not_be_claimed(
    database: EngineSettings, tmp_path: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def claim(*_: object) -> bool:
        raise ConnectionLost(EngineAway("reset"))

    monkeypatch.setattr(Lease, "claim", claim)
    async with pair(database, tmp_path, host) as both, both.clients() as clients:
        with pytest.raises(ConnectionLost) as lost, anyio.fail_after(PATIENCE):
            await clients.comfy.submit(PromptId("p"), PICTURE)
        assert lost.value.reason == EngineAway("reset")
        assert host.comfy.submitted == []


async def test_calls_end_at_once_when_the_worker_goes_and_work_again_when_it_is_back(
    database: EngineSettings, tmp_path: Path, host: FakeHost
) -> None:
    host.comfy.held = anyio.Event()
    async with pair(database, tmp_path) as both, connected(database) as engine:
        async with anyio.create_task_group() as first:
            first.start_soon(work, engine, worker_settings(tmp_path / "first"), host)
            async with both.clients() as clients, clients.connect() as events:
                lost: list[ConnectionLost] = []

                async def submit() -> None:
                    try:
                        await clients.comfy.submit(PromptId("p"), PICTURE)
                    except ConnectionLost as error:
                        lost.append(error)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(submit)
                    await anyio.sleep(0.05)
                    await both.front.delete(lease_key(NAME))
                    await both.workers.look()
                assert [error.reason for error in lost] == [WorkerAway()]
                with pytest.raises(ConnectionLost), anyio.fail_after(PATIENCE):
                    await anext(aiter(events))
                assert both.workers.offered.keys() == {HERE}
                with pytest.raises(ConnectionLost):
                    await clients.comfy.queue()
                assert clients.probe is not None
                with pytest.raises(ConnectionLost):
                    await clients.probe()
                # The worker notices with its next renewal, and begins a new session.
                with anyio.fail_after(PATIENCE):
                    while both.workers.registration(NAME) is None:
                        await both.workers.look()
                        await anyio.sleep(0.05)
                assert await clients.comfy.queue() == Queue()
            first.cancel_scope.cancel()
        assert await both.front.get(lease_key(NAME)) is None, "a worker that is stopped gives its name up"


async def test_two_workers_cannot_have_one_name(
    database: EngineSettings, tmp_path: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.worker.lease.PATIENCE", 0.1)
    async with pair(database, tmp_path, host) as both, connected(database) as engine:
        await both.known()
        assert await refused_names(engine, [NAME]) == []
        with pytest.raises(NameInUse):
            await work(engine, worker_settings(tmp_path / "second"), host)
        assert await refused_names(engine, [NAME, "cellar"]) == [NAME], "whoever looks for a reason sees it"


async def test_what_a_worker_offers_may_change_while_it_works(
    database: EngineSettings, tmp_path: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.worker.lease.RENEWAL", 0.02)
    offered = [
        OfferedServer(workflows=("txt2img",)),
        OfferedServer(label="gpu2", weight=2.0),
        OfferedServer(label="A B"),
    ]
    settings = structs.replace(worker_settings(tmp_path / "worker"), offer=lambda: tuple(offered))
    async with pair(database, tmp_path) as both:
        both.tasks.start_soon(work, both.worker, settings, host)
        await both.known()
        servers = both.workers.offered
        assert servers.keys() == {HERE, ServerName(f"{NAME}/gpu2")}
        assert servers[HERE].settings.workflows == {"txt2img"}
        assert servers[ServerName(f"{NAME}/gpu2")].settings.weight == 2.0
        offered[0] = OfferedServer(workflows=())
        with anyio.fail_after(PATIENCE):
            while both.workers.offered[HERE].settings.workflows:
                await both.workers.look()
        async with both.clients() as clients:
            assert await clients.comfy.queue() == Queue(), "the session goes on"


async def test_a_worker_states_its_hours_and_by_how_much_its_clock_is_ahead(
    database: EngineSettings, tmp_path: Path, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.worker.lease.RENEWAL", 0.02)
    monkeypatch.setattr("app.engine.worker.clock.PAUSE", 0.01)
    now, ahead = time.time, 300.0
    monkeypatch.setattr("app.engine.worker.clock.time.time", lambda: now() + ahead)
    settings = structs.replace(worker_settings(tmp_path / "worker"), hours=(60, 120))
    async with pair(database, tmp_path) as both:
        both.tasks.start_soon(work, both.worker, settings, host)
        for expected in (300, 0):
            ahead = float(expected)
            with anyio.fail_after(PATIENCE):
                while True:
                    worker = (await registered(both.front)).get(NAME)
                    if worker is not None and worker.registration is not None:
                        assert worker.registration.hours == (60, 120)
                        if abs(worker.registration.ahead - expected) < 5:
                            break
                    await anyio.sleep(0.01)


async def test_clients_that_are_in_use_stay_open_however_many_others_ask(host: FakeHost) -> None:
    hosts = Hosts({"": SERVER}, host)
    front = str(uuid.uuid4())
    clients = await hosts.clients("", front)
    for _ in range(3 * CLIENTS):
        await hosts.clients("", str(uuid.uuid4()))
        assert await hosts.clients("", front) is clients
    await hosts.aclose()
