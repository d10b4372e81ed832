"""How fronts divide the shards, and how what arrives there reaches the active front, over a real Valkey."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from app.config.engine import EngineSettings
from app.core.shards import GatewayEvent, ShardTable
from app.engine.connection import Engine
from app.engine.logins import rules_of
from app.engine.replication import front_shards, gateway_events
from app.engine.replication.front_shards import FrontShards
from app.engine.replication.gateway_events import (
    EVENTS,
    LARGEST_EVENT,
    MOST_EVENTS,
    Deliver,
    EventSender,
    Here,
    receive_events,
)
from app.engine.replication.lease import FrontLease
from app.engine.replication.messages import LEASE, Front
from app.engine.replication.shard_table import TABLE, holdings_of, read_table, write_table
from app.ports import ConnectionLost
from tests.engine.valkey import Valkey
from tests.engine.world import PATIENCE, connected, until

LONG = 60.0
"""Seconds of a lease that does not end during a test."""

SHORT = 1.5
"""Seconds after which a front that says nothing counts as gone."""


NO_PERMISSION = r"NOPERM|permission"


class Connections:
    """See `ShardHolder`: what a front is to hold, connected when the test says so."""

    def __init__(self, shards: FrontShards, *, at_once: bool) -> None:
        self.connected: frozenset[int] = frozenset()
        self.latency = 0.1
        self.wanted: frozenset[int] = frozenset()
        self._shards = shards
        self.at_once = at_once

    async def show_presence(self, text: str, *, away: bool) -> None:
        raise AssertionError(text, away)

    async def run(self) -> None:
        self._shards.held_by(self)
        while True:
            _, self.wanted = await self._shards.next_share()
            self.connected = self.wanted if self.at_once else self.connected & self.wanted

    def connect(self) -> None:
        self.connected = self.wanted


class Side:
    """One front without its bot."""

    def __init__(self, engine: Engine, name: str, *, at_once: bool = True) -> None:
        self.engine = engine
        self.front = Front(name, name, "1.0", 1)
        self.shards = FrontShards(engine, self.front, seconds=SHORT)
        self.connections = Connections(self.shards, at_once=at_once)

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.connections.run)
            tasks.start_soon(self.shards.run)

    async def lease(self, epoch: int) -> FrontLease:
        """Take the lease from whoever has it."""
        lease = FrontLease(self.engine, self.front, epoch, anyio.current_time(), LONG)
        await self.engine.set(LEASE, lease.value, LONG)
        return lease


@asynccontextmanager
async def running(side: Side, lease: FrontLease | None = None) -> AsyncGenerator[Side]:
    """A front that runs within the block, active with a lease; at the end it is killed."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(side.run)
        if lease is not None:
            tasks.start_soon(side.shards.direct, lease)
        yield side
        tasks.cancel_scope.cancel()


async def test_shards_move_to_a_front_that_comes_and_back_when_it_is_gone(database: EngineSettings) -> None:
    async with connected(database) as engine:
        first, second = Side(engine, "first"), Side(engine, "second", at_once=False)
        async with running(first, await first.lease(1)):
            assert await first.shards.settle(4)
            await until(lambda: first.connections.connected == frozenset({0, 1, 2, 3}))
            async with running(second):
                await until(lambda: len(second.connections.wanted) == 2)
                assert first.connections.connected == frozenset({0, 1, 2, 3}), "until the other one has connected them"
                second.connections.connect()
                await until(lambda: len(first.connections.connected) == 2)
                assert first.connections.connected | second.connections.connected == frozenset({0, 1, 2, 3})
                assert first.shards.is_connected
                assert second.shards.is_connected
            await until(lambda: first.connections.connected == frozenset({0, 1, 2, 3}))


