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

from app.media_worker.limits import PICTURES, THUMBNAILS, VIDEOS, Limits
from app.media_worker.protocol import (
    HEADER,
    Compress,
    Compressed,
    Dimensions,
    Kind,
    Lane,
    MakeThumbnail,
    Normalise,
    Normalised,
    ProtocolError,
    Redirected,
    Refusal,
    Refused,
    Reply,
    Request,
    ThumbnailMade,
    decode_reply,
    frame,
    length_of,
    path_to_bytes,
)
from app.media_worker.waiting import FairQueue
from app.reasons.files import FileReason, TooMuchMemory, TooMuchTime, WorkerDied, WorkerUnavailable
from app.reasons.jobs import log_fields

logger = structlog.stdlib.get_logger(__name__)

PROCESSES = 2
"""Processes for pictures: one for a large picture, one that stays free for small ones. Videos have a third, and
thumbnails a fourth."""

IDLE = 30.0
"""Seconds without a request after which a process is stopped; starting a new one takes a tenth of a second."""

ENDING = 1.0
"""Seconds for a process that closed its pipe to exit by itself."""

MOST_REQUESTS = 100
"""Requests after which a process is replaced: decoders leak, and its memory is limited."""

LOGGED = 4096
"""Bytes of each process's stderr that are logged. The rest is read and dropped."""

PICTURE_LANES: frozenset[Lane] = frozenset({"light", "heavy"})
VIDEO_LANES: frozenset[Lane] = frozenset({"video"})
THUMBNAIL_LANES: frozenset[Lane] = frozenset({"thumbnail"})

NOBODY = ""
"""Whose requests thumbnails are, so that they change no person's turn."""

BOOT = """
import runpy, sys
sys.path[:] = sys.argv.pop(1).split(chr(10))
runpy.run_module("app.media_worker", None, "__main__")
"""
"""Runs `app.media_worker` as a module in a Python that has none of the bot's folders in its path.

It works from any working directory.
"""


class _Ended(Exception):
    """The process ended, sent something that is not a reply, or did not reply in time."""

    def __init__(self, reason: TooMuchTime | WorkerDied) -> None:
        super().__init__(reason)
        self.reason = reason


class _Ticket:
    """One request of one person, and its reply."""

    def __init__(self, request: Request, person: str) -> None:
        self.request = request
        self.person = person
        self.over = anyio.Event()
        self.reply: Reply = Refused(WorkerUnavailable())

    @property
    def lane(self) -> Lane:
        """See `Normalise`."""
        return self.request.lane

    def finish(self, reply: Reply) -> None:
        """Set the reply and wake the waiting caller."""
        self.reply = reply
        self.over.set()


