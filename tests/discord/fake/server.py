"""The fake as a whole: a server in a thread of its own, and the hands with which a test moves it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from aiohttp import web

from tests.discord.fake.control import Control
from tests.discord.fake.crowd import Crowd
from tests.discord.fake.gateway import Gateway
from tests.discord.fake.interactions import Interaction
from tests.discord.fake.messages import Revision
from tests.discord.fake.oauth import Application, OAuth
from tests.discord.fake.registration import Registration
from tests.discord.fake.rest import LARGEST_REQUEST, PREFIX, Rest
from tests.discord.fake.routes import Routes
from tests.discord.fake.state import Fault, Request, State
from tests.discord.fake.wire import Payload

T = TypeVar("T")

TOKEN = "MTEwMDAwMDAwMDAwMDAwMDAwMA.GfAkEt." + "a" * 38
"""Shaped as real ones are: the first part is the application's id in base64."""
APPLICATION = "1100000000000000000"


class FakeDiscord(Crowd):
    """A Discord on the loopback. Give its `rest_url` and `token` to a bot.

    Reading (`message`, `history`, `requests`, ...) and doing (`slash`, `click`, ...) work from any thread
    and any loop, at once; `until` waits.
    """

    def __init__(self, token: str = TOKEN, application: str = APPLICATION) -> None:
        state = State(token, application)
        super().__init__(state, Gateway(state))
        self.token = token
        self.url = ""
        self.oauth = Application()
        """What the developer portal says of the application: its secret, and where people may be sent back."""

    @property
    def rest_url(self) -> str:
        """What hikari takes as its `rest_url`."""
        return self.url + PREFIX

    @property
    def requests(self) -> list[Request]:
        """The journal of all REST requests so far."""
        return self.state.look(lambda: list(self.state.requests))

    def requested(self, method: str, route: str) -> list[Request]:
        """Those of one kind; `route` is a piece of the template, such as `/webhooks/` or `callback`."""
        return [one for one in self.requests if one.method == method and route in one.route]

    @property
    def refused(self) -> int:
        """How many 429s were sent."""
        return self.state.buckets.refused

    @property
    def messages(self) -> list[Payload]:
        """All messages that stand somewhere, the oldest first."""
        return self.state.look(lambda: list(self.state.messages.all.values()))

    def message(self, which: Interaction | Payload | str) -> Payload:
        """How a message, or the response to an interaction, stands now. Raises 10008 where there is none."""
        ident = which.original if isinstance(which, Interaction) else which if isinstance(which, str) else which["id"]
        return self.state.look(self.state.messages.get, ident)

    def history(self, which: Interaction | Payload | str) -> list[Revision]:
        """All that it has ever looked like, deleted or not; the first of a deferral is empty."""
        ident = which.original if isinstance(which, Interaction) else which if isinstance(which, str) else which["id"]
        return self.state.look(lambda: list(self.state.messages.history[ident or ""]))

    def commands(self, *, guild: str | None = None) -> list[Payload]:
        """What is registered for everywhere, or for a guild's id."""
        return self.state.look(lambda: list(self.state.commands.of[guild]))

    def file(self, url: str) -> bytes:
        """What lies at an attachment's address."""
        return self.state.look(self.state.cdn.content, url)

    def advance(self, seconds: float) -> None:
        """Let time pass at once for tokens, acknowledgements, nonces and buckets."""
        self.state.do(self.state.clock.advance, seconds)

    def freeze(self) -> None:
        """From now on time passes by `advance` only."""
        self.state.do(self.state.clock.freeze)

    def fail(self, method: str = "*", path: str = "", **how: Any) -> Fault:
        """Let requests go wrong; see `Fault`. `path` is a regular expression, searched after /api/v10."""
        fault = Fault(method, path, **how)
        self.state.do(self.state.faults.append, fault)
        return fault

    def heal(self) -> None:
        """Lift all faults; what they hold goes on."""

        def lift() -> None:
            for fault in self.state.faults:
                fault.lifted.set()
            self.state.faults.clear()

        self.state.do(lift)

    async def until(self, predicate: Callable[[], T], seconds: float = 60.0) -> T:
        """Wait until the predicate says something true, and return that.

        It is called in the fake's thread after every change and a few times a second, so that it may look at anything
        of the fake's.
        Raises `TimeoutError`, with the last requests in its text.
        """
        assert self.state.loop is not None, "the fake does not run"
        future: Future[T] = asyncio.run_coroutine_threadsafe(self.state.until(predicate), self.state.loop)
        try:
            with anyio.move_on_after(seconds):
                return await anyio.to_thread.run_sync(future.result, abandon_on_cancel=True)
        finally:
            future.cancel()
        last = [f"{one.method} {one.path[:60]} {one.status} {one.code or ''}" for one in self.requests[-8:]]
        raise TimeoutError("\n".join(["what was waited for did not come; the last requests:", *last]))

    async def serve(self, port: int, started: Callable[[], None]) -> None:
        """Serve in the running loop until cancelled. Port 0 takes a free one."""
        state = self.state
        application = web.Application(middlewares=[Rest(state).middleware], client_max_size=LARGEST_REQUEST)
        application.add_routes([web.get("/gateway", self.gateway.serve)])
        oauth = OAuth(state, self.oauth)
        application.add_routes(oauth.table())
        application.add_routes(Routes(state, self.gateway, oauth).table())
        application.add_routes(Registration(state).table())
        application.add_routes(Control(self).table())
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            host, bound = runner.addresses[0][:2]
            self.url = state.cdn.base = f"http://{host}:{bound}"
            state.loop, state.thread = asyncio.get_running_loop(), threading.get_ident()
            started()
            await asyncio.Event().wait()
        finally:
            self.gateway.abort()
            await runner.cleanup()


@contextmanager
def running(fake: FakeDiscord | None = None) -> Generator[FakeDiscord]:
    """A fake in a thread of its own, for the length of the block."""
    fake = fake or FakeDiscord()
    ready: Future[None] = Future()
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        tasks.append(asyncio.create_task(fake.serve(0, lambda: ready.set_result(None))))
        await asyncio.wait(tasks)
        if not ready.done():
            ready.set_exception(tasks[0].exception() or RuntimeError("the fake did not start"))

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="fake discord", daemon=True)
    thread.start()
    try:
        ready.result(10)
        yield fake
    finally:
        if fake.state.loop is not None:
            fake.heal()
            fake.state.loop.call_soon_threadsafe(tasks[0].cancel)
        thread.join(5)
