"""Which servers are away, and what the operator is alerted of."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import cast

import anyio
import anyio.lowlevel
import pytest
from msgspec import Raw

from app.actors.alerts import AlertActor, Texts
from app.events import ServerName
from app.node_cache import NodeCache
from app.ports import Comfy, ConnectionLost, Queue, Refused
from app.reasons.servers import CredentialsRefused, RefusedConnection
from app.service.server_monitor import ALERT_AFTER, ServerMonitor
from app.texts.alerts import alert_text
from tests.conftest import virtual

STUDIO, CELLAR = ServerName("studio"), ServerName("cellar")


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual(str(request.param))


class Server:
    """Answers, or raises, or hangs if there is nothing to raise."""

    def __init__(self) -> None:
        self.there = True
        self.error: Exception | None = ConnectionLost(RefusedConnection())

    async def queue(self) -> Queue:
        await anyio.lowlevel.checkpoint()
        if self.there:
            return Queue()
        if self.error is None:
            await anyio.sleep_forever()
            raise AssertionError
        raise self.error

    async def nodes(self) -> Mapping[str, object]:
        await anyio.lowlevel.checkpoint()
        return {}

    async def replacements(self) -> Mapping[str, Raw]:
        return {}


@asynccontextmanager
async def watched(off: Collection[ServerName] = (), **servers: Server) -> AsyncGenerator[Texts]:
    """The alerts while these servers are polled every ten seconds."""
    actor = AlertActor(alert_text)
    comfies = {ServerName(name): cast("Comfy", server) for name, server in servers.items()}
    nodes = {name: NodeCache(comfy) for name, comfy in comfies.items()}
    monitor = ServerMonitor(comfies, nodes, actor.handle, off)

    async def poll() -> None:
        while True:
            await monitor.poll()
            await anyio.sleep(10)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(actor.run)
        with actor.handle.listen() as texts:
            tasks.start_soon(poll)
            await anyio.sleep(1)
            yield texts
        tasks.cancel_scope.cancel()


def read(texts: Texts) -> list[str]:
    return [texts.receive_nowait() for _ in range(texts.statistics().current_buffer_used)]


async def test_a_server_that_is_away_for_a_minute_is_an_alert_and_so_is_its_return() -> None:
    studio = Server()
    async with watched(studio=studio) as texts:
        studio.there = False
        await anyio.sleep(ALERT_AFTER)
        assert read(texts) == []
        await anyio.sleep(3600)
        assert read(texts) == [
            "studio is away, and its jobs wait. The server refuses the connection. Start ComfyUI, or check the port."
        ]
        studio.there = True
        await anyio.sleep(10)
        assert read(texts) == ["studio is back after 1 hour."]


async def test_a_restart_is_no_alert() -> None:
    studio = Server()
    async with watched(studio=studio) as texts:
        for _ in range(20):
            studio.there = not studio.there
            await anyio.sleep(ALERT_AFTER - 10)
        assert read(texts) == []


async def test_all_servers_away_is_an_alert_of_its_own() -> None:
    studio, cellar = Server(), Server()
    async with watched(studio=studio, cellar=cellar) as texts:
        studio.there = cellar.there = False
        cellar.error = Refused(CredentialsRefused())
        await anyio.sleep(ALERT_AFTER + 20)
        every = "Start ComfyUI on studio, cellar: no server answers, and every job waits."
        alerts = read(texts)
        assert len(alerts) == 3
        assert every in alerts
        cellar.there = True
        await anyio.sleep(20)
        assert sorted(read(texts)) == ["A server answers again after 1 minute.", "cellar is back after 1 minute."]


async def test_a_server_that_hangs_is_away() -> None:
    studio = Server()
    async with watched(studio=studio) as texts:
        studio.there, studio.error = False, None
        await anyio.sleep(ALERT_AFTER + 30)
        assert read(texts) == ["Start ComfyUI on studio: it does not answer, and its jobs wait."]


async def test_a_server_that_is_off_on_purpose_is_no_alert_until_it_should_be_on() -> None:
    studio, cellar, off = Server(), Server(), {CELLAR}
    studio.there = cellar.there = False
    async with watched(off, studio=studio, cellar=cellar) as texts:
        await anyio.sleep(10 * ALERT_AFTER)
        assert [text.split(":")[0].split(",")[0] for text in read(texts)] == ["studio is away"]
        off.clear()
        await anyio.sleep(2 * ALERT_AFTER)
        assert any(text.startswith("cellar is away") for text in read(texts))
        off.add(CELLAR)
        await anyio.sleep(2 * ALERT_AFTER)
        assert read(texts) == [], "it is not back"


async def test_all_servers_off_on_purpose_is_not_that_no_server_answers() -> None:
    studio, cellar = Server(), Server()
    studio.there = cellar.there = False
    comfies = {ServerName(name): cast("Comfy", server) for name, server in (("studio", studio), ("cellar", cellar))}
    assert await ServerMonitor(comfies, {}, off={STUDIO, CELLAR}).poll() == []


async def test_a_server_that_is_removed_and_added_again_between_two_polls_is_asked_for_its_nodes_again() -> None:
    comfies = {STUDIO: cast("Comfy", Server())}
    nodes = {STUDIO: NodeCache(comfies[STUDIO])}
    monitor = ServerMonitor(comfies, nodes)
    await monitor.poll()
    nodes[STUDIO] = NodeCache(comfies[STUDIO])
    await monitor.ask_new()
    assert nodes[STUDIO].definitions is not None


async def test_a_server_whose_first_poll_was_broken_off_is_asked_again_at_once() -> None:
    studio = Server()
    studio.there, studio.error = False, None
    comfies = {STUDIO: cast("Comfy", studio)}
    nodes = {STUDIO: NodeCache(comfies[STUDIO])}
    monitor = ServerMonitor(comfies, nodes)
    with anyio.move_on_after(1):
        await monitor.poll()
    studio.there = True
    await monitor.ask_new()
    assert nodes[STUDIO].definitions is not None
