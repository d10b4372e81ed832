"""The way between the bot and one server, and what happens on it."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import anyio.lowlevel

from app.comfy.client import ANSWER_TIMEOUT, CONNECT_TIMEOUT
from app.comfy.response_limits import SLOWEST_OVER
from app.events import ServerName
from app.ports import ConnectionLost, Refused, WebSocket
from app.reasons.servers import HungUp, OutOfReach, RefusedConnection, ServerError, TooSlow
from app.simulator.engine.queue import Item
from app.simulator.engine.simulator import Simulator
from tests.simulation.plan import Moment

T = TypeVar("T")

NO_PONG = 10.0
"""Seconds after which our pings show that a peer is dead."""

CONNECTS = CONNECT_TIMEOUT - 0.1
"""Seconds that a request may take to get there: our HTTP client waits no longer for a connection."""

ANSWERS = 4.9
"""Seconds that what a server says of its queue or its history may be on its way (`app.comfy.client.QUESTION`)."""

WAY = 0.02
"""Seconds that a request, and that an answer, may take while all is well."""

LARGE = 12.0
"""Seconds that a large result may be on its way: a film of some hundred MB, over a line as people have it at home."""

READINGS: tuple[Moment, ...] = ("look", "history")
"""Requests whose answers grow old."""

DONE: dict[Moment, Moment] = {"post": "taken", "history": "read"}
"""What has been done at the server, and is not known to us yet."""

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

STRANGE: tuple[str | bytes, ...] = (
    "<!doctype html><title>Log in</title>",
    "HTTP/1.1 200 OK\r\n\r\n",
    "[]",
    '{"type":7}',
    b"\x15\x03\x01\x00\x02\x02\x28",
    "{" * 50_000,
)
"""First frames of what is no ComfyUI."""

HUGE = 2**20
"""Bytes of a frame that is larger than any that ComfyUI sends."""

SILENT = 3.0
"""Seconds that a socket is open and silent until its peer closes it."""


def wrong_frames(prompt: str) -> tuple[str | bytes, ...]:
    """Frames about a prompt of ours, with values of wrong types, or far too large."""
    about = f'"prompt_id":"{prompt}","node":"5"'
    head = f'{{{about},"node_id":"5"}}'.encode()
    return (
        f'{{"type":"progress","data":{{{about},"value":-1,"max":0}}}}',
        f'{{"type":"progress","data":{{{about},"value":1e308,"max":1e-308}}}}',
        f'{{"type":"progress","data":{{{about},"value":"2","max":[4]}}}}',
        f'{{"type":"progress_state","data":{{"prompt_id":"{prompt}","nodes":[]}}}}',
        f'{{"type":"progress_state","data":{{"prompt_id":"{prompt}","nodes":{{"":{{"value":9,"max":2,"state":""}}}}}}}}',
        f'{{"type":"executing","data":{{"prompt_id":"{prompt}","node":5}}}}',
        f'{{"type":"execution_cached","data":{{"prompt_id":"{prompt}","nodes":["?",null]}}}}',
        f'{{"type":"executed","data":{{{about},"output":{{"images":[null,7,{{"filename":3}}],"text":{{}}}}}}}}',
        f'{{"type":"executed","data":{{{about},"output":"text"}}}}',
        f'{{"type":"execution_error","data":{{"prompt_id":"{prompt}","node_id":7,"exception_message":[]}}}}',
        '{"type":"status","data":{"status":{"exec_info":{"queue_remaining":-3}}}}',
        '{"type":"status","data":{"status":{"exec_info":{"queue_remaining":1e400}}}}',
        '{"type":"status","data":{"status":{"exec_info":{"queue_remaining":"many"}}}}',
        f'{{"type":"progress","data":{{{about},"value":1,"max":{"9" * 5000}}}}}',
        f'{{"type":"junk","data":"{"x" * HUGE}"}}',
        b"\x00\x00\x00\x04" + len(head).to_bytes(4) + head,
        b"\x00\x00\x00\x04\xff\xff\xff\xff" + head,
        b"\x00\x00\x00\x63" + bytes(HUGE),
        "[" * 50_000,
    )


class Network:
    """Requests and websockets to one simulator, through whatever is set to go wrong at the moment."""

    def __init__(
        self,
        name: ServerName,
        simulator: Simulator,
        rng: random.Random,
        say: Callable[[str], None],
        reached: Callable[[Moment, Network], None],
    ) -> None:
        self.name = name
        self.simulator = simulator
        self._rng = rng
        self._say = say
        self._reached = reached
        self._sockets: list[_Socket] = []
        self.life = 0
        """How often the server was started anew: nothing that ran in one life counts in another."""
        self._cuts = 0
        """How often everything that was under way was cut."""
        self.dead = False
        """Whether it is gone for good."""
        self.gone = False
        """Whether it is removed from the configuration for good."""
        self.unread: set[str] = set()
        """Prompts whose history cannot be read, ever."""
        self.calm()

    def calm(self) -> None:
        """From now on all is well."""
        self.refused_until = self.sockets_refused_until = self.delayed_until = float("-inf")
        self.hangs_until = self.late_until = float("-inf")
        self.slow_until = self.doubled_until = self.garbled_until = float("-inf")
        self.wrong_until = self.mute_until = self.strange_until = float("-inf")
        self.hang_up_until = self.unsendable_until = float("-inf")
        self.queue_broken_until = self.cut_short_until = self.slow_view_until = float("-inf")
        self.broken_views = 0
        self.broken_posts = self.broken_posts_with_effect = self.lost_replies = 0
        self.malformed = 0
        """How many of the next requests get an answer that no ComfyUI gives."""
        self.broken_looks = 0
        """How many of the next questions for the queue raise what no port may raise."""

    @property
    def queue(self) -> list[Item]:
        """What it runs at the moment, and then what waits, in the order in which it runs that."""
        running, pending = self.simulator.running, self.simulator.pending
        return [*([running] if running else []), *sorted(pending, key=lambda item: item[0])]

    @property
    def answers(self) -> bool:
        """Whether it answers at this moment."""
        away = self.dead or self.simulator.faults.away
        return not away and anyio.current_time() >= max(self.refused_until, self.hangs_until)

    async def pass_through(self, moment: Moment, where: str) -> None:
        """The way there, and back with a malformed answer."""
        self._reached(moment, self)
        await self._way(moment, CONNECTS)
        self._say(f"{self.name} {where}: malformed")

    async def ask(self, moment: Moment, where: str, act: Callable[[], T], *, large: bool = False) -> T:
        """One request, which does `act` at the server, or what became of it. Raises as the Comfy port does."""
        self._reached(moment, self)
        if self.dead or anyio.current_time() < self.refused_until:
            await anyio.lowlevel.checkpoint()
            raise self._lost(where, "refused")
        if anyio.current_time() < self.hangs_until:
            if self._rng.random() < 0.5:
                act()
            await anyio.sleep(ANSWERS if moment in READINGS else ANSWER_TIMEOUT)
            raise self._lost(where, "said nothing")
        cuts = self._cuts
        await self._way(moment, CONNECTS)
        if cuts != self._cuts or self.simulator.faults.away:
            raise self._lost(where, "cut off, or away")
        if moment == "post" and self.broken_posts:
            self.broken_posts -= 1
            raise self._broken(where, "broken")
        if moment == "look" and anyio.current_time() < self.queue_broken_until:
            raise self._broken(where, "broken")
        if moment == "view" and self.broken_views:
            self.broken_views -= 1
            raise self._broken(where, "broken")
        if moment == "view" and anyio.current_time() < self.slow_view_until:
            await anyio.sleep(SLOWEST_OVER)
            self._say(f"{self.name} {where}: too slow")
            raise ConnectionLost(TooSlow())
        try:
            answer = act()
        except Refused as refusal:
            self._say(f"{self.name} {where}: {refusal.reason}")
            raise
        if (done := DONE.get(moment)) is not None:
            self._reached(done, self)
        await self._way(moment, ANSWERS)
        if large:
            await anyio.sleep(self._rng.uniform(0, LARGE))
        if cuts != self._cuts:
            raise self._lost(where, "cut off, with effect")
        if moment == "post" and self.broken_posts_with_effect:
            self.broken_posts_with_effect -= 1
            raise self._broken(where, "broken, with effect")
        if self.lost_replies:
            self.lost_replies -= 1
            raise self._lost(where, "reply lost")
        self._say(f"{self.name} {where}: answered")
        return answer

    async def _way(self, moment: Moment, slowest: float) -> None:
        """One way, there or back, which is not given up for so many seconds."""
        longest, now = WAY, anyio.current_time()
        if now < self.delayed_until:
            # A prompt is larger than a question, and its line may be narrow on the way there.
            longest = 6.0 if moment == "post" else 1.5
        if now < self.late_until and moment in READINGS and self._rng.random() < 0.5:
            longest = slowest
        await anyio.sleep(self._rng.uniform(0, longest))

    def _lost(self, where: str, what: str) -> ConnectionLost:
        self._say(f"{self.name} {where}: {what}")
        return ConnectionLost(OutOfReach(what))

    def _broken(self, where: str, what: str) -> Refused:
        self._say(f"{self.name} {where}: {what}")
        return Refused(ServerError(500), certain=False)

    @asynccontextmanager
    async def connect(self, client_id: str) -> AsyncGenerator[WebSocket]:
        """One websocket. See `app.ports.OpenWebSocket`."""
        await anyio.lowlevel.checkpoint()
        away = self.dead or anyio.current_time() < max(self.refused_until, self.sockets_refused_until)
        if away or anyio.current_time() < self.hangs_until:
            raise ConnectionLost(RefusedConnection())
        async with self.simulator.connect(client_id) as inner:
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

    def cut_all(self) -> None:
        """End every websocket, and every request that is under way."""
        self._cuts += 1
        self.cut()

    def half_open(self) -> None:
        """Let every websocket say nothing more, until our pings find out."""
        for socket in self._sockets:
            socket.end(NO_PONG)

    def heard(self, frame: str | bytes) -> None:
        """A frame is about to be read by the bot."""
        if isinstance(frame, bytes):
            return
        if frame.startswith('{"type":"execution_start"'):
            self._reached("started", self)
        elif frame.startswith('{"type":"executing"') and '"node":null' in frame:
            self._reached("ended", self)


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
        if anyio.current_time() < self._network.unsendable_until:
            await anyio.lowlevel.checkpoint()
            raise ConnectionLost(HungUp())
        await self._inner.send(message)

    async def receive(self) -> str | bytes:
        now, network = anyio.current_time(), self._network
        if now >= self._ends:
            await anyio.lowlevel.checkpoint()
            raise ConnectionLost(HungUp())
        if now < network.mute_until:
            await anyio.sleep(self._rng.uniform(0, SILENT))
            raise ConnectionLost(HungUp())
        if now < network.strange_until:
            await anyio.lowlevel.checkpoint()
            return self._rng.choice(STRANGE)
        if now < network.hang_up_until and self._rng.random() < 0.5:
            await anyio.lowlevel.checkpoint()
            raise ConnectionLost(HungUp(1006))
        if now < network.wrong_until and self._rng.random() < 0.3:
            await anyio.lowlevel.checkpoint()
            running = network.simulator.running
            return self._rng.choice(wrong_frames(running[1] if running is not None else "nobody's"))
        if self._again:
            await anyio.lowlevel.checkpoint()
            return self._again.pop()
        if now < network.garbled_until and self._rng.random() < 0.3:
            await anyio.lowlevel.checkpoint()
            return self._rng.choice(JUNK)
        if self._ends == float("inf"):
            with anyio.CancelScope() as self._reading:
                frame = await self._inner.receive()
                now = anyio.current_time()
                network.heard(frame)
                if now < network.slow_until:
                    await anyio.sleep(self._rng.uniform(0, 0.8))
                if now < network.doubled_until and self._rng.random() < 0.4:
                    self._again.append(frame)
                if now < network.garbled_until and isinstance(frame, bytes):
                    # Not by its length: no two encodings of a picture need be alike.
                    return frame[: self._rng.choice((0, 3, 9, 60, 400))]
                return frame
        await anyio.sleep_until(self._ends)
        raise ConnectionLost(HungUp())