async def test_what_a_front_cannot_connect_goes_to_one_that_can(
    database: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_shards, "UNABLE", 0.5)
    async with connected(database) as engine:
        first, second = Side(engine, "first"), Side(engine, "second", at_once=False)
        async with running(second), running(first, await first.lease(1)):
            await first.shards.settle(2)
            await until(lambda: len(second.connections.wanted) == 1)
            await until(lambda: first.connections.connected == frozenset({0, 1}))
            await until(lambda: len(second.connections.wanted) == 1)
            assert first.connections.connected == frozenset({0, 1}), "it is only tried again"
            second.connections.at_once = True
            second.connections.connect()
            await until(lambda: len(first.connections.connected) == len(second.connections.connected) == 1)


async def test_an_engine_that_lost_everything_gets_the_same_table_again(database: EngineSettings) -> None:
    async with connected(database) as engine:
        first, second = Side(engine, "first"), Side(engine, "second")
        lease = await first.lease(1)
        async with running(second), running(first, lease):
            await first.shards.settle(2)
            await until(lambda: bool(first.connections.connected and second.connections.connected))
            table, held = await read_table(engine), (first.connections.wanted, second.connections.wanted)
            # Only as the second one has a shard that it would not be given at first.
            assert table == ShardTable(1, ("first", "second"))
            await engine.delete(TABLE)
            with anyio.fail_after(PATIENCE):
                while await read_table(engine) is None:  # noqa: ASYNC110  another task's doing
                    await anyio.sleep(0.01)
            assert await read_table(engine) == table
            assert (first.connections.wanted, second.connections.wanted) == held


async def test_a_front_that_leaves_holds_its_shards_until_another_one_has_them(database: EngineSettings) -> None:
    async with connected(database) as engine:
        first, second = Side(engine, "first", at_once=False), Side(engine, "second")
        async with running(first, await first.lease(1)), running(second):
            await first.shards.settle(2)
            await until(lambda: len(second.connections.connected) == 1)
            first.connections.connect()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(second.shards.leave)
                await until(lambda: first.connections.wanted == frozenset({0, 1}))
                assert second.connections.connected
                first.connections.connect()
            assert not second.connections.connected
            assert set(await holdings_of(engine)) == {"first"}


async def test_a_front_that_takes_over_decides_at_once_without_the_one_that_was_active(
    database: EngineSettings,
) -> None:
    async with connected(database) as engine:
        first, second = Side(engine, "first"), Side(engine, "second")
        async with running(second):
            async with running(first, await first.lease(1)):
                await first.shards.settle(4)
                await until(lambda: len(first.connections.connected) == len(second.connections.connected) == 2)
            lease = await second.lease(2)
            assert not await write_table(engine, ShardTable(1, ("first",)), b"1 first"), "it is not active any more"
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(second.shards.direct, lease)
                await until(lambda: second.connections.connected == frozenset({0, 1, 2, 3}))
                assert await read_table(engine) == ShardTable(2, ("second",) * 4)
                tasks.cancel_scope.cancel()


async def test_a_single_shard_is_not_shared(database: EngineSettings) -> None:
    async with connected(database) as engine:
        first, second = Side(engine, "first"), Side(engine, "second")
        async with running(first, await first.lease(1)), running(second):
            assert not await first.shards.settle(1)
            with anyio.fail_after(PATIENCE):
                while await read_table(engine) != ShardTable(1, ("first",)):  # noqa: ASYNC110  another task's doing
                    await anyio.sleep(0.01)
            assert not first.connections.wanted
            assert not second.connections.wanted
            await first.shards.settle(2)
            await until(lambda: len(first.connections.connected) == len(second.connections.connected) == 1)
            await first.shards.settle(1)
            await until(lambda: not first.connections.connected and not second.connections.connected)


async def test_sessions_are_opened_one_after_the_other(database: EngineSettings) -> None:
    async with connected(database) as engine:
        first, second = Side(engine, "first").shards, Side(engine, "second").shards
        began = anyio.current_time()
        await first.turn(0, 1.0)
        await second.turn(1, 1.0)
        assert anyio.current_time() - began < 1.0, "these are two queues"
        await second.turn(0, 1.0)
        assert anyio.current_time() - began >= 1.0


