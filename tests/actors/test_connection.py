"""ConnectionActor, over a socket in memory and on virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream
from structlog.testing import capture_logs

from app.actors.connection import GATHERING, OFF_PAUSE, Connection, ConnectionActor, ConnectionEvent
from app.events import (
    Connected,
    Disconnected,
    ExecutionEnded,
    FrameReceived,
    ImageStreamed,
    NodeId,
    NodeStepped,
    PromptId,
    ServerEvent,
    ServerName,
)
from app.ports import Connect, ConnectionLost
from app.reasons.servers import HandshakeRefused, HungUp, LibraryError, RefusedConnection, SocketDeaf
from tests.conftest import virtual

HERE = ServerName("here")
PROMPT = PromptId("p")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


@asynccontextmanager
async def acting(
    connect: Connect, *, room: int = 100, pause: float = 1.0
) -> AsyncGenerator[tuple[MemoryObjectReceiveStream[ConnectionEvent], Connection]]:
    """Run the actor; yield its events and its handle."""

    def pauses() -> list[float]:
        return [pause] * 1000

    send, events = anyio.create_memory_object_stream[ConnectionEvent](room)
    actor = ConnectionActor(HERE, connect, pauses=lambda: iter(pauses()))
    with anyio.fail_after(1000):
        async with events, anyio.create_task_group() as tasks:
            await tasks.start(actor.run, send)
            yield events, actor.handle
            tasks.cancel_scope.cancel()


def dialling(talk: Callable[[int], AsyncIterator[ServerEvent]]) -> tuple[Connect, list[float]]:
    """A connect function whose n-th socket sends what `talk(n)` yields, and the times of its calls."""
    times: list[float] = []

    @asynccontextmanager
    async def connect() -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        times.append(anyio.current_time())
        yield talk(len(times))

    def opened() -> AbstractAsyncContextManager[AsyncIterator[ServerEvent]]:
        return connect()

    return opened, times


def step(value: float) -> NodeStepped:
    return NodeStepped(prompt=PROMPT, node=NodeId("3"), value=value, maximum=9)


async def test_what_is_said_is_posted_in_order_and_a_loss_is_dialled_again() -> None:
    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        yield step(call)
        raise ConnectionLost(HungUp())

    connect, times = dialling(talk)
    async with acting(connect) as (events, _):
        for call in (1, 2, 3):
            assert await events.receive() == Connected(HERE)
            assert await events.receive() == FrameReceived(HERE, step(call))
            assert await events.receive() == Disconnected(HERE, HungUp())
    assert [later - times[0] for later in times] == [0.0, 1.0, 2.0]


async def test_a_refused_connection_is_dialled_again_for_ever() -> None:
    tries = 0

    @asynccontextmanager
    async def connect() -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        nonlocal tries
        tries += 1
        raise ConnectionLost(RefusedConnection())
        yield  # pyright: ignore[reportUnreachable]

    async with acting(connect, room=1000) as (events, _):
        for _ in range(200):
            assert await events.receive() == Disconnected(HERE, RefusedConnection())
    assert tries >= 200


async def test_a_server_that_is_off_on_purpose_is_tried_now_and_then_and_at_once_when_it_is_started() -> None:
    tries: list[float] = []

    @asynccontextmanager
    async def connect() -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        tries.append(anyio.current_time())
        raise ConnectionLost(RefusedConnection())
        yield  # pyright: ignore[reportUnreachable]

    with capture_logs() as logs:
        async with acting(connect, room=1000) as (_, connection):
            await anyio.sleep(10.5)
            assert len(tries) == 11
            connection.expect("off")
            assert connection.off
            await anyio.sleep(155)
            assert [later - sooner for sooner, later in pairwise(tries[11:])] == [OFF_PAUSE] * 9
            began = anyio.current_time()
            connection.expect("starting")
            assert connection.off
            await anyio.sleep(3.5)
            assert [at - began for at in tries[-4:]] == [0.0, 1.0, 2.0, 3.0]
            connection.expect("on")
            assert not connection.off
            await anyio.sleep(3)
    assert [entry["log_level"] for entry in logs if entry["event"] == "connection lost"].count("warning") == 1


async def failing(call: int) -> AsyncIterator[ServerEvent]:
    """A socket that raises an unexpected exception as soon as it is open."""
    raise ZeroDivisionError
    yield  # pyright: ignore[reportUnreachable]


async def test_an_unexpected_exception_is_logged_under_an_id_and_retried_slowly() -> None:
    connect, times = dialling(failing)
    with capture_logs() as logs:
        async with acting(connect, pause=0.01) as (events, _):
            for _ in range(12):
                assert await events.receive() == Connected(HERE)
                assert await events.receive() == Disconnected(HERE, LibraryError("ZeroDivisionError"))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert 0.5 <= gaps[0] <= 1.0
    assert all(30.0 <= gap <= 60.0 for gap in gaps[7:])
    failures = [entry for entry in logs if entry["event"] == "connection failed"]
    assert {entry["server"] for entry in failures} == {HERE}
    assert {type(entry["exc_info"]) for entry in failures} == {ZeroDivisionError}
    assert len({entry["id"] for entry in failures}) == len(failures) == 12


async def test_an_unexpected_exception_before_the_socket_is_open_is_logged_once() -> None:
    @asynccontextmanager
    async def connect() -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        raise ZeroDivisionError
        yield  # pyright: ignore[reportUnreachable]

    with capture_logs() as logs:
        async with acting(connect) as (events, _):
            for _ in range(5):
                assert await events.receive() == Disconnected(HERE, LibraryError("ZeroDivisionError"))
    assert [entry["event"] for entry in logs if entry["log_level"] != "debug"] == ["connection failed"]


async def test_a_lost_connection_is_logged_with_the_kind_and_the_data_of_its_reason() -> None:
    @asynccontextmanager
    async def connect() -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        raise ConnectionLost(HandshakeRefused(503))
        yield  # pyright: ignore[reportUnreachable]

    with capture_logs() as logs:
        async with acting(connect) as (events, _):
            for _ in range(2):
                assert await events.receive() == Disconnected(HERE, HandshakeRefused(503))
    first, second = logs[:2]
    assert first.pop("log_level") == "warning"
    assert second.pop("log_level") == "debug"
    expected = {"event": "connection lost", "server": HERE, "reason": "HandshakeRefused", "reason_status": 503}
    assert first == second == expected


async def test_a_bug_in_the_connection_to_one_server_does_not_reach_that_to_another() -> None:
    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        for value in range(5):
            await anyio.sleep(10)
            yield step(value)
        await anyio.sleep_forever()

    broken, _ = dialling(failing)
    whole, times = dialling(talk)
    sends, events = anyio.create_memory_object_stream[ConnectionEvent](1000)
    there = ServerName("there")
    heard: list[ConnectionEvent] = []
    async with events, anyio.create_task_group() as tasks:
        await tasks.start(ConnectionActor(HERE, broken).run, sends.clone())
        await tasks.start(ConnectionActor(there, whole).run, sends)
        await anyio.sleep(100)
        heard += [events.receive_nowait() for _ in range(events.statistics().current_buffer_used)]
        tasks.cancel_scope.cancel()
    expected: list[ConnectionEvent] = [Connected(there), *(FrameReceived(there, step(value)) for value in range(5))]
    assert [entry for entry in heard if entry.server == there] == expected
    assert len(times) == 1


async def test_an_actor_whose_registry_has_ended_ends() -> None:
    connect, _ = dialling(failing)
    send, events = anyio.create_memory_object_stream[ConnectionEvent](0)

    async def act() -> None:
        async with anyio.create_task_group() as tasks:
            await tasks.start(ConnectionActor(HERE, connect).run, send)
            await anyio.wait_all_tasks_blocked()
            await events.aclose()

    with capture_logs() as logs, pytest.raises(ExceptionGroup) as caught:
        await act()
    assert caught.group_contains(anyio.BrokenResourceError)
    assert not logs


class Port:
    """A server's port, and the times of the probes and handshakes that reached it."""

    def __init__(self) -> None:
        self.opens_at = self.works_at = float("-inf")
        self.steady = 1e9
        self.handshakes: list[float] = []
        self.probes: list[float] = []
        self.connected: list[float] = []

    async def probe(self) -> None:
        self.probes.append(anyio.current_time())
        await anyio.sleep(0.001)
        if anyio.current_time() < self.opens_at:
            raise ConnectionLost(RefusedConnection())

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        self.handshakes.append(anyio.current_time())
        await anyio.sleep(0.001)
        if anyio.current_time() < self.works_at:
            raise ConnectionLost(HandshakeRefused(503))
        self.connected.append(anyio.current_time())
        yield self._talk(self.steady)

    async def _talk(self, steady: float) -> AsyncIterator[ServerEvent]:
        await anyio.sleep(steady)
        raise ConnectionLost(HungUp())
        yield  # pyright: ignore[reportUnreachable]


