"""Polls whether the servers answer, and asks which nodes they have: at the start, and whenever one comes back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import anyio
import structlog

from app.discord.requests.catalog import Catalog
from app.entry_points import run_request
from app.events import ServerName
from app.ports import Comfy, ConnectionLost, Refused

logger = structlog.stdlib.get_logger(__name__)

PATIENCE = 10.0
"""Seconds for a server to answer at all."""

PATIENCE_NODES = 30.0
"""Seconds for a server to list its nodes: it reads all its model folders for that, which may be on a slow disk."""


class ServerMonitor:
    """Tracks which servers answer. A server is asked for its nodes once each time it comes back."""

    def __init__(self, servers: Mapping[ServerName, Comfy], catalog: Catalog) -> None:
        self._servers = servers
        self._catalog = catalog
        self._known: set[ServerName] = set()
        self._mute: set[ServerName] = set()

    async def poll(self) -> list[ServerName]:
        """Ask all servers at once; return those that do not answer."""
        away: set[ServerName] = set()
        async with anyio.create_task_group() as asking:
            for name, comfy in self._servers.items():
                away.add(name)
                ask = partial(self._ask, name, comfy, away)
                part = partial(run_request, ask, "a server could not be asked what it has", server=name)
                asking.start_soon(part, name=f"ask {name}")
        return [name for name in self._servers if name in away]

    async def _ask(self, name: ServerName, comfy: Comfy, away: set[ServerName]) -> None:
        try:
            with anyio.fail_after(PATIENCE):
                await comfy.queue()
        except (ConnectionLost, Refused, TimeoutError):
            self._known.discard(name)
            return
        away.discard(name)
        if name in self._known:
            return
        try:
            with anyio.fail_after(PATIENCE_NODES):
                self._catalog.learn(name, await comfy.nodes())
        except (ConnectionLost, Refused, TimeoutError) as error:
            if name not in self._mute:
                logger.warning("a server does not say which nodes it has", server=name, reason=str(error))
            self._mute.add(name)
        else:
            self._known.add(name)
            self._mute.discard(name)
