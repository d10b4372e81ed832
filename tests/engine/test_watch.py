"""What the metrics say about fronts, also those of a front on standby, against a real Valkey."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
import msgspec
from msgspec.structs import replace

from app.cli.front import served_on_standby
from app.config.engine import EngineSettings
from app.config.load import load_config
from app.core.replication import Position
from app.engine.keys import lease_key
from app.engine.messages import OfferedServer, Registration
from app.engine.replication.messages import HEAD, LEASE, STANDBY, Front, Standby, head_of, lease_of
from app.engine.replication.shard_table import Holding, register
from app.engine.replication.watch import MOST_FRONTS, OTHERS, FrontsWatch, HeadTimes
from tests.comfy.peers import closed_port
from tests.engine.world import HERE, PATIENCE, connected, pair, until
from tests.http.figures import samples, value


def head(number: int, lineage: str = "a") -> Position:
    return Position(lineage, number, b"")


def front(name: str) -> Front:
    return Front(name, name, "1.0", 10)


def test_a_copy_is_behind_since_the_first_batch_that_it_lacks() -> None:
    heads = HeadTimes()
    assert heads.behind(7, 0.0) == (0, 0.0)
    for at, number in ((0.0, 5), (1.0, 5), (10.0, 6), (20.0, 9)):
        heads.record(head(number), at)
    assert heads.behind(9, 25.0) == (0, 0.0)
    assert heads.behind(6, 25.0) == (3, 5.0)
    assert heads.behind(5, 25.0) == (4, 15.0)
    assert heads.behind(3, 25.0) == (6, 25.0)
    heads.record(None, 26.0)
    heads.record(head(2, "b"), 30.0)
    assert heads.behind(1, 31.0) == (1, 1.0), "another journal"
    heads.record(head(1, "b"), 40.0)
    assert heads.behind(1, 41.0) == (0, 0.0)
    for number in range(5_000):
        heads.record(head(number, "b"), float(number))
    assert heads.behind(0, 5_000.0)[0] == 4_999


async def test_it_says_who_is_active_for_how_long_and_how_far_the_others_are(database: EngineSettings) -> None:
    async with connected(database) as engine:
        here, other = FrontsWatch(engine, "attic"), FrontsWatch(engine, "cellar")
        await here.look()
        assert (here.is_active, here.epoch, here.lease_left, here.standbys) == (False, None, 0.0, {})
        await engine.set(LEASE, lease_of(3, front("attic")), 60.0)
        await engine.set(HEAD, head_of(head(10)), 60.0)
        names = ["cellar", "cellar", *(f"front-{number:02}" for number in range(MOST_FRONTS + 5))]
        for number, name in enumerate(names):
            standby = Standby(front(name), number)
            await engine.set(f"{STANDBY}{number}", msgspec.json.encode(standby), 60.0)
        await here.look()
        await other.look()
        assert (here.is_active, other.is_active, here.epoch) == (True, False, 3)
        assert 50 < here.lease_left <= 60
        assert here.standbys["cellar"][0] == 10, "of two with one name, the one that is further behind"
        assert len(here.standbys) == MOST_FRONTS + 1
        assert OTHERS in here.standbys
        assert here.shards == {}, "they are not shared"
        for ident, connected_shards in (("attic", (0, 2)), ("cellar", (1,)), ("front-00", ())):
            await register(engine, Holding(front(ident), ident == "attic", 3, connected_shards), 60.0)
        await here.look()
        assert here.shards == {"attic": 2, "cellar": 2, "front-00": 0}, "two have one name, and one id in this test"
        assert engine.round_trip is not None
        assert 0 < engine.round_trip < PATIENCE
        await engine.delete(LEASE)
        await here.look()
        assert (here.is_active, here.epoch, here.lease_left) == (False, 3, 0.0)


async def test_a_front_on_standby_serves_its_health_and_its_figures(database: EngineSettings, tmp_path: Path) -> None:
    port = closed_port()
    config = load_config({"ATELIER_HTTP": f"127.0.0.1:{port}"}, tmp_path)
    config = replace(config, page=replace(config.page, enabled=True))
    text = ""
    async with connected(database) as engine, anyio.create_task_group() as tasks:
        watch = FrontsWatch(engine, "cellar")
        await engine.set(LEASE, lease_of(3, front("attic")), 60.0)
        tasks.start_soon(watch.run)
        await until(lambda: watch.active is not None)
        async with served_on_standby(config, watch), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            with anyio.fail_after(PATIENCE):
                while True:
                    try:
                        alive = await client.get("/healthz")
                        break
                    except httpx.TransportError:
                        await anyio.sleep(0.01)
            assert alive.json() == {"alive": True}
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["discord"]) == (503, "standby")
            assert "on standby" in ready.json()["missing"]
            text = (await client.get("/metrics")).text
            assert (await client.get("/page")).status_code == 404
        tasks.cancel_scope.cancel()
    assert value(text, "atelier_engine_up") == 1
    assert value(text, "atelier_front_active") == 0
    assert value(text, "atelier_front_epoch") == 3
    assert value(text, "atelier_front_lease_seconds") > 50
    assert "atelier_jobs" not in samples(text)


async def test_the_last_sign_of_a_worker_is_as_old_as_its_lease_says(database: EngineSettings, tmp_path: Path) -> None:
    registration = Registration(session="s", servers=(OfferedServer(), OfferedServer(label="b")))
    async with pair(database, tmp_path) as both:
        await both.front.set(lease_key("attic"), msgspec.json.encode(registration), 2.0)
        await both.workers.look()
        lags = both.workers.lags
        assert lags.keys() == {"attic", "attic/b"}
        assert {worker for worker, _ in lags.values()} == {"attic"}
        assert all(3.0 <= lag < 5.0 for _, lag in lags.values())
        assert both.workers.here == 1
        await both.front.delete(lease_key("attic"))
        await both.workers.look()
        assert both.workers.here == 0
        assert both.workers.lags[HERE][1] > lags[HERE][1]