@asynccontextmanager
async def reaching(port: Port) -> AsyncGenerator[None]:
    send, events = anyio.create_memory_object_stream[ConnectionEvent](10_000)
    actor = ConnectionActor(HERE, lambda: port.connect(), port.probe)
    async with events, anyio.create_task_group() as tasks:
        await tasks.start(actor.run, send)
        yield
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("away", [0.3, 5.0, 9.0])
async def test_while_the_port_is_closed_no_handshake_is_tried_and_its_return_is_noticed_at_once(away: float) -> None:
    port = Port()
    port.steady = 60.0
    async with reaching(port):
        await anyio.sleep(60.0)
        port.steady = 1e9
        back = port.opens_at = anyio.current_time() + away
        await anyio.sleep(away + 1.0)
    first, second = port.connected
    assert len(port.handshakes) == 2
    assert 0.0 <= second - back <= 0.06
    assert second - first > 60.0


async def test_a_port_that_stays_closed_is_probed_less_often() -> None:
    port = Port()
    port.opens_at = 1e9
    async with reaching(port):
        await anyio.sleep(600)
    assert not port.handshakes
    assert all(later - earlier <= 0.06 for earlier, later in pairwise(port.probes[:200]))
    assert all(1.0 <= later - earlier <= 2.01 for earlier, later in pairwise(port.probes[-100:]))


