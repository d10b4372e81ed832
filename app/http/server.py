"""HttpServer: the port of the application, and one task for each connection. Nothing that happens here ends the bot.

anycorn provides the protocols. The listener and the connections are ours, because anycorn's `serve` has no limit on
connections and shields its sends from cancellation: a client that does not read would keep the bot from ending.
"""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import anyio
import h11
import structlog
from anycorn import Config
from anycorn.app_wrappers import ASGIWrapper
from anycorn.events import Closed, RawData
from anycorn.protocol.h11 import H11Protocol
from anycorn.tcp_server import TCPServer
from anycorn.typing import ASGIFramework
from anycorn.worker_context import WorkerContext
from anyio.abc import SocketAttribute, SocketStream, TaskGroup
from starlette.types import ASGIApp

from app.backoff import Pauses
from app.boundary import log_failure
from app.config.settings import Http
from app.entry_points import slow
from app.http.application import Application
from app.http.connections import Capacity, Connections, allow_open_files
from app.http.health import open_health
from app.http.loop_lag import LoopLag
from app.http.metrics import Metrics
from app.http.sources import Sources
from app.texts.health import listen_problem

if TYPE_CHECKING:
    from app.http.page.page import Page

logger = structlog.stdlib.get_logger(__name__)

MOST_CONNECTIONS = 64
"""Connections at once without a page. Prometheus needs one, a balancer some."""

FEW = Capacity(MOST_CONNECTIONS, MOST_CONNECTIONS)

PAGE_CONNECTIONS, OF_ONE = 2048, 128
"""Connections at once with a page: 1,000 open event streams, and some for each of 200 people. One address, which is not
a proxy, has enough for a household."""

MAX_HEAD = 16 * 1024
"""Bytes of a request before its body."""

IDLE = 5.0
"""Seconds for the head of a request to arrive, and between two requests of one connection."""

READ_AT_ONCE = 2**16
"""Bytes."""

SENDING = 10.0
"""Seconds for a client to read what it is sent, each time."""

READING = 30.0
"""Seconds for the next bytes of a request to arrive. Once it is there, its answer may take any time."""

UNANSWERED = 30_000
"""Milliseconds after which a client is gone whose system acknowledges nothing, as when it lost its network."""

ENDING = 0.3
"""Seconds for requests that are being answered when the bot ends, which must take less than two, or when their
client goes."""


def _config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = logging.getLogger("app.http.anycorn")
    config.h11_max_incomplete_size = MAX_HEAD
    config.h2_max_concurrent_streams = 16
    config.h2_max_header_list_size = MAX_HEAD
    config.websocket_max_message_size = MAX_HEAD
    config.keep_alive_timeout = IDLE
    config.read_timeout = int(READING)
    config.include_server_header = False
    return config


