"""The simulator as a real server: Starlette's routes and the websocket, served by anycorn."""

from __future__ import annotations

import logging
import socket as sockets
import uuid
from functools import partial
from typing import cast

import anycorn
import anyio
import msgspec
from anycorn.app_wrappers import ASGIWrapper
from anycorn.config import Sockets
from anycorn.run import worker_serve
from anycorn.typing import ASGIFramework
from anyio.abc import TaskStatus
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.ports import ConnectionLost
from app.simulator.engine import Simulator
from app.simulator.routes import TROUBLE, Routes
from app.simulator.sockets import Socket

MOST_BYTES = 104857600
"""ComfyUI's `--max-upload-size`, for all bodies (COMFYUI.md 1)."""


class Weather:
    """Stands before all routes: outages, delays, the body limit, the origin check, ComfyUI's 500 as text."""

    def __init__(self, app: ASGIApp, simulator: Simulator) -> None:
        self._app = app
        self._simulator = simulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it here."""
        if scope["type"] == "lifespan":
            # Starlette's own would take our being cancelled for a failed shutdown.
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
            return
        if scope["type"] != "http" or str(scope["path"]).endswith("/simulator/faults"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        refusal: PlainTextResponse | None = None
        if self._simulator.faults.down:
            refusal = PlainTextResponse("502 Bad Gateway", 502)
        elif int(headers.get("content-length", "0")) > MOST_BYTES:
            refusal = PlainTextResponse(f"Maximum request body size {MOST_BYTES} exceeded.", 413)
        elif "origin" in headers and headers["origin"].partition("://")[2] != headers.get("host"):
            refusal = PlainTextResponse("403 Forbidden", 403)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if self._simulator.faults.delay:
            await anyio.sleep(self._simulator.faults.delay)
        try:
            await self._app(scope, receive, send)
        except (msgspec.MsgspecError, ValueError, TypeError):
            await PlainTextResponse(TROUBLE, 500)(scope, receive, send)


def application(simulator: Simulator) -> Starlette:
    """All routes of one simulator."""

    async def listen(websocket: WebSocket) -> None:
        client_id = websocket.query_params.get("clientId") or uuid.uuid4().hex
        try:
            async with simulator.connect(client_id) as socket:
                await websocket.accept()
                await _pump(websocket, socket)
        except ConnectionLost:
            await websocket.close()

    routes: list[BaseRoute] = [WebSocketRoute(path, listen) for path in ("/ws", "/api/ws")]
    for method, path, endpoint in Routes(simulator).table():
        routes += [Route(f"{base}{path}", endpoint, methods=[method]) for base in ("", "/api")]
    return Starlette(routes=routes, middleware=[Middleware(Weather, simulator)])


async def _pump(websocket: WebSocket, socket: Socket) -> None:
    """Carry frames both ways, until either side ends."""
    async with anyio.create_task_group() as tasks:

        async def speak() -> None:
            try:
                while True:
                    frame = await socket.receive()
                    await (websocket.send_text(frame) if isinstance(frame, str) else websocket.send_bytes(frame))
            except (ConnectionLost, WebSocketDisconnect):
                tasks.cancel_scope.cancel()

        tasks.start_soon(speak, name=f"socket {socket.client_id}")
        try:
            async for message in websocket.iter_text():
                await socket.send(message)
        except (KeyError, WebSocketDisconnect):
            pass
        tasks.cancel_scope.cancel()


async def serve(
    simulator: Simulator,
    host: str,
    port: int,
    *,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled; reports the port, which is a free one for 0. Raises `OSError` if it is taken."""
    config = anycorn.Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("app.simulator.anycorn")
    config.graceful_timeout = 0.2
    config.websocket_max_message_size = 4 * 2**20
    # The two libraries describe the same protocol with types that do not meet.
    app = ASGIWrapper(cast("ASGIFramework", application(simulator)))
    with _listener(host, port) as listener:
        port = int(listener.getsockname()[1])
        ears = Sockets([], [listener], [])
        async with anyio.create_task_group() as tasks:
            await tasks.start(simulator.run, name="simulator")
            # Without a trigger of ours anycorn would take the signals for itself.
            run = partial(worker_serve, app, config, sockets=ears, shutdown_trigger=anyio.sleep_forever)
            await tasks.start(run, name="anycorn")
            task_status.started(port)


def _listener(host: str, port: int) -> sockets.socket:
    listener = sockets.socket(sockets.AF_INET6 if ":" in host else sockets.AF_INET)
    try:
        listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        # Inherited by what is accepted: without it a small frame waits 40 ms for the last one's receipt.
        listener.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)  # noqa: FBT003  the standard library's own way
    return listener