class MediaClient:
    """Owns the processes. `run` serves requests; earlier requests wait for it, and after its end they are refused.

    `pictures`, `videos` and `thumbnails` limit what the processes may use; they stop after `idle` seconds without a
    request.
    """

    def __init__(
        self,
        pictures: Limits = PICTURES,
        videos: Limits = VIDEOS,
        idle: float = IDLE,
        thumbnails: Limits = THUMBNAILS,
    ) -> None:
        self._pictures = pictures
        self._videos = videos
        self._thumbnails = thumbnails
        self._idle = idle
        self._queue: FairQueue[_Ticket] = FairQueue()
        self._changed = anyio.Condition()
        self._closed = False
        self._idle_processes: Counter[frozenset[Lane]] = Counter()
        self.processes: set[int] = set()
        """The ids of the processes that are running."""

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Processes start when there is a request."""
        try:
            async with anyio.create_task_group() as tasks:
                for number in range(PROCESSES):
                    tasks.start_soon(self._serve, PICTURE_LANES, self._pictures, name=f"media {number}")
                tasks.start_soon(self._serve, VIDEO_LANES, self._videos, name="media video")
                tasks.start_soon(self._serve, THUMBNAIL_LANES, self._thumbnails, name="media thumbnails")
                task_status.started()
        finally:
            self._closed = True
            for ticket in self._queue.drain():
                ticket.finish(Refused(WorkerUnavailable()))

    async def normalise(self, source: Path, target: Path, kind: Kind, *, person: str) -> str:
        """Write a plain version of an attached file to `target`; return its suffix. Raises `Refusal`."""
        match await self._ask(Normalise(source=path_to_bytes(source), target=path_to_bytes(target), kind=kind), person):
            case Normalised(suffix=suffix):
                return suffix
            case reply:
                raise Refusal(_reason(reply))

    async def compress(
        self,
        source: Path,
        target: Path,
        limit: int,
        *,
        person: str,
        keep_metadata: bool = False,
        mark_results: bool = False,
    ) -> Compressed:
        """Write a version of a person's result of at most `limit` bytes to `target`. Raises `Refusal`."""
        request = Compress(
            source=path_to_bytes(source),
            target=path_to_bytes(target),
            limit=limit,
            keep_metadata=keep_metadata,
            mark_results=mark_results,
        )
        match await self._ask(request, person):
            case Compressed() as compressed:
                return compressed
            case reply:
                raise Refusal(_reason(reply))

    async def thumbnail(self, source: Path, target: Path, *, mark_results: bool = False) -> Dimensions:
        """Write a small WebP of a result to `target`; return its width and height. Raises `Refusal`."""
        request = MakeThumbnail(source=path_to_bytes(source), target=path_to_bytes(target), mark_results=mark_results)
        match await self._ask(request, NOBODY):
            case ThumbnailMade(dimensions=dimensions):
                return dimensions
            case reply:
                raise Refusal(_reason(reply))

    async def _ask(self, request: Request, person: str) -> Reply:
        ticket = _Ticket(request, person)
        if self._closed:
            return ticket.reply
        self._queue.put(ticket)
        try:
            await self._notify()
            await ticket.over.wait()
        finally:
            self._queue.discard(ticket)
        return ticket.reply

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _next(self, lanes: frozenset[Lane], *, idle: bool = False) -> _Ticket:
        """Wait for a ticket. An `idle` process gets it before one that would have to be started."""
        ticket: _Ticket | None = None
        async with self._changed:
            while ticket is None:
                if idle or not self._idle_processes[lanes]:
                    ticket = self._queue.take(lanes)
                if ticket is None:
                    await self._changed.wait()
            # A caller that let an idle process go first may take the next ticket.
            self._changed.notify_all()
            return ticket

    async def _serve(self, lanes: frozenset[Lane], limits: Limits) -> None:
        """Run one process after the other, each from its first request until it is idle, used up or dead."""
        carried: _Ticket | None = None
        while True:
            ticket = carried or await self._next(lanes)
            try:
                process = await _start(lanes)
            except OSError as error:
                logger.error("the media worker cannot be started", reason=str(error))
                carried = None
                await self._finish(ticket, Refused(WorkerUnavailable()))
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
                        await _kill(process)

    async def _use(self, process: Process, ticket: _Ticket, lanes: frozenset[Lane], limits: Limits) -> _Ticket | None:
        """Give a process its first ticket and those after it, until it is idle or has to be replaced.

        Returns the ticket that the next process has to begin with, if there is one.
        """
        for number in range(MOST_REQUESTS):
            try:
                reply = await _exchange(process, ticket.request, limits.deadline)
            except _Ended as ended:
                logger.warning("a media worker ended", pid=process.pid, **log_fields(ended.reason))
                died = isinstance(ended.reason, WorkerDied)
                if died:
                    # Wait for the system to report the end: asyncio warns if an ended child is killed.
                    with anyio.move_on_after(ENDING):
                        await process.wait()
                if number and died:
                    # An earlier file may have damaged the process: retry this one in a fresh process.
                    return ticket
                await self._finish(ticket, Refused(ended.reason))
                return None
            if isinstance(reply, Refused) and isinstance(reply.reason, TooMuchMemory):
                await self._finish(ticket, reply)
                return None
            # Idle before anybody has the reply, who may ask again at once.
            self._idle_processes[lanes] += 1
            try:
                if isinstance(reply, Redirected) and ticket.lane == "light" != reply.lane:
                    ticket.request = replace(ticket.request, lane=reply.lane)
                    self._queue.release(ticket)
                    self._queue.put(ticket, first=True)
                    await self._notify()
                else:
                    await self._finish(ticket, reply)
                with anyio.move_on_after(self._idle) as waiting:
                    ticket = await self._next(lanes, idle=True)
            finally:
                self._idle_processes[lanes] -= 1
            if waiting.cancelled_caught:
                return None
        return ticket

    async def _finish(self, ticket: _Ticket, reply: Reply) -> None:
        self._queue.release(ticket)
        ticket.finish(reply)
        await self._notify()


async def _exchange(process: Process, request: Request, deadline: float) -> Reply:
    """Send one request and return its reply. Raises `_Ended`; the process cannot be used any more then."""
    if process.stdin is None or process.stdout is None:
        raise _Ended(WorkerDied())
    replies = BufferedByteReceiveStream(process.stdout)
    try:
        with anyio.fail_after(deadline):
            await process.stdin.send(frame(request))
            length = length_of(await replies.receive_exactly(HEADER))
            return decode_reply(await replies.receive_exactly(length))
    except TimeoutError:
        raise _Ended(TooMuchTime()) from None
    except (ProtocolError, OSError, anyio.BrokenResourceError, anyio.EndOfStream, anyio.IncompleteRead) as error:
        raise _Ended(WorkerDied()) from error


def _reason(reply: Reply) -> FileReason:
    """The reason of a refusal; for a reply of the wrong kind `WorkerDied`, because the process cannot be trusted."""
    return reply.reason if isinstance(reply, Refused) else WorkerDied()


async def _start(lanes: frozenset[Lane]) -> Process:
    """A process with an empty environment. Raises `OSError`."""
    path = "\n".join(map(os.path.abspath, sys.path))
    which = () if lanes == PICTURE_LANES else tuple(lanes)
    # Isolated and without site: it imports packages from the bot's path and from nowhere else.
    return await anyio.open_process(
        [sys.executable, "-I", "-S", "-c", BOOT, path, *which], env=_environment(), start_new_session=True
    )


async def _kill(process: Process) -> None:
    """Kill a process, and wait for its end. To kill it once more while it ends would make asyncio warn of it."""
    process.kill()
    with anyio.move_on_after(ENDING, shield=True):
        await process.wait()


def _environment() -> Mapping[str, str]:
    """An empty environment; Windows cannot start a Python without its system folder."""
    return {"SYSTEMROOT": os.environ["SYSTEMROOT"]} if sys.platform == "win32" else {}


async def _log(stderr: ByteReceiveStream, pid: int) -> None:
    """Read everything that a process writes to stderr, and log the beginning."""
    left = LOGGED
    async for data in stderr:
        if left > 0 and (text := data[:left].decode(errors="replace").strip()):
            logger.info("the media worker wrote to stderr", pid=pid, text=text)
        left -= len(data)