class PacedStream:
    """A connection whose sends end in time, also where anycorn shields them from cancellation."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self.receive = stream.receive
        self.send_eof = stream.send_eof
        self.aclose = stream.aclose
        self.extra: Callable[..., Any] = stream.extra

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """See `anyio.TypedAttributeProvider`."""
        return self._stream.extra_attributes

    async def send(self, data: bytes) -> None:
        """Send; closes the connection and raises `TimeoutError` if the client does not read."""
        try:
            with anyio.fail_after(SENDING):
                await self._stream.send(data)
        except TimeoutError:
            await anyio.aclose_forcefully(self._stream)
            raise


class ClientConnection(TCPServer):
    """A connection that may be answered for any time, and that ends soon after its client has gone.

    anycorn's would end an answer after `READING` seconds in which the client sends nothing, such as a stream of events,
    and would wait for the next request of a client that has gone until `IDLE`.
    """

    scope: anyio.CancelScope | None = None
    """What the connection runs in."""

    async def _read_data(self) -> None:
        while True:
            try:
                with anyio.fail_after(math.inf if self._is_answering else READING):
                    data = await self.stream.receive(READ_AT_ONCE)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream, TimeoutError):
                break
            await self.protocol.handle(RawData(data))
        await self.protocol.handle(Closed())
        await self.idle_task.stop()
        if self.scope is not None:
            self.scope.deadline = anyio.current_time() + ENDING

    @property
    def _is_answering(self) -> bool:
        """Whether a whole request has arrived, and its answer is not over."""
        protocol = self.protocol.protocol
        return isinstance(protocol, H11Protocol) and protocol.connection.their_state is h11.DONE


class HttpServer:
    """Serves an application at an address until cancelled, or until `end` is called."""

    def __init__(self, app: ASGIApp, host: str, port: int, *, pauses: Pauses = slow, capacity: Capacity = FEW) -> None:
        self._connections = Connections(capacity)
        self._app = ASGIWrapper(cast("ASGIFramework", app))
        self._host = host
        self._port = port
        self._pauses = pauses
        self._config = _config()
        self._context = WorkerContext(None)
        self._accepting = anyio.CancelScope()
        self._open: dict[int, SocketStream] = {}
        self._all_closed: anyio.Event | None = None
        self._over = anyio.Event()
        self.listening = anyio.Event()
        """Set when the port is open for the first time; `address` is then the real one."""

    @property
    def address(self) -> str:
        """The address, with the port that the system chose if it was 0."""
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    async def run(self) -> None:
        """Serve. If the port cannot be opened, one line in the log says why, and it is tried again."""
        try:
            async with anyio.create_task_group() as connections:
                try:
                    with self._accepting:
                        await self._keep_listening(connections)
                    if self._open:
                        self._all_closed = anyio.Event()
                        with anyio.move_on_after(ENDING):
                            await self._all_closed.wait()
                finally:
                    # anycorn shields its sends, so only this ends those to a client that does not read.
                    for stream in list(self._open.values()):
                        with anyio.CancelScope(shield=True):
                            await anyio.aclose_forcefully(stream)
                    connections.cancel_scope.cancel()
        finally:
            self._over.set()

    async def end(self) -> None:
        """Accept nothing more, close idle connections at once and all others within `ENDING` seconds."""
        self._accepting.cancel()
        await self._context.terminated.set()
        await self._over.wait()

    async def _keep_listening(self, connections: TaskGroup) -> None:
        logged = ""
        for pause in self._pauses():
            try:
                await self._listen(connections)
            except OSError as error:
                problem = listen_problem(self._host, self._port, error)
                if problem != logged:
                    logger.error("health and metrics are not served; trying again", reason=problem)
                logged = problem
            except Exception as error:  # noqa: BLE001  the boundary of the server
                log_failure(error, "the HTTP server broke")
            await anyio.sleep(pause)

    async def _listen(self, connections: TaskGroup) -> None:
        listener = await anyio.create_tcp_listener(local_host=self._host, local_port=self._port)
        async with listener:
            self._port = listener.extra(SocketAttribute.local_port)  # noqa: S610  anyio's, not Django's
            self.listening.set()
            logger.info("health and metrics are served", address=self.address)
            await listener.serve(self._converse, connections)

    async def _converse(self, stream: SocketStream) -> None:
        """Serve one connection from its first byte to its last."""
        source = self._connections.take(_host(stream))
        if source is None:
            await anyio.aclose_forcefully(stream)
            return
        self._open[id(stream)] = stream
        try:
            _notice_when_gone(stream)
            paced = cast("SocketStream", PacedStream(stream))
            connection = ClientConnection(self._app, self._config, self._context, {}, paced)
            with anyio.CancelScope() as connection.scope:
                await connection.run()
        except Exception as error:  # noqa: BLE001  the boundary of one connection
            log_failure(error, "an HTTP connection broke")
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(stream)
            del self._open[id(stream)]
            self._connections.give_back(source)
            if self._all_closed is not None and not self._open:
                self._all_closed.set()


def _host(stream: SocketStream) -> str:
    """The address at the other end; "" if it is gone already."""
    address = stream.extra(SocketAttribute.remote_address, "")  # noqa: S610  anyio's, not Django's
    return str(address[0]) if isinstance(address, tuple) else ""


def _notice_when_gone(stream: SocketStream) -> None:
    """Have the system close a connection whose client does not acknowledge what it is sent, where it can."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610  anyio's, not Django's
        with suppress(OSError):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED)


@asynccontextmanager
async def open_server(
    http: Http, sources: Sources, *, started: float, page: Page | None = None
) -> AsyncGenerator[HttpServer]:
    """Serve health and metrics within the block, and the page if there is one.

    `started` is when the bot did, in seconds since 1970.
    """
    lag = LoopLag()
    async with open_health(sources) as health, anyio.create_task_group() as tasks:
        metrics = Metrics(sources, lag.lags, started=started)
        routes, middleware, capacity = [*health.routes(), *metrics.routes()], [], FEW
        if page is not None:
            routes, middleware = [*routes, *page.routes()], [*page.middleware]
            capacity = Capacity(allow_open_files(PAGE_CONNECTIONS), OF_ONE, page.proxies)
        server = HttpServer(Application(routes, middleware), http.host, http.port, capacity=capacity)
        tasks.start_soon(lag.run, name="loop lag")
        tasks.start_soon(server.run, name="http")
        try:
            yield server
        finally:
            await server.end()
            tasks.cancel_scope.cancel()
