"""A worker: it holds its name, and does what fronts ask, session after session."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import anyio
import structlog
from msgspec import Struct

from app.boundary import log_failure
from app.config.settings import Server
from app.engine.connection import FIRST, Engine, Entry
from app.engine.keys import ID, replies_key
from app.engine.messages import (
    Answer,
    InvalidMessage,
    Lost,
    NotDone,
    OfferedServer,
    ReadHistory,
    ReadQueue,
    Registration,
    Reply,
    Request,
    decode,
    encode,
)
from app.engine.worker.calls import Calls
from app.engine.worker.clock import ClockDifference
from app.engine.worker.hosts import Hosts, OpenHost
from app.engine.worker.lease import Lease
from app.engine.worker.submissions import Submissions
from app.engine.worker.subscriptions import Subscriptions
from app.engine.worker.transfers import Transfers
from app.ports import ConnectionLost, Refused, RunSync
from app.reasons.jobs import log_fields
from app.reasons.servers import EngineRefuses, LibraryError, NoAnswer, OutOfReach

logger = structlog.stdlib.get_logger(__name__)

BLOCK = 2.0
"""Seconds for which the command that reads requests waits in the engine."""

AT_ONCE = 64
"""Requests that are handled at once; the others wait in the engine."""

REMEMBERED = 1024
"""Requests that a session has begun with and remembers, so that none is done twice that is in the engine twice."""

REPLIES = 256
"""Replies that the engine keeps for a front that does not read."""

REPLIES_SECONDS = 60.0
"""Seconds after the last reply after which the engine forgets them."""

FAREWELL = 1.0
"""Seconds for giving the name up at the end."""


class WorkerSettings(Struct, frozen=True, kw_only=True):
    """What a worker is and has. `servers` are its ComfyUI servers by label; `offer` says which of them it offers now.

    `folder` is for files on their way, and nobody else uses it. `program` is the version, and `hours` are as in
    `Registration`.
    """

    name: str
    servers: Mapping[str, Server]
    offer: Callable[[], tuple[OfferedServer, ...]]
    folder: Path
    program: str
    run_sync: RunSync
    hours: tuple[int, int] | None = None


async def work(engine: Engine, settings: WorkerSettings, open_host: OpenHost) -> None:
    """Work until cancelled, in a new session after each one that ended. Raises `NameInUse`."""
    hosts, clock = Hosts(settings.servers, open_host), ClockDifference()
    try:
        while True:
            await engine.ready()
            session = uuid.uuid4().hex

            def describe(session: str = session) -> Registration:
                return Registration(
                    session=session,
                    program=settings.program,
                    servers=settings.offer(),
                    hours=settings.hours,
                    ahead=clock.ahead,
                )

            lease = Lease(engine, settings.name, session, describe)
            try:
                await lease.acquire()
            except ConnectionLost:
                await anyio.sleep(0.1)
                continue
            logger.warning("the worker is ready", worker=settings.name, engine=engine.settings.address)
            try:
                await _Session(engine, settings, lease, hosts, clock).run()
            finally:
                with anyio.move_on_after(FAREWELL, shield=True), suppress(ConnectionLost):
                    await engine.ready()
                    await lease.release()
            logger.warning("the lease has ended: what was under way is dropped", worker=settings.name)
    finally:
        await hosts.aclose()


class _Session:
    """Handles requests for as long as the lease lasts."""

    def __init__(
        self, engine: Engine, settings: WorkerSettings, lease: Lease, hosts: Hosts, clock: ClockDifference
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._lease = lease
        self._hosts = hosts
        self._clock = clock
        self._places = anyio.Semaphore(AT_ONCE)
        self._submissions = Submissions()
        self._begun: dict[tuple[str, int], None] = {}
        """The requests that were read last, by front and number."""

    async def run(self) -> None:
        """Run until the lease is lost; what is under way is cancelled then."""
        settings = self._settings
        transfers = Transfers(self._engine, settings.name, settings.folder, settings.run_sync)
        async with anyio.create_task_group() as tasks:
            calls = Calls(self._lease, transfers, Subscriptions(self._engine, settings.name, transfers, tasks))

            async def read() -> None:
                position = FIRST
                while True:
                    for entry in await self._read(position):
                        position = entry.id
                        await self._places.acquire()
                        if (request := self._read_request(entry)) is not None:
                            self._submissions.begin(entry.id, request)
                        tasks.start_soon(self._handle, entry, request, calls, name="request")

            tasks.start_soon(read, name="requests")
            tasks.start_soon(transfers.sweep, name="transfers")
            tasks.start_soon(self._clock.compare, self._engine, name="clock")
            await self._lease.hold()
            tasks.cancel_scope.cancel()

    async def _read(self, position: str) -> list[Entry]:
        """The next requests; none if there are none yet, or the engine is away."""
        try:
            await self._engine.ready()
            streams = await self._engine.read({self._lease.requests: position}, block=BLOCK)
        except ConnectionLost:
            await anyio.sleep(0.01)
            return []
        return streams.get(self._lease.requests, [])

    def _read_request(self, entry: Entry) -> Request | None:
        """The request of an entry; None if it is not one, or one that was read before."""
        try:
            request = decode(entry.data, Request)
            if not ID.fullmatch(request.front):
                raise InvalidMessage(request.front)
        except InvalidMessage as error:
            logger.warning("something in the engine is not a request", worker=self._lease.name, error=str(error)[:200])
            return None
        return request if self._is_new(request) else None

    async def _handle(self, entry: Entry, request: Request | None, calls: Calls) -> None:
        """Claim a request, do it, and reply. Any failure concerns this request alone."""
        try:
            if request is None:
                with suppress(ConnectionLost):
                    await self._engine.remove(self._lease.requests, entry.id)
                return
            try:
                answer = await self._claimed(request, entry, calls)
            finally:
                self._submissions.end(entry.id)
            if answer is not None:
                await self._reply(request, answer)
        finally:
            self._places.release()

    def _is_new(self, request: Request) -> bool:
        """Whether this is the first entry with this request: a command that adds one may reach the engine twice."""
        key = request.front, request.number
        if key in self._begun:
            return False
        self._begun[key] = None
        if len(self._begun) > REMEMBERED:
            del self._begun[next(iter(self._begun))]
        return True

    async def _claimed(self, request: Request, entry: Entry, calls: Calls) -> Answer | None:
        """Do what is asked if the request is ours; None if it is not."""
        try:
            if not await self._lease.claim(entry.id, request.within):
                return None
        except ConnectionLost as loss:
            # It may be claimed, but that is not certain, so it is not done, and whoever asked learns it at once.
            if isinstance(loss.reason, EngineRefuses):
                logger.warning("a request cannot be claimed", worker=self._lease.name, **log_fields(loss.reason))
            return Lost(loss.reason)
        return await self._answer(request, calls)

    async def _answer(self, request: Request, calls: Calls) -> Answer:
        if isinstance(request.call, ReadQueue | ReadHistory):
            with anyio.move_on_after(request.within) as scope:
                await self._submissions.wait_for_others(request)
            if scope.cancelled_caught:
                return Lost(NoAnswer(request.within))
        try:
            clients = await self._hosts.clients(request.server, request.client)
            return await calls.perform(request, clients)
        except ConnectionLost as loss:
            return Lost(loss.reason)
        except Refused as refusal:
            return NotDone(
                refusal.reason,
                certain=refusal.certain,
                missing=tuple(refusal.missing),
                unusable=tuple(refusal.unusable),
            )
        except OSError as error:
            return Lost(OutOfReach(error.strerror or str(error)))
        except Exception as error:  # noqa: BLE001  this is the boundary
            log_failure(error, "a request failed", worker=self._lease.name)
            return Lost(LibraryError(type(error).__name__))

    async def _reply(self, request: Request, answer: Answer) -> None:
        """Send the answer, also if the engine is away for a moment; nobody waits for it much longer."""
        stream, data = replies_key(self._lease.name, request.front), encode(Reply(request.number, answer))
        with anyio.move_on_after(REPLIES_SECONDS):
            while True:
                try:
                    await self._engine.add(stream, data, longest=REPLIES, seconds=REPLIES_SECONDS)
                except ConnectionLost:
                    await self._engine.ready()
                    await anyio.sleep(0.05)
                else:
                    return
