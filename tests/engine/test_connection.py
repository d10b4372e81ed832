"""The client of the engine, against a real Valkey."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from itertools import repeat

import anyio
import pytest

from app.config.engine import EngineSettings, engine_of
from app.engine.connection import FIRST, Engine, open_engine
from app.ports import ConnectionLost
from app.reasons.servers import EngineAway, EngineRefuses, UnknownHost
from tests.engine.valkey import Valkey

PATIENCE = 20.0


def soon() -> Iterator[float]:
    return repeat(0.01)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  what another process does sets no event
        await anyio.sleep(0.001)


@asynccontextmanager
async def connected(settings: EngineSettings) -> AsyncGenerator[Engine]:
    async with open_engine(settings, pauses=soon) as engine:
        with anyio.fail_after(PATIENCE):
            await engine.ready()
        yield engine


@pytest.fixture
def own_valkey() -> Generator[Valkey]:
    server = Valkey()
    server.start()
    yield server
    server.close()


async def test_a_lease_belongs_to_one_value_until_it_is_released_or_ends(database: EngineSettings) -> None:
    async with connected(database) as engine:
        assert await engine.set("lease", b"first", 30.0, only_new=True)
        assert not await engine.set("lease", b"second", 30.0, only_new=True)
        assert await engine.renew("lease", b"first", 60.0)
        assert not await engine.renew("lease", b"second", 0.001)
        assert not await engine.release("lease", b"second")
        assert await engine.get("lease") == b"first"
        assert await engine.release("lease", b"first")
        assert await engine.set("lease", b"second", 30.0, only_new=True)
        assert await engine.renew("lease", b"second", 0.0)
        assert not await engine.renew("lease", b"second", 30.0)


async def test_entries_of_several_streams_arrive_in_order_and_as_they_were(database: EngineSettings) -> None:
    async with connected(database) as engine:
        ids = [await engine.add("a", bytes([number, 0, 255]), longest=1000) for number in range(3)]
        other = await engine.add("b", b"", longest=1000, seconds=60)
        read = await engine.read({"a": FIRST, "b": FIRST, "c": FIRST}, block=1.0)
        assert [(entry.id, entry.data[0]) for entry in read["a"]] == [(ids[n], n) for n in range(3)]
        assert [entry.id for entry in read["b"]] == [other]
        assert await engine.read({"a": ids[2], "b": other}, block=0.001) == {}
        assert [entry.id for entry in await engine.range("a", f"({ids[0]}", most=1)] == ids[1:2]
        assert await engine.remove("a", ids[0]) == 1
        assert await engine.remove("a", ids[0]) == 0
        assert [entry.id for entry in await engine.range("a")] == ids[1:]


async def test_a_blocked_reader_gets_what_is_added_later_and_holds_up_nobody(
    valkey: Valkey, database: EngineSettings
) -> None:
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        read: list[bytes] = []

        async def reader() -> None:
            entries = await engine.read({"a": FIRST}, block=60.0)
            read.extend(entry.data for entry in entries["a"])

        tasks.start_soon(reader)
        with anyio.fail_after(PATIENCE):
            await until(lambda: b"blocked_clients:1" in valkey.ask("INFO", "clients"))
            await engine.add("a", b"late", longest=10)
            await until(lambda: bool(read))
        assert read == [b"late"]


async def test_a_stream_keeps_only_its_newest_entries(database: EngineSettings) -> None:
    async with connected(database) as engine:
        async with anyio.create_task_group() as tasks:
            for number in range(1000):
                tasks.start_soon(lambda n: engine.add("a", b"%d" % n, longest=100), number)
        assert 100 <= len(await engine.range("a")) <= 300


async def test_values_and_keys_can_be_read_taken_and_deleted(database: EngineSettings) -> None:
    async with connected(database) as engine:
        for number in range(50):
            await engine.set(f"key:{number}", b"%d" % number, 60.0)
        assert len(await engine.keys("key:*")) == 50
        assert await engine.values(["key:1", "none", "key:2"]) == [b"1", None, b"2"]
        assert await engine.values([]) == []
        assert await engine.take("key:1") == b"1"
        assert await engine.take("key:1") is None
        assert await engine.expire("key:2", 60.0)
        assert not await engine.expire("none", 60.0)
        assert await engine.delete("key:2", "none") == 1
        assert await engine.configuration("maxmemory-policy") == "noeviction"
        assert await engine.configuration("nothing") is None
        assert await engine.time() > 1e9


async def test_the_client_is_built_again_after_the_engine_was_killed(own_valkey: Valkey) -> None:
    async with connected(own_valkey.database()) as engine:
        await engine.set("kept", b"value", 600.0)
        lost: list[ConnectionLost] = []

        async def reader() -> None:
            try:
                await engine.read({"a": FIRST}, block=60.0)
            except ConnectionLost as error:
                lost.append(error)

        with anyio.fail_after(PATIENCE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reader)
                await until(lambda: b"blocked_clients:1" in own_valkey.ask("INFO", "clients"))
                own_valkey.kill()
            assert [type(error.reason) for error in lost] == [EngineAway]
            with pytest.raises(ConnectionLost):
                await engine.get("kept")
            own_valkey.start()
            await engine.ready()
            assert await engine.get("kept") == b"value"


async def test_more_blocked_reads_are_cancelled_than_there_are_connections(database: EngineSettings) -> None:
    async with connected(database) as engine:
        for _ in range(70):
            with anyio.move_on_after(0.001):
                await engine.read({"a": FIRST}, block=60.0)
            with anyio.fail_after(PATIENCE):
                await engine.ready()
        assert await engine.get("a") is None


async def test_a_refused_command_leaves_the_client_as_it_is(database: EngineSettings) -> None:
    async with connected(database) as engine:
        await engine.set("text", b"value", 60.0)
        with pytest.raises(ConnectionLost) as refused:
            await engine.add("text", b"", longest=1)
        assert isinstance(refused.value.reason, EngineRefuses)
        assert refused.value.reason.message.startswith("Operation against a key holding the wrong kind of value")
        assert await engine.get("text") == b"value"


async def test_a_wrong_password_and_an_absent_engine_are_told_apart(valkey: Valkey) -> None:
    refused = {
        EngineSettings(host="127.0.0.1", port=valkey.port, password="wrong", username="nobody"): EngineRefuses,
        EngineSettings(host="127.0.0.1", port=1): EngineAway,
        EngineSettings(host="nowhere.invalid"): UnknownHost,
    }
    for settings, reason in refused.items():
        async with open_engine(settings, pauses=soon) as engine:
            with anyio.fail_after(PATIENCE):
                await until(lambda: engine.reason != EngineAway("not tried yet"))
            assert type(engine.reason) is reason, engine.reason
            with pytest.raises(ConnectionLost):
                await engine.get("a")


def test_an_address_names_host_port_database_login_and_tls() -> None:
    engine = engine_of("valkeys://me:s%40cret@[::1]:7000/3")
    assert engine == EngineSettings(host="::1", port=7000, tls=True, database=3, username="me", password="s@cret")
    assert engine.address == "valkeys://[::1]:7000/3"
    assert "s@cret" not in repr(engine)
    assert engine_of("redis://host", password="other").password == "other"


@pytest.mark.parametrize(
    "url", ["host", "http://host", "valkey://", "valkey://host:port", "valkey://host/name", "valkey://host?a=b"]
)
def test_what_is_not_an_address_of_an_engine_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(ValueError, match="write valkey://host:6379"):
        engine_of(url)


def test_a_single_process_does_not_import_the_library_of_the_engine() -> None:
    modules = (
        "app.cli.main",
        "app.cli.execute",
        "app.cli.run",
        "app.application",
        "app.discord.app",
        "app.http.server",
    )
    commands = ("journal", "check", "workers")
    names = ", ".join((*modules, *(f"app.cli.{command}.execute" for command in commands)))
    code = f"import sys, {names}; print([name for name in sys.modules if 'coredis' in name or 'app.engine' in name])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "[]\n"
