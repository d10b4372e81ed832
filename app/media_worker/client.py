"""The bot's side of the media worker: starts its processes, gives each one request at a time, and stops them."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import ByteReceiveStream, Process, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec.structs import replace

from app.media_worker.limits import PICTURES, VIDEOS, Limits
from app.media_worker.protocol import (
    HEADER,
    Compress,
    Compressed,
    Kind,
    Lane,
    Normalise,
    Normalised,
    ProtocolError,
    Reason,
    Redirected,
    Refusal,
    Refused,
    Reply,
    Request,
    decode_reply,
    frame,
    length_of,
    path_to_bytes,
)
from app.media_worker.waiting import FairQueue

logger = structlog.stdlib.get_logger(__name__)

PROCESSES = 2
"""For pictures: one for a large one, one that stays free for small ones. Videos have a third."""

IDLE = 30.0
"""Seconds without a request after which a process is stopped; a new one takes a tenth of a second."""

ENDING = 1.0
"""Seconds for a process that closed its pipe to end by itself."""

MOST_REQUESTS = 100
"""Requests after which a process is replaced: decoders leak, and its memory has a limit."""

LOGGED = 4096
"""Bytes of each process's stderr that reach the log. The rest is read and dropped."""

PICTURE_LANES: frozenset[Lane] = frozenset({"light", "heavy"})
VIDEO_LANES: frozenset[Lane] = frozenset({"video"})

BOOT = """
import runpy, sys
sys.path[:] = sys.argv.pop(1).split(chr(10))
runpy.run_module("app.media_worker", None, "__main__")
"""
"""`python -m app.media_worker` for a Python that knows no folder of ours: it works from any working directory."""


class _Ended(Exception):
    """The process ended, or said something that is no reply, or nothing in time."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class _Ticket:
    """One request of one person, and what came of it."""

    def __init__(self, request: Request, person: str) -> None:
        self.request = request
        self.person = person
        self.over = anyio.Event()
        self.reply: Reply = Refused(reason="unavailable")

    @property
    def lane(self) -> Lane:
        """See `Normalise`."""
        return self.request.lane

    def finish(self, reply: Reply) -> None:
        """Give the reply to whoever waits."""
        self.reply = reply
        self.over.set()


class MediaClient:
    """Owns the processes. `run` is its life; requests made before it wait for it, and later ones are refused.

    `pictures` and `videos` are what the processes may use, `idle` is how many seconds without a request they live.
    """

    def __init__(self, pictures: Limits = PICTURES, videos: Limits = VIDEOS, idle: float = IDLE) -> None:
        self._pictures = pictures
        self._videos = videos
        self._idle = idle
        self._queue: FairQueue[_Ticket] = FairQueue()
        self._changed = anyio.Condition()
        self._closed = False
        self._idle_processes: Counter[frozenset[Lane]] = Counter()
        self.processes: set[int] = set()
        """The ids of those that run now."""

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Processes start when there is something to do."""
        try:
            async with anyio.create_task_group() as tasks:
                for number in range(PROCESSES):
                    tasks.start_soon(self._serve, PICTURE_LANES, self._pictures, name=f"media {number}")
                tasks.start_soon(self._serve, VIDEO_LANES, self._videos, name="media video")
                task_status.started()
        finally:
            self._closed = True
            for ticket in self._queue.drain():
                ticket.finish(Refused(reason="unavailable"))

    async def normalise(self, source: Path, target: Path, kind: Kind, *, person: str) -> str:
        """Make a plain file at `target` of what a person attached; its ending. Raises `Refusal`."""
        match await self._ask(Normalise(source=path_to_bytes(source), target=path_to_bytes(target), kind=kind), person):
            case Normalised(suffix=suffix):
                return suffix
            case reply:
                raise Refusal(_refused(reply))

    async def compress(
        self, source: Path, target: Path, limit: int, *, person: str, keep_metadata: bool = False
    ) -> Compressed:
        """Make a version of at most `limit` bytes at `target` of a person's result. Raises `Refusal`."""
        request = Compress(
            source=path_to_bytes(source), target=path_to_bytes(target), limit=limit, keep_metadata=keep_metadata
        )
        match await self._ask(request, person):
            case Compressed() as compressed:
                return compressed
            case reply:
                raise Refusal(_refused(reply))

    async def _ask(self, request: Request, person: str) -> Reply:
        ticket = _Ticket(request, person)
        if self._closed:
            return ticket.reply
        self._queue.put(ticket)
        try:
            await self._tell()
            await ticket.over.wait()
        finally:
            self._queue.discard(ticket)
        return ticket.reply

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _next(self, lanes: frozenset[Lane], *, idle: bool = False) -> _Ticket:
        """Wait for a ticket, for an `idle` process or for one that would have to be started: the former goes first."""
        ticket: _Ticket | None = None
        async with self._changed:
            self._idle_processes[lanes] += idle
            try:
                while ticket is None:
                    if idle or not self._idle_processes[lanes]:
                        ticket = self._queue.take(lanes)
                    if ticket is None:
                        await self._changed.wait()
            finally:
                self._idle_processes[lanes] -= idle
            # Whoever stood back for an idle process may have the next one.
            self._changed.notify_all()
            return ticket

    async def _serve(self, lanes: frozenset[Lane], limits: Limits) -> None:
        """One process after the other, each from its first request until it is idle, used up or dead."""
        carried: _Ticket | None = None
        while True:
            ticket = carried or await self._next(lanes)
            try:
                process = await _start(lanes)
            except OSError as error:
                logger.error("the media worker cannot be started", reason=str(error))
                carried = None
                await self._finish(ticket, Refused(reason="unavailable"))
                continue
            async with process, anyio.create_task_group() as tasks:
                self.processes.add(process.pid)
                try:
                    if process.stderr is not None:
                        tasks.start_soon(_log, process.stderr, process.pid, name=f"media worker {process.pid} stderr")
                    carried = await self._use(process, ticket, lanes, limits)
                finally:
                    self.processes.discard(process.pid)
                    if process.returncode is None:
                        process.kill()

    async def _use(self, process: Process, ticket: _Ticket, lanes: frozenset[Lane], limits: Limits) -> _Ticket | None:
        """Give a process its first ticket and those after it, until it is idle or has to be replaced.

        Returns the ticket that the next process has to begin with, if there is one.
        """
        for number in range(MOST_REQUESTS):
            try:
                reply = await _exchange(process, ticket.request, limits.deadline)
            except _Ended as ended:
                logger.warning("a media worker ended", pid=process.pid, reason=ended.reason)
                if ended.reason == "died":
                    # Let the system say so first: asyncio warns about a child that was killed after its end.
                    with anyio.move_on_after(ENDING):
                        await process.wait()
                if number and ended.reason == "died":
                    # Perhaps an earlier file damaged it: this one gets a process that has seen no other.
                    return ticket
                await self._finish(ticket, Refused(reason=ended.reason))
                return None
            if isinstance(reply, Redirected) and ticket.lane == "light" != reply.lane:
                ticket.request = replace(ticket.request, lane=reply.lane)
                self._queue.release(ticket)
                self._queue.put(ticket, first=True)
                await self._tell()
            else:
                await self._finish(ticket, reply)
            if isinstance(reply, Refused) and reply.reason == "out_of_memory":
                return None
            with anyio.move_on_after(self._idle) as waiting:
                ticket = await self._next(lanes, idle=True)
            if waiting.cancelled_caught:
                return None
        return ticket

    async def _finish(self, ticket: _Ticket, reply: Reply) -> None:
        self._queue.release(ticket)
        ticket.finish(reply)
        await self._tell()


