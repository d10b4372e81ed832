"""The websocket endpoint (GET /ws) on the real port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import anyio
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.ports import ConnectionLost
from app.reasons.servers import HungUp
from app.simulator.engine.simulator import Simulator
from app.simulator.http.middleware import foreign

ABORT = "atelier.abort"
"""The ASGI extension by which `application.py` provides the function that cuts this connection's TCP stream."""


class RealSocket:
    """Implements `Socket` with a Starlette websocket."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.aborted = anyio.Event()

    async def deliver(self, frame: str | bytes) -> None:
        """Send a frame; waits as long as TCP does. Raises `ConnectionLost` if the connection was cut."""
        if self.aborted.is_set():
            raise ConnectionLost(HungUp())
        try:
            if isinstance(frame, str):
                await self._websocket.send_text(frame)
            else:
                await self._websocket.send_bytes(frame)
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            # Starlette raises RuntimeError when the socket is closed.
            raise ConnectionLost(HungUp()) from error

    def abort(self) -> None:
        """Ask the connection's own task to cut it."""
        self.aborted.set()


class WebSocketEndpoint:
    """The websocket endpoint, as plain ASGI."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one websocket, from the handshake to the end."""
        websocket = WebSocket(scope, receive, send)
        abort = cast("Callable[[], Awaitable[None]] | None", scope.get("extensions", {}).get(ABORT))
        try:
            self._simulator.faults.admit_socket()
        except ConnectionLost:
            await _deny(scope, send, 502)
            return
        if foreign(websocket.headers):
            await _deny(scope, send, 403)
            return
        await websocket.accept()
        socket = RealSocket(websocket)
        try:
            listener = await self._simulator.greet(websocket.query_params.get("clientId"), socket)
        except ConnectionLost:
            return
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_cut_when_aborted, socket, abort, group.cancel_scope)
                while True:
                    message = await websocket.receive()
                    if message["type"] == "websocket.disconnect":
                        break
                    if isinstance(text := message.get("text"), str):
                        await self._simulator.sockets.hear(listener, text)
                group.cancel_scope.cancel()
        except* (ConnectionLost, WebSocketDisconnect):
            # The client is gone, which is expected here.
            pass
        finally:
            self._simulator.sockets.leave(listener)
            socket.abort()


async def _cut_when_aborted(
    socket: RealSocket, abort: Callable[[], Awaitable[None]] | None, life: anyio.CancelScope
) -> None:
    await socket.aborted.wait()
    if abort is not None:
        await abort()
    life.cancel()


async def _deny(scope: Scope, send: Send, status: int) -> None:
    """Refuse a websocket before the handshake; servers without the response extension answer 403."""
    if "websocket.http.response" in scope.get("extensions", {}):
        start: dict[str, object] = {"type": "websocket.http.response.start", "status": status, "headers": []}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b""})
    else:
        await send({"type": "websocket.close", "code": 1008})
