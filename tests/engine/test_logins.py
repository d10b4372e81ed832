"""Workers get logins of their own, which reach nothing else, and lose them again."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import anyio
import msgspec
import pytest
import trustme
from anyio.abc import ByteReceiveStream, ByteSendStream, ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener
from msgspec.structs import replace
from rich.console import Console

from app.actors.client_pool import ClientPool
from app.application import open_services
from app.cli.arguments.commands import AddWorker, ListWorkers, RevokeWorker, WorkersCommand
from app.cli.workers.execute import execute
from app.config.engine import EngineSettings, engine_of
from app.config.load import load_config
from app.engine.keys import PREFIX, lease_key
from app.engine.logins import COMMANDS, keys_of, read_logins
from app.engine.messages import OfferedServer, Registration
from app.engine.registrations import LEASE
from app.engine.replication.messages import LEASE as FRONT_LEASE
from app.engine.worker.session import work
from app.events import Finished, ServerName
from app.journal.memory import MemoryJournal
from app.ports import ConnectionLost, Json
from app.reasons.servers import EngineRefuses
from app.simulator.engine.simulator import Simulator
from app.simulator.faults import Request
from tests.engine.valkey import Valkey
from tests.engine.world import PATIENCE, connected, pair, simulated, until, worker_settings
from tests.world import Watcher, World, delivered

SCALING = Path(__file__).parents[2] / "docs" / "SCALING.md"

CONSOLE = Console(width=300)


@pytest.fixture(scope="module")
def acl_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("acl") / "users.acl"
    file.touch()
    return file


@pytest.fixture(scope="module")
def guarded(acl_file: Path) -> Generator[Valkey]:
    """An engine that saves its logins."""
    server = Valkey("--aclfile", str(acl_file))
    server.start()
    yield server
    server.close()


@pytest.fixture
def engine(guarded: Valkey) -> EngineSettings:
    guarded.ask("ACL", "LOAD")
    guarded.ask("ACL", "DELUSER", "attic", "cellar", "clerk")
    return guarded.database()


async def run(engine: EngineSettings | None, command: WorkersCommand) -> int:
    with anyio.fail_after(PATIENCE):
        return await execute(command, replace(load_config({}, Path("/nowhere")), engine=engine), CONSOLE)


async def password_of(engine: EngineSettings, name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Add a worker; the password that its operator reads."""
    capsys.readouterr()
    assert await run(engine, AddWorker(name)) == 0
    match = re.search(r"ATELIER_ENGINE_PASSWORD=(\S+) atelier work", capsys.readouterr().out)
    assert match is not None
    return match[1]