def event(name: str, *, shard: int = 0, lasts: float = 0.0, size: int = 2) -> GatewayEvent:
    return GatewayEvent(shard, 4, name, b"{}".ljust(size), lasts)


def receiver(received: list[str]) -> Deliver:
    async def deliver(events: Sequence[GatewayEvent]) -> None:
        received.extend(event.name for event in events)

    return deliver


class Relay:
    """A front that sends, and one that has the lease and receives."""

    def __init__(self, engine: Engine, reader: Engine, lease: FrontLease) -> None:
        self.engine = engine
        self.lease = lease
        self.counts = Counter[str]()
        self.sender = EventSender(engine, self.counts)
        self.received: list[str] = []
        self.reader = reader

    async def receive(self, lease: FrontLease | None = None) -> None:
        await receive_events(self.reader, (lease or self.lease).value, receiver(self.received), self.counts)

    def has(self, *names: str) -> Callable[[], bool]:
        return lambda: self.received == list(names)


@asynccontextmanager
async def relay(settings: EngineSettings) -> AsyncGenerator[Relay]:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(connected(settings))
        reader = await stack.enter_async_context(connected(settings))
        made = Relay(engine, reader, await Side(engine, "active").lease(1))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        tasks.start_soon(made.sender.run)
        yield made
        tasks.cancel_scope.cancel()


async def test_events_reach_the_front_that_has_the_lease_in_order_and_once(database: EngineSettings) -> None:
    async with relay(database) as made, anyio.create_task_group() as tasks:
        await made.sender.take([event("a"), event("b", shard=3)])
        for _ in range(2):
            # Of two that believe to be this front, each event goes to one.
            tasks.start_soon(made.receive)
        await until(lambda: len(made.received) == 2)
        for name in "cdefg":
            await made.sender.take([event(name)])
        await until(lambda: sorted(made.received) == list("abcdefg"))
        assert await made.engine.range(EVENTS) == []
        assert made.counts == Counter(relayed=7)
        tasks.cancel_scope.cancel()


async def test_a_front_without_the_lease_gets_nothing_and_takes_nothing(database: EngineSettings) -> None:
    async with relay(database) as made, anyio.create_task_group() as tasks:
        tasks.start_soon(made.receive)
        await made.sender.take([event("a")])
        await until(made.has("a"))
        other = await Side(made.engine, "other").lease(2)
        await made.sender.take([event("b"), event("c")])
        await until(lambda: made.counts["relayed"] == 3)
        await anyio.sleep(0.3)
        assert made.received == ["a"]
        made.received.clear()
        tasks.start_soon(made.receive, other)
        await until(made.has("b", "c"))
        tasks.cancel_scope.cancel()


async def test_what_nobody_waits_for_any_more_is_left_out(database: EngineSettings) -> None:
    async with relay(database) as made, anyio.create_task_group() as tasks:
        await made.sender.take([event("interaction", lasts=0.2), event("guild")])
        await until(lambda: made.counts["relayed"] == 2)
        await anyio.sleep(0.3)
        tasks.start_soon(made.receive)
        await until(made.has("guild"))
        assert made.counts["late"] == 1
        await made.sender.take([event("interaction", lasts=10.0)])
        await until(made.has("guild", "interaction"))
        tasks.cancel_scope.cancel()


async def test_something_else_in_the_stream_is_left_out(database: EngineSettings) -> None:
    async with relay(database) as made, anyio.create_task_group() as tasks:
        tasks.start_soon(made.receive)
        await made.engine.add(EVENTS, b"no message", longest=10)
        await made.sender.take([event("a")])
        await until(made.has("a"))
        tasks.cancel_scope.cancel()