async def test_a_proxy_that_answers_for_a_server_that_is_away_gets_few_handshakes() -> None:
    port = Port()
    port.steady = 60.0
    async with reaching(port):
        await anyio.sleep(60.0)
        port.steady = 1e9
        back = port.works_at = anyio.current_time() + 5.0
        await anyio.sleep(10.0)
    first, *failed, last = port.handshakes
    assert len(failed) <= 15
    assert 0.0 <= last - back <= 0.5
    assert first < back - 5.0


async def test_handshakes_that_go_on_failing_become_rare_and_are_quick_again_after_a_stable_connection() -> None:
    port = Port()
    port.works_at = 600.0 + anyio.current_time()
    port.steady = 60.0
    async with reaching(port):
        await anyio.sleep(599.0)
        assert all(4.0 <= later - earlier <= 5.1 for earlier, later in pairwise(port.handshakes[-10:]))
        await anyio.sleep(30.0)
        assert len(port.connected) == 1
        known = len(port.handshakes)
        port.works_at = anyio.current_time() + 100.0
        await anyio.sleep(60.0)
    assert port.handshakes[known + 1] - port.handshakes[known] < 0.2


async def test_a_server_that_hangs_up_on_each_new_socket_gets_no_more_handshakes_than_one_that_refuses() -> None:
    port = Port()
    port.steady = 0.01
    async with reaching(port):
        await anyio.sleep(5.0)
    assert len(port.handshakes) <= 15


