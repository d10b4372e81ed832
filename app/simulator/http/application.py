"""The face on a real port: a Starlette application, served by anycorn on both backends.

anycorn brings the protocols; the listener and the connections are ours, for two things its own `serve` cannot
do. ComfyUI's failures cut TCP, without a close frame and with the port closed, where an ASGI application can
only ask for a polite 1011. And anycorn shields its sends, so that a client which does not read would keep a
cancelled server alive: closing the stream from outside is what ends such a send.
"""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from typing import cast

import anyio
from anycorn import Config
from anycorn.app_wrappers import ASGIWrapper
from anycorn.tcp_server import TCPServer
from anycorn.typing import ASGIFramework
from anycorn.worker_context import WorkerContext
from anyio import TASK_STATUS_IGNORED
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.simulator.engine.simulator import Simulator
from app.simulator.http.file_routes import FileRoutes
from app.simulator.http.middleware import Gates
from app.simulator.http.prompt_routes import PromptRoutes
from app.simulator.http.websocket import ABORT, WebSocketEndpoint


def application(simulator: Simulator) -> Starlette:
    """All routes, with and without /api. `simulator.run` must be running; no lifespan of its own."""
    found = [*PromptRoutes(simulator).routes(), *FileRoutes(simulator).routes()]
    listening = WebSocketEndpoint(simulator)
    routes: list[Route | WebSocketRoute] = []
    for prefix in ("", "/api"):
        routes += [
            Route(prefix + path, respond, methods=[method])
            for method, path, respond in found
            # Jobs are only ever below /api.
            if prefix or not path.startswith("/jobs/")
        ]
        routes += [WebSocketRoute(f"{prefix}/ws", listening), Route(f"{prefix}/ws", _no_upgrade)]
    gates = Middleware(Gates, simulator=simulator)
    return Starlette(routes=routes, middleware=[gates], exception_handlers={404: _nowhere})


async def _no_upgrade(_: Request) -> Response:
    """Plain HTTP where a websocket was meant (T21)."""
    return PlainTextResponse('No WebSocket UPGRADE hdr: None\n Can "Upgrade" only to "WebSocket".', 400)


async def _nowhere(_: Request, __: Exception) -> Response:
    """Not found; without a word (T12)."""
    return Response(status_code=404)


async def serve(
    simulator: Simulator,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    task_status: TaskStatus[int] = TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled, and run the simulator meanwhile. `started` gets the real port.

    Being away (`refuse_all`, `restart`) closes the port, and opens it again. Raises `OSError` where the port
    is taken.
    """
    app = application(simulator)
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("app.simulator.anycorn")
    config.h11_max_incomplete_size = 64 * 1024
    config.websocket_max_message_size = 4 * 1024 * 1024
    config.websocket_permessage_deflate = True
    config.keep_alive_timeout = 75.0
    # Not within the group below, which would wrap its error.
    listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
    async with listener, anyio.create_task_group() as group, AsyncExitStack() as connections:
        connections.push_async_callback(_cut, opened := dict[int, SocketStream]())

        async def connected(stream: SocketStream) -> None:
            await _converse(app, config, stream, opened)

        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  anyio's, not Django's
        await group.start(simulator.run, name="simulator")
        task_status.started(port)
        while True:
            async with listener, anyio.create_task_group() as accepting:
                accepting.start_soon(listener.serve, connected, group, name="simulator port")
                await simulator.faults.left()
                accepting.cancel_scope.cancel()
            await simulator.faults.back()
            listener = await anyio.create_tcp_listener(local_host=host, local_port=port)


async def _converse(app: ASGIApp, config: Config, stream: SocketStream, opened: dict[int, SocketStream]) -> None:
    """One connection, from its first byte to its last; registered, so that it can be cut."""

    async def cuttable(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[ABORT] = abort
        await app(scope, receive, send)

    async def abort() -> None:
        await anyio.aclose_forcefully(stream)

    opened[id(stream)] = stream
    try:
        await TCPServer(ASGIWrapper(cast("ASGIFramework", cuttable)), config, WorkerContext(None), {}, stream).run()
    finally:
        del opened[id(stream)]


async def _cut(opened: dict[int, SocketStream]) -> None:
    """The end: nobody is waited for."""
    for stream in list(opened.values()):
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)
