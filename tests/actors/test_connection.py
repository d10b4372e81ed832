"""ConnectionActor, over a socket made of memory and on virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream

from app.actors.connection import Connection, ConnectionActor, News
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
from app.reasons.servers import HungUp, RefusedConnection, SocketDeaf
from tests.conftest import virtual

HERE = ServerName("here")
PROMPT = PromptId("p")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


@asynccontextmanager
async def acting(
    connect: Connect, *, room: int = 100, pause: float = 1.0
) -> AsyncGenerator[tuple[MemoryObjectReceiveStream[News], Connection]]:
    """The actor at work, with what it posts."""

    def pauses() -> list[float]:
        return [pause] * 1000

    send, news = anyio.create_memory_object_stream[News](room)
    actor = ConnectionActor(HERE, connect, pauses=lambda: iter(pauses()))
    with anyio.fail_after(1000):
        async with news, anyio.create_task_group() as tasks:
            await tasks.start(actor.run, send)
            yield news, actor.handle
            tasks.cancel_scope.cancel()


def dialling(talk: Callable[[int], AsyncIterator[ServerEvent]]) -> tuple[Connect, list[float]]:
    """A dial whose n-th socket says what `talk(n)` yields, and the times at which it was dialled."""
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
    async with acting(connect) as (news, _):
        for call in (1, 2, 3):
            assert await news.receive() == Connected(HERE)
            assert await news.receive() == FrameReceived(HERE, step(call))
            assert await news.receive() == Disconnected(HERE, HungUp())
    assert [later - times[0] for later in times] == [0.0, 1.0, 2.0]


async def test_a_refused_connection_is_dialled_again_for_ever() -> None:
    tries = 0

    @asynccontextmanager
    async def connect() -> AsyncGenerator[AsyncIterator[ServerEvent]]:
        nonlocal tries
        tries += 1
        raise ConnectionLost(RefusedConnection())
        yield  # pyright: ignore[reportUnreachable]

    async with acting(connect, room=1000) as (news, _):
        for _ in range(200):
            assert await news.receive() == Disconnected(HERE, RefusedConnection())
    assert tries >= 200


async def test_anything_but_a_loss_is_a_bug_and_ends_the_actor_loudly() -> None:
    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        raise ZeroDivisionError
        yield  # pyright: ignore[reportUnreachable]

    connect, _ = dialling(talk)

    async def act() -> None:
        async with acting(connect):
            await anyio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await act()
    assert caught.group_contains(ZeroDivisionError)


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
    async with acting(connect, room=0) as (news, _):
        assert await news.receive() == Connected(HERE)
        await said.wait()
        heard = [await news.receive() for _ in range(3)]
    picture = ImageStreamed(prompt=PROMPT, display=NodeId("3"), image=b"x", media_type="image/jpeg")
    assert heard == [FrameReceived(HERE, what) for what in (step(999), picture, ExecutionEnded(prompt=PROMPT))]


async def test_pngs_are_results_and_each_of_them_arrives() -> None:
    pictures = [
        ImageStreamed(prompt=PROMPT, display=NodeId("3"), image=bytes([n]), media_type="image/png") for n in range(5)
    ]

    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        for picture in pictures:
            yield picture
        await anyio.sleep_forever()

    connect, _ = dialling(talk)
    async with acting(connect, room=0) as (news, _):
        await news.receive()
        await anyio.wait_all_tasks_blocked()
        assert [await news.receive() for _ in pictures] == [FrameReceived(HERE, picture) for picture in pictures]


async def test_a_redial_closes_the_socket_and_opens_another() -> None:
    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        await anyio.sleep_forever()
        yield step(0)

    connect, times = dialling(talk)
    async with acting(connect) as (news, handle):
        await news.receive()
        handle.reconnect()
        handle.reconnect()
        assert await news.receive() == Disconnected(HERE, SocketDeaf())
        assert await news.receive() == Connected(HERE)
        await anyio.sleep(100)
    assert len(times) == 2, "asking twice is asking once"


async def test_a_redial_asked_for_while_there_is_no_socket_does_not_close_the_next_one() -> None:
    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        if call == 1:
            raise ConnectionLost(HungUp())
        yield step(call)
        await anyio.sleep_forever()

    connect, times = dialling(talk)
    async with acting(connect) as (news, handle):
        assert await news.receive() == Connected(HERE)
        assert await news.receive() == Disconnected(HERE, HungUp())
        handle.reconnect()
        assert await news.receive() == Connected(HERE)
        assert await news.receive() == FrameReceived(HERE, step(2))
        await anyio.sleep(100)
        assert news.statistics().current_buffer_used == 0
        # It still listens to requests about the socket that it has.
        handle.reconnect()
        assert await news.receive() == Disconnected(HERE, SocketDeaf())
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

    async with acting(lambda: connect()) as (news, handle):
        await opening.wait()
        handle.reconnect()
        opened.set()
        assert await news.receive() == Connected(HERE)
        assert await news.receive() == FrameReceived(HERE, step(1))
        await anyio.sleep(100)
        assert news.statistics().current_buffer_used == 0
    assert calls == 1


async def test_the_old_socket_is_closed_before_the_new_one_is_dialled() -> None:
    """ComfyUI takes the newest socket of a client id away when an older one closes (ComfyUI#16010)."""
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

    async with acting(lambda: connect()) as (news, handle):
        for _ in range(3):
            assert await news.receive() == Connected(HERE)
            handle.reconnect()
            assert await news.receive() == Disconnected(HERE, SocketDeaf())
    assert transitions[:6] == ["dial", "closed"] * 3


async def test_a_connection_that_has_proved_itself_is_dialled_again_at_once() -> None:
    async def talk(call: int) -> AsyncIterator[ServerEvent]:
        await anyio.sleep(60)
        raise ConnectionLost(HungUp())
        yield  # pyright: ignore[reportUnreachable]

    connect, times = dialling(talk)
    send, news = anyio.create_memory_object_stream[News](100)

    def pauses() -> Iterator[float]:
        return iter([0.5, 99.0])

    actor = ConnectionActor(HERE, connect, pauses=pauses)
    async with news, anyio.create_task_group() as tasks:
        await tasks.start(actor.run, send)
        await anyio.sleep(200)
        tasks.cancel_scope.cancel()
    assert [later - times[0] for later in times] == [0.0, 60.5, 121.0, 181.5]
