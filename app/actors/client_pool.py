"""The clients of the servers, each of which can be opened and closed while the others are in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeAlias

from msgspec import Struct

from app.config.settings import Server
from app.events import ServerName
from app.ports import Comfy, Connect, Probe


class ServerClients(Struct, frozen=True):
    """The HTTP client of one server, and the functions that open its websocket and probe its port.

    Without a probe, each attempt to connect is a handshake.
    """

    comfy: Comfy
    connect: Connect
    probe: Probe | None = None


OpenClients: TypeAlias = Callable[[Server], AbstractAsyncContextManager[ServerClients]]
"""Open the clients of a server for the length of a block; raises `OSError` for a CA file that cannot be read."""


class ClientPool(Mapping[ServerName, ServerClients]):
    """Owns the open clients, by the names of their servers."""

    def __init__(self, open_clients: OpenClients) -> None:
        self._open_clients = open_clients
        self._clients: dict[ServerName, ServerClients] = {}
        self._stacks: dict[ServerName, AsyncExitStack] = {}
        self.servers: dict[ServerName, Server] = {}
        """The servers whose clients are open."""

    def __getitem__(self, name: ServerName) -> ServerClients:
        return self._clients[name]

    def __iter__(self) -> Iterator[ServerName]:
        return iter(self._clients)

    def __len__(self) -> int:
        return len(self._clients)

    async def open(self, server: Server) -> ServerClients:
        """Open the clients of a server whose name has none. Raises what `open_clients` raises."""
        stack = AsyncExitStack()
        clients = await stack.enter_async_context(self._open_clients(server))
        self._stacks[server.label], self._clients[server.label] = stack, clients
        self.servers[server.label] = server
        return clients

    async def close(self, name: ServerName) -> None:
        """Close the clients of a server."""
        del self._clients[name], self.servers[name]
        await self._stacks.pop(name).aclose()

    async def aclose(self) -> None:
        """Close all clients, those that were opened last first."""
        async with AsyncExitStack() as stack:
            for name in self._clients:
                stack.push_async_callback(self._stacks[name].aclose)


class Comfies(Mapping[ServerName, Comfy]):
    """The HTTP clients alone, for what opens no websockets. Servers may come and go."""

    def __init__(self, clients: Mapping[ServerName, ServerClients]) -> None:
        self._clients = clients

    def __getitem__(self, name: ServerName) -> Comfy:
        return self._clients[name].comfy

    def __iter__(self) -> Iterator[ServerName]:
        return iter(self._clients)

    def __len__(self) -> int:
        return len(self._clients)