async def test_the_socket_is_read_while_nobody_reads_the_news() -> None:
    said = anyio.Event()

    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        for value in range(1000):
            yield step(value)
            yield ImageStreamed(prompt=PROMPT, display=NodeId("3"), image=b"x", media_type="image/jpeg")
        yield ExecutionEnded(prompt=PROMPT)
        said.set()
        await anyio.sleep_forever()

    connect, _ = dialling(talk)
    async with acting(connect, room=0) as (events, _):
        assert await events.receive() == Connected(HERE)
        await said.wait()
        heard = [await events.receive() for _ in range(3)]
    picture = ImageStreamed(prompt=PROMPT, display=NodeId("3"), image=b"x", media_type="image/jpeg")
    assert heard == [FrameReceived(HERE, what) for what in (step(999), picture, ExecutionEnded(prompt=PROMPT))]


async def test_the_end_of_a_prompt_takes_no_turn_of_the_event_loop_on_its_way() -> None:
    heard, found = anyio.Event(), list[int]()

    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        await heard.wait()
        yield ExecutionEnded(prompt=PROMPT)
        # No checkpoint since the event was yielded.
        found.append(events.statistics().current_buffer_used)
        await anyio.sleep_forever()

    connect, _ = dialling(talk)
    async with acting(connect) as (events, _):
        assert await events.receive() == Connected(HERE)
        heard.set()
        await anyio.wait_all_tasks_blocked()
        assert await events.receive() == FrameReceived(HERE, ExecutionEnded(prompt=PROMPT))
    assert found == [1]


async def test_the_end_of_a_prompt_does_not_overtake_what_was_said_before_it() -> None:
    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        for turns in range(12):
            # Whatever the forwarding task is doing when the end arrives.
            yield step(turns)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            yield ExecutionEnded(prompt=PromptId(str(turns)))
            await anyio.wait_all_tasks_blocked()
        await anyio.sleep_forever()

    connect, _ = dialling(talk)
    async with acting(connect) as (events, _):
        assert await events.receive() == Connected(HERE)
        for turns in range(12):
            assert await events.receive() == FrameReceived(HERE, step(turns))
            assert await events.receive() == FrameReceived(HERE, ExecutionEnded(prompt=PromptId(str(turns))))


async def test_the_end_of_a_prompt_takes_progress_that_waits_along_without_a_turn_of_the_event_loop() -> None:
    heard, found = anyio.Event(), list[int]()

    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        await heard.wait()
        yield step(1)
        await anyio.wait_all_tasks_blocked()
        found.append(events.statistics().current_buffer_used)
        yield ExecutionEnded(prompt=PROMPT)
        found.append(events.statistics().current_buffer_used)
        await anyio.sleep_forever()

    connect, _ = dialling(talk)
    async with acting(connect) as (events, _):
        assert await events.receive() == Connected(HERE)
        heard.set()
        await anyio.wait_all_tasks_blocked()
        assert await events.receive() == FrameReceived(HERE, step(1))
        assert await events.receive() == FrameReceived(HERE, ExecutionEnded(prompt=PROMPT))
    assert found == [0, 2]


async def test_progress_is_handed_on_a_few_times_a_second_however_often_it_is_reported() -> None:
    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        for number in range(1000):
            yield step(number)
            await anyio.sleep(0.001)
        yield ExecutionEnded(prompt=PROMPT)
        await anyio.sleep_forever()

    connect, _ = dialling(talk)
    async with acting(connect) as (events, _):
        assert await events.receive() == Connected(HERE)
        began, heard = anyio.current_time(), list[ConnectionEvent]()
        while not heard or heard[-1] != FrameReceived(HERE, ExecutionEnded(prompt=PROMPT)):
            heard.append(await events.receive())
        assert anyio.current_time() - began == pytest.approx(1.0, abs=0.001), "the end waited"  # pyright: ignore[reportUnknownMemberType]
    assert heard[-2] == FrameReceived(HERE, step(999)), "the end overtook progress"
    assert 10 <= len(heard) <= 1.0 / GATHERING + 2