async def test_what_is_too_large_or_too_much_is_dropped_and_said_once(
    database: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_events, "MOST_EVENTS", 10)
    async with connected(database) as engine:
        sender = EventSender(engine, counts := Counter[str]())
        with capture_logs() as logs:
            await sender.take([event("large", size=LARGEST_EVENT + 1)])
            await sender.take([event(str(number)) for number in range(15)])
        assert counts == Counter(dropped=6)
        assert [log["reason"] for log in logs] == ["it is too large"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sender.run)
            await until(lambda: counts["relayed"] == 10)
            tasks.cancel_scope.cancel()


async def test_the_stream_is_bounded_although_nobody_reads(database: EngineSettings) -> None:
    async with relay(database) as made:
        for number in range(20):
            await made.sender.take([event("a")] * 100)
            await until(lambda number=number: made.counts["relayed"] == 100 * (number + 1))
        # The engine trims whole nodes, of 100 entries each.
        assert len(await made.engine.range(EVENTS)) <= MOST_EVENTS + 100


async def test_events_wait_for_the_engine_for_some_time_and_are_then_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway_events, "PATIENCE", 0.5)
    server = Valkey()
    server.start()
    try:
        async with relay(server.database()) as made, anyio.create_task_group() as tasks:
            server.kill()
            with capture_logs() as logs:
                await made.sender.take([event("a"), event("b")])
                await until(lambda: made.counts["dropped"] == 2)
                await made.sender.take([event("c")])
                await until(lambda: made.counts["dropped"] == 3)
            said = [log["reason"] for log in logs if log["event"].startswith("what Discord sends")]
            assert said == ["the engine cannot be used"]
            server.start()
            monkeypatch.setattr(gateway_events, "PATIENCE", PATIENCE)
            await made.sender.take([event("d")])
            tasks.start_soon(made.receive)
            # The engine keeps the lease over its restart.
            await until(made.has("d"))
            tasks.cancel_scope.cancel()
    finally:
        server.close()


async def test_the_active_front_hands_its_own_events_over_without_the_engine(database: EngineSettings) -> None:
    here: list[str] = []
    async with relay(database) as made:
        made.sender.here = Here(receiver(here), made.lease)
        await made.sender.take([event("a")])
        await until(lambda: here == ["a"])
        assert not made.counts["relayed"]
        made.lease.lost.set()
        await made.sender.take([event("b")])
        await until(lambda: made.counts["relayed"] == 1)
        assert here == ["a"], "it is not active any more"


async def test_an_unexpected_failure_of_one_delivery_stops_no_other(database: EngineSettings) -> None:
    here: list[str] = []
    deliver = receiver(here)

    async def fail_first(events: Sequence[GatewayEvent]) -> None:
        if events[0].name == "broken":
            raise RuntimeError("a reason")
        await deliver(events)

    async with relay(database) as made:
        made.sender.here = Here(fail_first, made.lease)
        with capture_logs() as logs:
            await made.sender.take([event("broken")])
            await until(lambda: bool(logs))
            await made.sender.take([event("a")])
            await until(lambda: here == ["a"])
        assert [log["event"] for log in logs] == ["events of shards could not be sent"]


async def test_a_worker_can_neither_read_nor_write_what_arrives_at_shards(valkey: Valkey) -> None:
    settings = valkey.database()
    async with relay(settings) as made:
        await made.sender.take([event("INTERACTION_CREATE")])
        await until(lambda: made.counts["relayed"] == 1)
        await made.engine.set_login("attic", rules_of("attic", "secret"))
        try:
            async with connected(replace(settings, username="attic", password="secret")) as worker:
                for key in (EVENTS, TABLE):
                    with pytest.raises(ConnectionLost, match=NO_PERMISSION):
                        await worker.get(key)
                with pytest.raises(ConnectionLost, match=NO_PERMISSION):
                    await worker.range(EVENTS)
                with pytest.raises(ConnectionLost, match=NO_PERMISSION):
                    await worker.add(EVENTS, b"", longest=1)
                with pytest.raises(ConnectionLost, match=NO_PERMISSION):
                    await holdings_of(worker)
        finally:
            await made.engine.delete_login("attic")