async def test_a_login_is_added_and_saved_and_revoked(
    engine: EngineSettings, acl_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def saved() -> str:
        return acl_file.read_text("utf-8")

    assert await run(engine, AddWorker("attic")) == 0
    lines = capsys.readouterr().out.splitlines()
    address = f"valkey://127.0.0.1:{engine.port}/{engine.database}"
    command = next(line for line in lines if "atelier work" in line)
    assert re.fullmatch(rf"  ATELIER_ENGINE_PASSWORD=[\w-]{{43}} atelier work --engine {address} --name attic", command)
    assert "There, write the address of this machine instead of 127.0.0.1." in lines
    assert "The engine has saved the login in its aclfile." in lines
    assert f"{keys_of('attic')} resetchannels {COMMANDS}" in saved()

    assert await run(engine, AddWorker("attic")) == 1
    assert "attic has a login already: for a new password, run" in capsys.readouterr().err

    assert await run(engine, RevokeWorker("atic")) == 1
    assert "there is no login “atic”; did you mean “attic”?" in capsys.readouterr().err
    assert await run(engine, RevokeWorker("attic")) == 0
    assert "attic can no longer use the engine" in capsys.readouterr().out
    assert "attic" not in saved()
    assert await run(engine, RevokeWorker("attic")) == 1
    assert "there is no login “attic”: no worker has one." in capsys.readouterr().err


async def test_an_engine_without_an_aclfile_gets_the_line_for_its_configuration(
    database: EngineSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    tls = replace(database, host="localhost", ca_file="/etc/ca.pem")
    try:
        assert await run(tls, AddWorker("attic")) == 0
        output = capsys.readouterr().out
        assert "The engine has no aclfile and forgets the login when it restarts" in output
        (line,) = (line for line in output.splitlines() if line.startswith("  user attic on #"))
        assert line.endswith(f"{keys_of('attic')} resetchannels {COMMANDS}")
        assert "Copy /etc/ca.pem there as engine-ca.pem" in output
    finally:
        assert await run(database, RevokeWorker("attic")) == 0
    assert "delete the login in its configuration as well" in capsys.readouterr().out


async def test_logins_that_are_no_workers_are_left_alone(
    guarded: Valkey, engine: EngineSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    guarded.ask("ACL", "SETUSER", "clerk", "on", ">secret", "~atelier:worker:clerk:*", "~other", "+@all")
    before = guarded.ask("ACL", "LIST")
    for name in ("default", "clerk"):
        assert await run(engine, AddWorker(name)) == 1
        assert f"{name} is a login of the engine that is not a worker's: choose" in capsys.readouterr().err
        assert await run(engine, RevokeWorker(name)) == 1
        assert f"{name} is a login of the engine that is not a worker's: nothing" in capsys.readouterr().err
    assert guarded.ask("ACL", "LIST") == before


async def test_a_wrong_name_or_engine_or_login_is_one_sentence(
    guarded: Valkey, engine: EngineSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    guarded.ask("ACL", "SETUSER", "clerk", "on", ">secret", "~*", "+@all", "-acl")
    clerk = replace(engine, username="clerk", password="secret")
    nowhere = EngineSettings(host="127.0.0.1", port=9)
    may_not = "The login clerk may not change logins (ACL): set another “username” in [engine], such as default."
    cases: list[tuple[EngineSettings | None, WorkersCommand, int, str]] = [
        (engine, AddWorker("At tic"), 2, "a worker cannot be called “At tic”: use small letters"),
        (engine, RevokeWorker("*"), 2, "a worker cannot be called “*”: use small letters"),
        (None, AddWorker("attic"), 2, "workers needs an engine: write --engine valkey://host:6379"),
        (nowhere, ListWorkers(), 1, "The engine valkey://127.0.0.1:9/0 cannot be reached ("),
        (replace(clerk, password="wrong"), ListWorkers(), 1, "does not accept the login clerk: set ATELIER_"),
        (clerk, AddWorker("attic"), 1, may_not),
        (clerk, RevokeWorker("attic"), 1, may_not),
    ]
    for settings, command, code, sentence in cases:
        assert await run(settings, command) == code
        output, errors = capsys.readouterr()
        assert errors.startswith("atelier: ")
        assert sentence in errors
        assert errors.count("\n") == 1
        assert output == ""


async def test_the_list_says_who_is_here_who_is_not_and_what_each_offers(
    guarded: Valkey, engine: EngineSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(engine, ListWorkers()) == 0
    assert "There are no workers, and none has a login." in capsys.readouterr().out
    for name in ("attic", "cellar"):
        await password_of(engine, name, capsys)
    servers = (OfferedServer(label="a"), OfferedServer(label="b", workflows=("txt2img", "\x1b[2J")))
    registrations = {
        "attic": msgspec.json.encode(
            Registration(session="s", program="1.0", servers=servers, hours=(22 * 60, 8 * 60 + 30))
        ),
        "older": msgspec.json.encode(Registration(session="s", protocol=0)),
        "odd": b"nonsense",
        "huge": b"x" * 100_000,
    }
    async with connected(engine) as client:
        for name, value in registrations.items():
            await client.set(lease_key(name), value, 60.0)
        await client.add(lease_key("stream"), b"", longest=1)
        assert await run(engine, ListWorkers(json=True)) == 0
        lines = capsys.readouterr().out.splitlines()
        records = {
            str(each["worker"]): each for each in (msgspec.json.decode(line, type=dict[str, Json]) for line in lines)
        }
        assert list(records) == ["attic", "cellar", "huge", "odd", "older", "stream"]
        attic, cellar = records["attic"], records["cellar"]
        assert (attic["here"], attic["login"], attic["hours"], attic["program"]) == (True, True, "22:00-8:30", "1.0")
        assert attic["last_sign_seconds"] == 0.0
        assert attic["servers"] == [
            {"server": "attic/a", "workflows": None, "weight": 1.0},
            {"server": "attic/b", "workflows": ["txt2img", "\x1b[2J"], "weight": 1.0},
        ]
        assert (cellar["here"], cellar["login"], cellar["lease_seconds"]) == (False, True, None)
        assert records["older"]["problem"] == "protocol 0 instead of 1: update the older program"
        assert all(records[name]["problem"] for name in ("odd", "huge", "stream"))
        assert await run(engine, ListWorkers()) == 0
        table = capsys.readouterr().out
        assert "\x1b" not in table
        assert re.search(r"attic +here +a, b +all; txt2img,.* 22:00-8:30 +[0-9.]+ s left +1.0", table)
        assert re.search(r"cellar +not here", table)
        guarded.ask("ACL", "SETUSER", "clerk", "on", ">secret", "~*", "+@all", "-acl")
        assert await run(replace(engine, username="clerk", password="secret"), ListWorkers()) == 0
        output, errors = capsys.readouterr()
        assert "attic" in output
        assert "cellar" not in output
        assert "so only the workers that are here are listed" in errors


def test_the_documented_login_is_the_one_that_is_created() -> None:
    documented = next(line for line in SCALING.read_text("utf-8").splitlines() if "ACL SETUSER attic" in line)
    assert documented.split()[3:] == [
        "on",
        ">A-LONG-PASSWORD",
        "resetkeys",
        keys_of("attic"),
        "resetchannels",
        *COMMANDS.split(),
    ]


def test_only_a_login_with_nothing_but_its_own_keys_is_a_workers() -> None:
    rules = {
        "attic": "on #00 ~atelier:worker:attic:* resetchannels -@all",
        "cellar": "on #00 ~atelier:worker:attic:* resetchannels -@all",
        "more": "on #00 ~atelier:worker:more:* %R~other resetchannels -@all",
        "selector": "on #00 ~atelier:worker:selector:* resetchannels -@all (~* +get)",
        "default": "on nopass ~* &* +@all",
    }
    logins = read_logins([f"user {name} {line}" for name, line in rules.items()])
    assert [name for name, is_workers in logins.items() if is_workers] == ["attic"]
    assert logins.keys() == rules.keys()


@asynccontextmanager
async def over_tls(engine: EngineSettings, folder: Path) -> AsyncGenerator[EngineSettings]:
    """The engine behind TLS, with a certificate that only `ca_file` knows."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]

    async def pass_on(source: ByteReceiveStream, target: ByteSendStream, scope: anyio.CancelScope) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for data in source:
                await target.send(data)
        scope.cancel()

    async def converse(client: ByteStream) -> None:
        async with (
            client,
            await anyio.connect_tcp("127.0.0.1", engine.port) as server,
            anyio.create_task_group() as ways,
        ):
            ways.start_soon(pass_on, client, server, ways.cancel_scope)
            ways.start_soon(pass_on, server, client, ways.cancel_scope)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(TLSListener(listener, context, standard_compatible=False).serve, converse)
        url = f"valkeys://127.0.0.1:{listener.extra(SocketAttribute.local_port)}/{engine.database}"
        yield engine_of(url, ca_file=str(folder / "ca.pem"))
        tasks.cancel_scope.cancel()


@pytest.mark.slow
async def test_a_login_does_all_that_a_worker_needs_over_tls_and_reaches_nothing_else(
    guarded: Valkey, engine: EngineSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    password = await password_of(engine, "attic", capsys)
    simulator = Simulator(tmp_path / "comfyui", step_time=0.0, previews=True)
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(anyio.create_task_group())
        await ground.start(simulator.run)
        secured = await stack.enter_async_context(over_tls(engine, tmp_path))
        login = replace(secured, username="attic", password=password)
        both = await stack.enter_async_context(pair(engine, tmp_path))
        client = await stack.enter_async_context(connected(login))
        both.tasks.start_soon(work, client, worker_settings(tmp_path / "worker"), simulated(simulator))
        pool, journal = ClientPool(both.workers.open_clients), MemoryJournal()
        await pool.open(await both.known())
        async with open_services(pool, journal, depth=2, settings=both.workers.settings) as services:
            house = World(simulator, services.registry, tmp_path / "results", journal, services.work, services.overview)
            with anyio.fail_after(PATIENCE):
                assert all(delivered(watcher) for watcher in await house.make_many(2))
        picture = tmp_path / "picture"
        picture.write_bytes(bytes(2**20))
        async with both.clients() as clients:
            assert await clients.comfy.upload(picture, "mask.png") == "mask.png"

        await both.front.set(FRONT_LEASE, b"secret", 60.0)
        for forbidden in (
            client.get(FRONT_LEASE),
            client.values([lease_key("cellar")]),
            client.set(lease_key("cellar"), b"", 1.0),
            client.add("atelier:journal", b"", longest=1),
            client.read({"atelier:journal": "0-0"}, block=0.01),
            client.script("return redis.call('GET', 'atelier:front')", [], []),
            client.script(f"return redis.call('GET', '{PREFIX}cellar:lease')", [], []),
            client.keys("*"),
            client.information("server"),
            client.configuration("requirepass"),
            client.logins(),
            client.set_login("attic", ("+@all",)),
        ):
            with pytest.raises(ConnectionLost) as refused:
                await forbidden
            assert isinstance(refused.value.reason, EngineRefuses)
        ground.cancel_scope.cancel()
    for command in ("FLUSHALL", "FUNCTION FLUSH", "CLIENT LIST", "PUBLISH a b", "SUBSCRIBE a", "DBSIZE", "MONITOR"):
        assert b"no permissions" in guarded.ask("ACL", "DRYRUN", "attic", *command.split())


@pytest.mark.slow
async def test_the_jobs_of_a_worker_that_is_revoked_go_elsewhere(
    engine: EngineSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.engine.remote_servers.workers.FAILOVER", 0.2)
    password = await password_of(engine, "attic", capsys)
    attic, cellar = (Simulator(tmp_path / name, step_time=0.0) for name in ("attic", "cellar"))
    attic.faults.ask(Request(hold=True))
    async with AsyncExitStack() as stack:
        ground = await stack.enter_async_context(anyio.create_task_group())
        for simulator in (attic, cellar):
            await ground.start(simulator.run)
        both = await stack.enter_async_context(pair(engine, tmp_path))
        login = await stack.enter_async_context(connected(replace(engine, username="attic", password=password)))
        both.tasks.start_soon(work, login, worker_settings(tmp_path / "one"), simulated(attic))
        pool, journal = ClientPool(both.workers.open_clients), MemoryJournal()
        await pool.open(await both.known())
        async with open_services(pool, journal, depth=2, settings=both.workers.settings) as services:
            both.tasks.start_soon(both.workers.run, services.servers.offer)
            house = World(attic, services.registry, tmp_path / "results", journal, services.work, services.overview)
            watcher = Watcher()
            both.tasks.start_soon(house.make, None, watcher)
            await until(lambda: any(job.in_flight for job in services.work.jobs.values()))
            both.tasks.start_soon(work, both.worker, worker_settings(tmp_path / "two", "cellar"), simulated(cellar))
            await until(lambda: ServerName("cellar") in services.work.servers)
            began = anyio.current_time()
            assert await run(engine, RevokeWorker("attic")) == 0
            await until(lambda: both.workers.registration("attic") is None)
            assert anyio.current_time() - began < LEASE
            await until(lambda: bool(watcher.shown) and isinstance(watcher.last, Finished))
            assert isinstance(watcher.last, Finished)
            assert watcher.last.server == "cellar"
            assert isinstance(login.reason, EngineRefuses)
        ground.cancel_scope.cancel()
