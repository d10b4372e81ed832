"""The ComfyUI servers of a worker, and the clients by which it uses them on behalf of fronts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeAlias

from app.actors.client_pool import ServerClients
from app.config.settings import Server
from app.ports import ConnectionLost
from app.reasons.servers import FrameInvalid

OpenHost: TypeAlias = Callable[[Server, str], AbstractAsyncContextManager[ServerClients]]
"""Open the clients of a server, under the id by which ComfyUI shall know them, for the length of a block."""

CLIENTS = 4
"""Ids for which clients are open at once; there is one for each front and server that was used lately."""


class Hosts:
    """Owns the open clients, by the label of the server and the id. `servers` are those of the worker, by label."""

    def __init__(self, servers: Mapping[str, Server], open_host: OpenHost) -> None:
        self._servers = servers
        self._open_host = open_host
        self._open: dict[tuple[str, str], tuple[ServerClients, AsyncExitStack]] = {}

    async def clients(self, label: str, client: str) -> ServerClients:
        """The clients of a server. Raises `ConnectionLost` if there is no such server, or the id is none."""
        if (opened := self._open.pop((label, client), None)) is not None:
            # The last one is the one that was used last.
            self._open[label, client] = opened
            return opened[0]
        if (server := self._servers.get(label)) is None or not _is_id(client):
            raise ConnectionLost(FrameInvalid("unknown server"))
        stack = AsyncExitStack()
        clients = await stack.enter_async_context(self._open_host(server, client))
        self._open[label, client] = clients, stack
        while len(self._open) > CLIENTS * len(self._servers):
            _, oldest = self._open.pop(next(iter(self._open)))
            await oldest.aclose()
        return clients

    async def aclose(self) -> None:
        """Close all clients."""
        while self._open:
            _, stack = self._open.popitem()[1]
            await stack.aclose()


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
