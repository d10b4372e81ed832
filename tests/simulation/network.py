"""The way between the bot and its server, and what happens on it."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import anyio
import httpx
import msgspec

from app.ports import ConnectionLost, Json, WebSocket
from app.simulator.engine import Simulator
from app.simulator.web import application

NO_PONG = 10.0
"""Seconds after which our pings show that a peer is dead."""

SLOWEST = 5.0
"""Seconds by which a delayed request or answer is late: ComfyUI's loop stands still while it loads a model."""

JUNK: tuple[str | bytes, ...] = (
    "",
    "null",
    "[1",
    '{"type":"crystools.monitor","data":{"cpu":1}}',
    '{"type":"progress","data":{"value":NaN,"max":"x"}}',
    '{"type":"executing","data":null}',
    b"",
    b"\x00\x00\x00\x01",
    b"\x00\x00\x00\x04\xff\xff\xff\xff{",
)


class Network(httpx.AsyncBaseTransport):
    """HTTP and websockets to one simulator, through whatever is set to go wrong at the moment."""

    def __init__(
        self, simulator: Simulator, rng: random.Random, say: Callable[[str], None], took: Callable[[str], None]
    ) -> None:
        self._simulator = simulator
        self._http = httpx.ASGITransport(application(simulator))
        self._rng = rng
        self._say = say
        self._took = took
        self._sockets: list[_Socket] = []
        self.refused_until = self.sockets_refused_until = self.delayed_until = float("-inf")
        self.slow_until = self.doubled_until = self.garbled_until = float("-inf")
        self.broken_posts = self.broken_posts_with_effect = self.lost_replies = 0
        self.life = 0
        """How often the server was started anew: nothing that ran in one life counts in another."""
        self.taken: list[tuple[int, int, str]] = []
        """(life, seed, prompt) of every prompt that the server took, whatever we heard of it."""

    def calm(self) -> None:
        """From now on all is well."""
        self.refused_until = self.sockets_refused_until = self.delayed_until = float("-inf")
        self.slow_until = self.doubled_until = self.garbled_until = float("-inf")
        self.broken_posts = self.broken_posts_with_effect = self.lost_replies = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request, or what became of it."""
        where = f"{request.method} {request.url.path}"
        now = anyio.current_time()
        if now < self.refused_until:
            self._say(f"{where}: refused")
            raise httpx.ConnectError("refused")
        if now < self.delayed_until:
            await anyio.sleep(self._rng.uniform(0, SLOWEST))
        post = request.method == "POST" and request.url.path.endswith("/prompt")
        if post and self.broken_posts:
            self.broken_posts -= 1
            self._say(f"{where}: broken")
            return httpx.Response(500, text="500 Internal Server Error")
        answer = await self._http.handle_async_request(request)
        if post and answer.status_code == 200:
            self._take(request)
        if now < self.delayed_until:
            await anyio.sleep(self._rng.uniform(0, SLOWEST))
        if post and self.broken_posts_with_effect:
            self.broken_posts_with_effect -= 1
            self._say(f"{where}: broken, with effect")
            return httpx.Response(500, text="500 Internal Server Error")
        if self.lost_replies:
            self.lost_replies -= 1
            self._say(f"{where}: reply lost")
            raise httpx.ReadError("lost")
        self._say(f"{where}: {answer.status_code}")
        return answer

    def _take(self, request: httpx.Request) -> None:
        body = msgspec.json.decode(request.content, type=dict[str, Json])
        match body:
            case {"prompt": {"5": {"inputs": {"seed": int(seed)}}}, "prompt_id": str(prompt)}:
                self._took(prompt)
                self.taken.append((self.life, seed, prompt))
            case _:
                raise AssertionError(body)

    @asynccontextmanager
    async def connect(self, client_id: str) -> AsyncGenerator[WebSocket]:
        """One websocket. See `app.ports.OpenWebSocket`."""
        await anyio.lowlevel.checkpoint()
        if anyio.current_time() < max(self.refused_until, self.sockets_refused_until):
            raise ConnectionLost("refused")
        async with self._simulator.connect(client_id) as inner:
            socket = _Socket(inner, self, self._rng)
            self._sockets.append(socket)
            try:
                yield socket
            finally:
                self._sockets.remove(socket)

    def cut(self) -> None:
        """End every websocket."""
        for socket in self._sockets:
            socket.end(0.0)

    def half_open(self) -> None:
        """Let every websocket say nothing more, until our pings find out."""
        for socket in self._sockets:
            socket.end(NO_PONG)


class _Socket:
    """The bot's end of a websocket."""

    def __init__(self, inner: WebSocket, network: Network, rng: random.Random) -> None:
        self._inner = inner
        self._network = network
        self._rng = rng
        self._again: list[str | bytes] = []
        self._ends = float("inf")
        self._reading = anyio.CancelScope()

    def end(self, after: float) -> None:
        """Nothing is heard from now on, and after so many seconds it shows."""
        self._ends = min(self._ends, anyio.current_time() + after)
        self._reading.cancel()

    async def send(self, message: str) -> None:
        await self._inner.send(message)

    async def receive(self) -> str | bytes:
        now, network = anyio.current_time(), self._network
        if self._again:
            await anyio.lowlevel.checkpoint()
            return self._again.pop()
        if now < network.garbled_until and self._rng.random() < 0.3:
            await anyio.lowlevel.checkpoint()
            return self._rng.choice(JUNK)
        if self._ends == float("inf"):
            with anyio.CancelScope() as self._reading:
                frame = await self._inner.receive()
                if now < network.slow_until:
                    await anyio.sleep(self._rng.uniform(0, 0.4))
                if now < network.doubled_until and self._rng.random() < 0.4:
                    self._again.append(frame)
                if now < network.garbled_until and isinstance(frame, bytes):
                    # Not by its length: no two encodings of a picture need be alike.
                    return frame[: self._rng.choice((0, 3, 9, 60, 400))]
                return frame
        await anyio.sleep_until(self._ends)
        raise ConnectionLost("cut")
