"""The parts of the fake, put together, and the one thread that may touch them."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar, TypeVarTuple

from tests.discord.fake.buckets import Buckets
from tests.discord.fake.cdn import Cdn
from tests.discord.fake.commands import Commands
from tests.discord.fake.interactions import Interactions
from tests.discord.fake.messages import Messages
from tests.discord.fake.wire import ApiError, Clock, Flakes, Payload
from tests.discord.fake.world import Channel, Guild, Person

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MIB = 2**20

GLANCE = 0.25
"""Seconds between two looks at what somebody waits for while nothing changes here."""


@dataclass
class Request:
    """One call of the REST API, as the journal keeps it. `status` is None while it is not answered."""

    at: float
    method: str
    path: str
    route: str
    authorization: str | None
    json: Payload | list[Payload] | None = None
    files: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    status: int | None = None
    code: int | None = None
    """Discord's error code, if it was refused."""


@dataclass
class Fault:
    """Something that goes wrong with the next `times` requests (None: all) whose method and path match.

    First `hold` waits until the fault is lifted and `delay` for seconds; then `abort` cuts the connection or
    the request is answered with `status` and `code`, before it has taken effect or, with `after`, when it has.
    With `html` it is Cloudflare that answers, with `status` and a page for people; with `body` a proxy, with this JSON.
    A call that its limit refuses does not use the fault up.
    """

    method: str = "*"
    path: str = ""
    status: int | None = None
    code: int = 0
    message: str = "Fault"
    times: int | None = 1
    delay: float = 0.0
    hold: bool = False
    abort: bool = False
    after: bool = False
    html: bool = False
    body: str = ""
    lifted: asyncio.Event = field(default_factory=asyncio.Event)

    def meets(self, method: str, path: str) -> bool:
        """Whether this request goes wrong; that uses the fault up."""
        if self.times == 0 or self.method not in ("*", method) or not re.search(self.path, path):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class State:
    """Everything the fake knows. Only the thread of its loop touches it: others go through `do` and `look`."""

    def __init__(self, token: str, application: str) -> None:
        self.token = token
        self.clock = Clock()
        self.flakes = Flakes(self.clock)
        self.bot = Person(application, "atelier", bot=True)
        self.guild = Guild("1200000000000000000", "studio")
        self.channel = Channel("1300000000000000000", "art", self.guild)
        self.alice = Person("1400000000000000000", "alice")
        """She owns the application, unless a team does."""
        self.team_owner: Person | None = None
        self.guilds = {self.guild.id: self.guild}
        self.channels = {self.channel.id: self.channel}
        self.people = {person.id: person for person in (self.alice, self.bot)}
        self.cdn = Cdn(self.flakes)
        self.messages = Messages(self.clock, self.flakes, self.cdn, self.people)
        self.interactions = Interactions(self.clock, self.messages, self.bot)
        self.commands = Commands(self.flakes, application)
        self.buckets = Buckets(self.clock)
        self.upload_limit = 10 * MIB
        """Bytes of one file; what interactions say as their `attachment_size_limit`."""
        self.request_limit = 25 * MIB
        """Bytes of all files of one request."""
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.version = 0
        """How often anything has changed."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = 0
        self._changed = asyncio.Event()

    def look(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call a function that changes nothing in the fake's thread, and return what it returns."""

        async def crossed() -> T:
            return function(*args)

        if threading.get_ident() == self.thread:
            return function(*args)
        assert self.loop is not None, "the fake does not run"
        return asyncio.run_coroutine_threadsafe(crossed(), self.loop).result(10)

    def do(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call a function that changes something in the fake's thread, and return what it returns."""

        def ringing() -> T:
            try:
                return function(*args)
            finally:
                self.ring()

        return self.look(ringing)

    def ring(self) -> None:
        """Something has changed: whoever waits may look."""
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, predicate: Callable[[], T]) -> T:
        """Wait, in the fake's loop, until the predicate says something true.

        Looked at after every change, and every `GLANCE`: it may read what nobody rings for, such as logs, or a request
        that the bot has finished with.
        """
        while not (found := predicate()):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), GLANCE)
        return found

    def person(self, ident: str) -> Person:
        if ident not in self.people:
            raise ApiError(404, 10013, "Unknown User")
        return self.people[ident]

    def dm(self, person: Person) -> Channel:
        """The channel of the direct messages with somebody."""
        for channel in self.channels.values():
            if channel.recipient is person:
                return channel
        channel = Channel(self.flakes.new_prompt_id(), person.name, None, person)
        self.channels[channel.id] = channel
        return channel
