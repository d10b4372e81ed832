"""What `check` says about an engine."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import anyio
import msgspec
import pytest
from msgspec.structs import replace
from rich.console import Console

from app.cli.check.engine import examine_engine
from app.cli.engine_safety import unsafe as dangers
from app.cli.front_status import show_status
from app.config.engine import EngineSettings
from app.config.load import load_config
from app.core.replication import Position
from app.engine.keys import lease_key, refused_key
from app.engine.messages import Registration
from app.engine.replication.messages import HEAD, LEASE, STANDBY, Front, Standby, head_of, lease_of
from app.engine.replication.status import Safety, safety_of
from tests.engine.valkey import Valkey
from tests.engine.world import PATIENCE, connected


async def sentences(engine: str, folder: Path) -> dict[str, tuple[bool | None, str]]:
    """What is said, by sentence: whether it is wrong, and about whom."""
    return {
        details: (good, name) for good, name, details in await examine_engine(load_config({}, folder, engine=engine))
    }


@pytest.fixture
def unsafe() -> Generator[Valkey]:
    server = Valkey("--appendonly", "no", "--maxmemory-policy", "allkeys-lru", "--maxmemory", "1300000")
    server.start()
    yield server
    server.close()


async def test_without_an_engine_nothing_is_said(tmp_path: Path) -> None:
    assert await examine_engine(load_config({}, tmp_path)) == []


async def test_a_good_engine_is_two_lines(database: EngineSettings, tmp_path: Path) -> None:
    config = load_config({}, tmp_path, engine=database.address)
    engine, workers = await examine_engine(config)
    assert (engine[0], engine[1]) == (True, "engine")
    assert database.address in engine[2]
    assert workers == (None, "workers", "none is there now")
    async with connected(database) as client:
        await client.set(lease_key("attic"), msgspec.json.encode(Registration(session="s")), 60.0)
    assert (await examine_engine(config))[1:] == [(True, "workers", "attic")]


async def test_what_is_unsafe_is_a_sentence_that_says_what_to_set(
    unsafe: Valkey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = await examine_engine(load_config({}, tmp_path, engine=unsafe.database().address))
    text = "\n".join(line for _, _, line in lines)
    assert "set “appendonly yes”" in text
    assert "(allkeys-lru): set “maxmemory-policy noeviction”" in text
    assert "full: raise “maxmemory”." in text
    assert (await show_status(unsafe.database(), Console())) == 1
    assert "raise “maxmemory”." in capsys.readouterr().err


async def test_an_engine_that_is_away_is_one_line(tmp_path: Path) -> None:
    (line,) = await examine_engine(load_config({}, tmp_path, engine="valkey://127.0.0.1:1"))
    assert line[:2] == (False, "engine")
    assert "cannot be reached" in line[2]


SAFE = Safety(version="9.1.2", writes_to_disk=True, when_full="noeviction")


@pytest.mark.parametrize(
    ("changes", "good", "sentence"),
    [
        ({"version": "7.2.4"}, False, "The engine, Valkey 7.2.4, is too old: install Valkey 8 or newer, or Redis 6.2"),
        ({"version": "6.0.16", "program": "Redis"}, False, "The engine, Redis 6.0.16, is too old: install"),
        ({"used": 90, "limit": 100}, None, "The engine's 0 MB are 90% full: raise “maxmemory”."),
        ({"used": 96 * 2**20, "limit": 100 * 2**20}, False, "The engine's 100 MB are 96% full: raise “maxmemory”."),
        ({"can_write": False}, False, "The engine cannot write to its disk: make room there"),
        (
            {"is_replica": True},
            False,
            "The engine is a replica, which takes no changes: set the address of its primary.",
        ),
        (
            {"replicas": {"10.0.0.7:6379": None}},
            None,
            "The replica 10.0.0.7:6379 is not connected: look whether it runs",
        ),
        ({"replicas": {"10.0.0.7:6379": 30.0}}, None, "The replica 10.0.0.7:6379 is 30 s behind: look at its network"),
    ],
)
def test_each_danger_is_one_sentence(changes: dict[str, object], good: bool | None, sentence: str) -> None:
    ((verdict, text),) = dangers(replace(SAFE, **changes))
    assert verdict is good
    assert text.startswith(sentence)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"version": "?"},
        {"version": "8.0.1"},
        {"version": "6.2.0", "program": "Redis"},
        {"used": 79, "limit": 100},
        {"when_full": None},
        {"replicas": {"10.0.0.7:6379": 1.0}},
    ],
)
def test_what_is_safe_is_not_mentioned(changes: dict[str, object]) -> None:
    assert list(dangers(replace(SAFE, **changes))) == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_replica_is_read_from_what_the_engine_says(valkey: Valkey, tmp_path: Path) -> None:
    valkey.ask("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    replica = Valkey("--replicaof", "127.0.0.1", str(valkey.port))
    replica.start()
    try:
        async with connected(valkey.database()) as client:
            name, seconds = f"127.0.0.1:{replica.port}", None
            with anyio.fail_after(PATIENCE):
                while seconds is None:
                    seconds = (await safety_of(client)).replicas.get(name)
            assert seconds < 10
        said = await sentences(replica.database().address, tmp_path)
        assert any("is a replica" in sentence for sentence in said)
    finally:
        replica.close()


async def test_workers_that_cannot_be_used_or_look_wrong_are_a_sentence_each(
    database: EngineSettings, tmp_path: Path
) -> None:
    registrations = {
        "attic": Registration(session="s", ahead=-300),
        "cellar": Registration(session="s", ahead=30),
        "older": Registration(session="s", protocol=0),
    }
    async with connected(database) as client:
        for name, registration in registrations.items():
            await client.set(lease_key(name), msgspec.json.encode(registration), 60.0)
        await client.set(refused_key("cellar"), b"", 60.0)
        assert list((await sentences(database.address, tmp_path)).items())[1:] == [
            ("attic, cellar, older", (True, "workers")),
            ("Its clock is 300 s behind: let its system set it by itself.", (None, "attic")),
            ("It cannot be used: protocol 0 instead of 1: update the older program.", (False, "older")),
            ("A second worker wanted this name lately: stop it, or give it another --name.", (None, "cellar")),
        ]


async def test_fronts_are_named_with_what_keeps_them_from_taking_over(database: EngineSettings, tmp_path: Path) -> None:
    async with connected(database) as client:
        for name, version, number in (("cellar", "1.1", 500), ("shed", "1.0", 10)):
            standby = Standby(Front(name, name, version, 10), number)
            await client.set(f"{STANDBY}{name}", msgspec.json.encode(standby), 60.0)
        assert (await sentences(database.address, tmp_path))[
            "No front is active: look into the log of those that wait."
        ] == (False, "")
        await client.set(LEASE, lease_of(2, Front("attic", "attic", "1.0", 10)), 60.0)
        await client.set(HEAD, head_of(Position("a", 500, b"")), 60.0)
        said = list((await sentences(database.address, tmp_path)).items())
        assert said[1:-1] == [
            ("attic is active (Atelier 1.0, turn 2, batch 500)", (True, "fronts")),
            ("cellar is on standby (Atelier 1.1, 0 batches behind)", (True, "")),
            ("shed is on standby (Atelier 1.0, 490 batches behind)", (True, "")),
            ("It is not of the version of attic: update the older one.", (None, "cellar")),
            ("It does not keep up with the journal: look into its log.", (None, "shed")),
        ]
        await client.delete(f"{STANDBY}cellar", f"{STANDBY}shed")
        assert (await sentences(database.address, tmp_path))[
            "No front is on standby: start one on another machine."
        ] == (None, "")


async def test_a_login_that_may_not_ask_is_a_sentence_and_the_rest_is_said(
    valkey: Valkey, database: EngineSettings, tmp_path: Path
) -> None:
    valkey.ask("ACL", "SETUSER", "clerk", "on", ">secret", "~*", "+@all", "-info")
    address = f"valkey://clerk:secret@127.0.0.1:{database.port}/{database.database}"
    assert await sentences(address, tmp_path) == {
        "Its login may not ask what is unsafe about it: allow “+info +config|get”.": (None, "engine"),
        "none is there now": (None, "workers"),
    }
    valkey.ask("ACL", "DELUSER", "clerk")
    assert "does not accept the login clerk" in next(iter(await sentences(address, tmp_path)))
