"""The simulator on a real port: a Starlette application, served by anycorn on asyncio and trio.

anycorn provides the protocols; this module has its own listener and connections, because anycorn's `serve` cannot do
two things. ComfyUI's failures cut TCP connections without a close frame and close the port, but an ASGI application
can only ask for an orderly close with code 1011. And anycorn shields its sends from cancellation, so a client that
does not read would keep a cancelled server alive; only closing the stream from outside ends such a send.
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
from app.simulator.http.job_routes import JobRoutes
from app.simulator.http.middleware import Gates
from app.simulator.http.prompt_routes import PromptRoutes
from app.simulator.http.websocket import ABORT, WebSocketEndpoint


def application(simulator: Simulator) -> Starlette:
    """Return an application with all routes, with and without /api; it has no lifespan.

    `simulator.run` must be running.
    """
    endpoints = [*PromptRoutes(simulator).routes(), *JobRoutes(simulator).routes(), *FileRoutes(simulator).routes()]
    listening = WebSocketEndpoint(simulator)
    routes: list[Route | WebSocketRoute] = []
    for prefix in ("", "/api"):
        routes += [
            Route(prefix + path, respond, methods=[method])
            for method, path, respond in endpoints
            # The routes for jobs and assets exist only below /api.
            if prefix or not path.startswith(("/jobs", "/assets"))
        ]
        routes += [WebSocketRoute(f"{prefix}/ws", listening), Route(f"{prefix}/ws", _no_upgrade)]

    async def nowhere(request: Request, _: Exception) -> Response:
        """Answer unknown paths: without a body (T12), and POST as newer versions do (0.33: T07_jobs_cancel)."""
        if simulator.version.modern and request.method == "POST":
            return PlainTextResponse("405: Method Not Allowed", 405)
        return Response(status_code=404)

    gates = Middleware(Gates, simulator=simulator)
    return Starlette(routes=routes, middleware=[gates], exception_handlers={404: nowhere})


async def _no_upgrade(_: Request) -> Response:
    """Answer plain HTTP requests to the websocket's path (T21)."""
    return PlainTextResponse('No WebSocket UPGRADE hdr: None\n Can "Upgrade" only to "WebSocket".', 400)


async def serve(
    simulator: Simulator,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    task_status: TaskStatus[int] = TASK_STATUS_IGNORED,
) -> None:
    """Run the simulator and serve it until cancelled. `started` gets the real port.

    While it is unreachable (`refuse_all`, `restart`), the port is closed. Raises `OSError` if the port is in use.
    """
    app = application(simulator)
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("app.simulator.anycorn")
    config.h11_max_incomplete_size = 64 * 1024
    config.websocket_max_message_size = 4 * 1024 * 1024
    config.websocket_permessage_deflate = True
    config.keep_alive_timeout = 75.0
    # Outside the task group below, which would wrap its error in an exception group.
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
                await simulator.faults.wait_until_away()
                accepting.cancel_scope.cancel()
            await simulator.faults.back()
            listener = await anyio.create_tcp_listener(local_host=host, local_port=port)


async def _converse(app: ASGIApp, config: Config, stream: SocketStream, opened: dict[int, SocketStream]) -> None:
    """Serve one connection from its first byte to its last; `opened` registers it, so that it can be cut."""

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
    """Close all connections at the end, without waiting for any client."""
    for stream in list(opened.values()):
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(stream)
