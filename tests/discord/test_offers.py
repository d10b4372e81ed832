"""What the frontend tells the registry of what the servers can run."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import anyio
import anyio.lowlevel
import pytest

from app.actors.handle import Command, Offer, Registry
from app.core.reconciler import Message
from app.discord.app import _watch_folder
from app.events import ServerName
from app.node_cache import NodeCache
from app.ports import Comfy, Queue
from app.service.offers.catalog import Catalog
from app.service.server_monitor import ServerMonitor

STUDIO = ServerName("studio")


class Server:
    """Has one class of nodes, once it has `started`."""

    def __init__(self) -> None:
        self.started = anyio.Event()

    async def queue(self) -> Queue:
        await self.started.wait()
        return Queue()

    async def nodes(self) -> Mapping[str, object]:
        await anyio.lowlevel.checkpoint()
        return {"Paint": {"input": {}, "output": ["IMAGE"], "output_node": True}}

    async def replacements(self) -> Mapping[str, object]:
        await anyio.lowlevel.checkpoint()
        return {}


@pytest.mark.anyio
async def test_the_first_offer_is_made_once_a_server_has_said_which_nodes_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.discord.app.LOOK", 0.01)
    (tmp_path / "oil.json").write_text('{"1": {"class_type": "Paint", "inputs": {}}}')
    (tmp_path / "ink.json").write_text('{"1": {"class_type": "Ink", "inputs": {}}}')
    server = Server()
    comfies = {STUDIO: cast("Comfy", server)}
    nodes = {STUDIO: NodeCache(comfies[STUDIO])}
    catalog = Catalog(tmp_path, comfies, lambda name: nodes[name].definitions)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            sender, inbox = anyio.create_memory_object_stream[Command | Message](1)
            async with sender, inbox:
                tasks.start_soon(_watch_folder, catalog, ServerMonitor(comfies, nodes), Registry(sender))
                await anyio.wait_all_tasks_blocked()
                assert not inbox.statistics().current_buffer_used, "nobody knows yet what it can run"
                server.started.set()
                assert await inbox.receive() == Offer({"ink": (), "oil": (STUDIO,)})
                tasks.cancel_scope.cancel()