async def _exchange(process: Process, request: Request, deadline: float) -> Reply:
    """One request and its reply. Raises `_Ended`; the process is of no more use then."""
    if process.stdin is None or process.stdout is None:
        raise _Ended("died")
    replies = BufferedByteReceiveStream(process.stdout)
    try:
        with anyio.fail_after(deadline):
            await process.stdin.send(frame(request))
            length = length_of(await replies.receive_exactly(HEADER))
            return decode_reply(await replies.receive_exactly(length))
    except TimeoutError:
        raise _Ended("deadline") from None
    except (ProtocolError, OSError, anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead) as error:
        raise _Ended("died") from error


def _refused(reply: Reply) -> Refused:
    """What a reply of the wrong kind means: the process is not to be trusted."""
    return reply if isinstance(reply, Refused) else Refused(reason="died")


async def _start(lanes: frozenset[Lane]) -> Process:
    """A process with an empty environment. Raises `OSError`."""
    path = "\n".join(map(os.path.abspath, sys.path))
    which = ("video",) if lanes == VIDEO_LANES else ()
    # Isolated and without site: it looks for packages where we do, and nowhere else.
    return await anyio.open_process(
        [sys.executable, "-I", "-S", "-c", BOOT, path, *which], env=_environment(), start_new_session=True
    )


def _environment() -> Mapping[str, str]:
    """Nothing; Windows cannot start a Python without the folder of its system."""
    return {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if sys.platform == "win32" else {}


async def _log(stderr: ByteReceiveStream, pid: int) -> None:
    """Read all that a process says on stderr, and log the beginning."""
    left = LOGGED
    async for data in stderr:
        if left > 0 and (text := data[:left].decode(errors="replace").strip()):
            logger.info("the media worker says", pid=pid, text=text)
        left -= len(data)
