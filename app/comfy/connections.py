"""HTTP/1.1 connections to one server, which are kept for the next request.

A transport for httpx over h11 and anyio. httpx's own one also knows HTTP/2, proxies and many servers, for which each
request takes 0.2 ms more of the CPU, and people wait for the requests at the end of a job.
"""

from __future__ import annotations

import select
import ssl
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from socket import SocketType
from typing import Literal

import anyio
import h11
import httpx
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

HEAD_BYTES = 100 * 2**10
"""Bytes that the head of a response may have."""

READ_BYTES = 64 * 2**10
"""Bytes that are read at once."""

KEPT = 30.0
"""Seconds that an idle connection is kept: less than aiohttp, ComfyUI's server, keeps it, which is 75 s."""


class Connections(httpx.AsyncBaseTransport):
    """Sends each request on a connection of its own: the one that was used last, if any is idle.

    At most `at_once` requests are under way; others wait for one to end, as long as their `pool` timeout says. Raises
    the errors of httpx's own transport.
    """

    def __init__(self, tls: ssl.SSLContext, at_once: int) -> None:
        # Some servers refuse clients that do not say so.
        tls.set_alpn_protocols(["http/1.1"])
        self._tls = tls
        self._places = anyio.Semaphore(at_once, fast_acquire=True)
        self._idle: list[_Connection] = []
        """In the order in which they became idle."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return its response, which must be closed; its body is not read yet."""
        await self._occupy_place(_seconds(request, "pool"))
        try:
            return await self._sent(request)
        except BaseException:
            self._places.release()
            raise

    async def _occupy_place(self, seconds: float) -> None:
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(seconds):
                await self._places.acquire()
                return
            raise httpx.PoolTimeout("") from None

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        if (kept := await self._take()) is not None:
            try:
                return await self._sent_on(kept, request)
            except (httpx.ReadError, httpx.RemoteProtocolError):
                if request.method != "GET" or kept.has_heard:
                    raise
                # The server closed it while the request was on its way, and reading twice does no harm.
        return await self._sent_on(await self._open(request.url, _seconds(request, "connect")), request)

    async def _sent_on(self, connection: _Connection, request: httpx.Request) -> httpx.Response:
        try:
            head = await connection.send(request)
        except BaseException:
            await connection.close()
            raise
        body = _Body(connection, _seconds(request, "read"), self._over)
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=body)

    async def _over(self, connection: _Connection) -> None:
        """Keep a connection for the next request, or close it if its response was not read to its end."""
        try:
            if connection.is_reusable():
                connection.idle_since = anyio.current_time()
                self._idle.append(connection)
            else:
                await connection.close()
        finally:
            self._places.release()

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed with their responses."""
        while self._idle:
            await self._idle.pop().close()

    async def _take(self) -> _Connection | None:
        """An idle connection that still works; those that do not are closed."""
        now = anyio.current_time()
        while self._idle and self._idle[0].idle_since + KEPT < now:
            await self._idle.pop(0).close()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_readable():
                return connection
            # Nothing was requested, so the server has closed it.
            await connection.close()
        return None

    async def _open(self, url: httpx.URL, seconds: float) -> _Connection:
        host, is_secure = url.raw_host.decode("ascii"), url.scheme == "https"
        try:
            with anyio.move_on_after(seconds):
                tcp = await anyio.connect_tcp(host, url.port or (443 if is_secure else 80))
                raw = tcp.extra(SocketAttribute.raw_socket)  # noqa: S610  anyio's, not Django's
                if not is_secure:
                    return _Connection(tcp, raw)
                try:
                    tls = await TLSStream.wrap(
                        tcp, hostname=host, ssl_context=self._tls, server_side=False, standard_compatible=False
                    )
                except BaseException:
                    await _close(tcp)
                    raise
                return _Connection(tls, raw)
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
            raise httpx.ConnectError(str(error)) from error
        raise httpx.ConnectTimeout("")


class _Connection:
    """One connection; carries one request at a time."""

    def __init__(self, stream: ByteStream, raw: SocketType) -> None:
        self._stream = stream
        self._raw = raw
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        self.idle_since = 0.0
        self.has_heard = False
        """Whether anything of the response to the last request has arrived."""

    async def send(self, request: httpx.Request) -> h11.Response:
        """Send a request, and read the head of its response."""
        writing, reading = _seconds(request, "write"), _seconds(request, "read")
        self.has_heard = False
        try:
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            data = self._protocol.send(head) or b""
            if isinstance(request.stream, httpx.AsyncByteStream):
                async for piece in request.stream:
                    data += self._protocol.send(h11.Data(data=piece)) or b""
                    if len(data) >= READ_BYTES:
                        await self._write(data, writing)
                        data = b""
            data += self._protocol.send(h11.EndOfMessage()) or b""
            await self._write(data, writing)
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            # A server may answer and close the connection before it has read everything.
            pass
        while not isinstance(event := await self._event(reading), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise httpx.RemoteProtocolError("the server sent a body without a head")
        return event

    async def read(self, seconds: float) -> AsyncGenerator[bytes]:
        """Yield the body of the response, piece by piece."""
        while isinstance(event := await self._event(seconds), h11.Data):
            yield bytes(event.data)

    def is_readable(self) -> bool:
        """Whether bytes or the end of the connection have arrived."""
        if self._raw.fileno() < 0:
            return True
        if sys.platform == "win32":
            return bool(select.select([self._raw], [], [], 0)[0])
        # Unlike select, it knows file descriptors above 1,023.
        poll = select.poll()
        poll.register(self._raw, select.POLLIN)
        return bool(poll.poll(0))

    def is_reusable(self) -> bool:
        """Whether request and response are complete; if so, the connection is ready for the next one."""
        protocol = self._protocol
        if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE or protocol.trailing_data[0]:
            return False
        protocol.start_next_cycle()
        return True

    async def close(self) -> None:
        """Close the connection at once."""
        await _close(self._stream)

    async def _write(self, data: bytes, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._stream.send(data)
            return
        raise httpx.WriteTimeout("")

    async def _event(self, seconds: float) -> object:
        try:
            while (event := self._protocol.next_event()) is h11.NEED_DATA:
                data = await self._receive(seconds)
                self.has_heard = self.has_heard or bool(data)
                if not data and self._protocol.their_state is h11.SEND_RESPONSE:
                    raise httpx.RemoteProtocolError("the server disconnected without a response")
                self._protocol.receive_data(data)
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        return event

    async def _receive(self, seconds: float) -> bytes:
        """The bytes that arrive next, none at the end of the connection."""
        try:
            with anyio.move_on_after(seconds):
                return await self._stream.receive(READ_BYTES)
        except anyio.EndOfStream:
            return b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise httpx.ReadError(str(error)) from error
        raise httpx.ReadTimeout("")


class _Body(httpx.AsyncByteStream):
    """The body of a response; closing it ends the exchange."""

    def __init__(self, connection: _Connection, seconds: float, over: Callable[[_Connection], Awaitable[None]]) -> None:
        self._connection: _Connection | None = connection
        self._seconds = seconds
        self._over = over

    def __aiter__(self) -> AsyncGenerator[bytes]:
        if self._connection is None:
            raise httpx.StreamClosed
        return self._connection.read(self._seconds)

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._over(connection)


def _seconds(request: httpx.Request, which: Literal["connect", "read", "write", "pool"]) -> float:
    """One of the timeouts of a request."""
    return request.extensions["timeout"][which]


async def _close(stream: ByteStream) -> None:
    with anyio.CancelScope(shield=True):
        await anyio.aclose_forcefully(stream)