async def test_pngs_are_results_and_each_of_them_arrives() -> None:
    pictures = [
        ImageStreamed(prompt=PROMPT, display=NodeId("3"), image=bytes([n]), media_type="image/png") for n in range(5)
    ]

    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        for picture in pictures:
            yield picture
        await anyio.sleep_forever()

    connect, _ = dialling(talk)
    async with acting(connect, room=0) as (events, _):
        await events.receive()
        await anyio.wait_all_tasks_blocked()
        assert [await events.receive() for _ in pictures] == [FrameReceived(HERE, picture) for picture in pictures]


async def test_a_redial_closes_the_socket_and_opens_another() -> None:
    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        await anyio.sleep_forever()
        yield step(0)

    connect, times = dialling(talk)
    async with acting(connect) as (events, handle):
        await events.receive()
        handle.reconnect()
        handle.reconnect()
        assert await events.receive() == Disconnected(HERE, SocketDeaf())
        assert await events.receive() == Connected(HERE)
        await anyio.sleep(100)
    assert len(times) == 2, "asking twice is asking once"


async def test_a_redial_asked_for_while_there_is_no_socket_does_not_close_the_next_one() -> None:
    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        if call == 1:
            raise ConnectionLost(HungUp())
        yield step(call)
        await anyio.sleep_forever()

    connect, times = dialling(talk)
    async with acting(connect) as (events, handle):
        assert await events.receive() == Connected(HERE)
        assert await events.receive() == Disconnected(HERE, HungUp())
        handle.reconnect()
        assert await events.receive() == Connected(HERE)
        assert await events.receive() == FrameReceived(HERE, step(2))
        await anyio.sleep(100)
        assert events.statistics().current_buffer_used == 0
        # It still listens to requests about the socket that it has.
        handle.reconnect()
        assert await events.receive() == Disconnected(HERE, SocketDeaf())
    assert len(times) == 2


async def test_a_redial_asked_for_while_the_next_socket_is_being_opened_does_not_close_it() -> None:
    opening, opened = anyio.Event(), anyio.Event()
    calls = 0

    @asynccontextmanager
    async def connect() -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        nonlocal calls
        calls += 1
        opening.set()
        await opened.wait()

        async def talk() -> AsyncIterator[ServerEvent]:
            yield step(calls)
            await anyio.sleep_forever()

        yield talk()

    async with acting(lambda: connect()) as (events, handle):
        await opening.wait()
        handle.reconnect()
        opened.set()
        assert await events.receive() == Connected(HERE)
        assert await events.receive() == FrameReceived(HERE, step(1))
        await anyio.sleep(100)
        assert events.statistics().current_buffer_used == 0
    assert calls == 1


async def test_the_old_socket_is_closed_before_the_new_one_is_dialled() -> None:
    """ComfyUI removes the newest socket of a client id when an older one closes (ComfyUI#16010)."""
    transitions: list[str] = []

    @asynccontextmanager
    async def connect() -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        transitions.append("dial")

        async def talk() -> AsyncIterator[ServerEvent]:
            await anyio.sleep_forever()
            yield step(0)

        try:
            yield talk()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.5)
            transitions.append("closed")

    async with acting(lambda: connect()) as (events, handle):
        for _ in range(3):
            assert await events.receive() == Connected(HERE)
            handle.reconnect()
            assert await events.receive() == Disconnected(HERE, SocketDeaf())
    assert transitions[:6] == ["dial", "closed"] * 3


async def test_a_connection_that_has_proved_itself_is_dialled_again_at_once() -> None:
    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        await anyio.sleep(60)
        raise ConnectionLost(HungUp())
        yield  # pyright: ignore[reportUnreachable]

    connect, times = dialling(talk)
    send, events = anyio.create_memory_object_stream[ConnectionEvent](100)

    def pauses() -> Iterator[float]:
        return iter([0.5, 99.0])

    actor = ConnectionActor(HERE, connect, pauses=pauses)
    async with events, anyio.create_task_group() as tasks:
        await tasks.start(actor.run, send)
        await anyio.sleep(200)
        tasks.cancel_scope.cancel()
    assert [later - times[0] for later in times] == [0.0, 60.5, 121.0, 181.5]
