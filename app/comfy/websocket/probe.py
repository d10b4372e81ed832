"""Finds out whether a server's port accepts connections, without a handshake."""

from __future__ import annotations

import anyio

from app.comfy.errors import network_reason
from app.comfy.websocket.address import host_and_port
from app.config.settings import Server
from app.ports import ConnectionLost

PROBE_TIMEOUT = 1.0
"""Seconds for the address to be looked up and the connection to be accepted; a local network needs milliseconds."""


async def probe(server: Server) -> None:
    """Open one TCP connection and close it without sending anything; see `app.ports.Probe`."""
    host, port = host_and_port(server.url)
    try:
        with anyio.move_on_after(PROBE_TIMEOUT):
            stream = await anyio.connect_tcp(host, port)
            await anyio.aclose_forcefully(stream)
    except Exception as error:
        raise ConnectionLost(network_reason(error)) from error
