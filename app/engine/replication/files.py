"""Copies files of jobs between fronts: those that the journal of a front names and that its disk lacks.

Any front may have a file, so all are asked. One that has it takes the request out of the stream, and sends the file;
each other one says that it does not have it.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import anyio
import msgspec
import structlog
from anyio import to_thread
from anyio.abc import TaskGroup
from msgspec import Struct

from app.boundary import log_failure
from app.core.journal_port import JournalError
from app.core.replication import NamedFile, Need
from app.engine.chunks import measure
from app.engine.connection import FIRST, Engine
from app.engine.replication.messages import (
    FILES,
    LEASE,
    AboutFile,
    Announcement,
    FileMessage,
    FileRequest,
    about_key,
    absent_key,
    read_file_message,
    read_lease,
    taken_key,
)
from app.engine.replication.status import standbys_of
from app.engine.replication.transfers import KEPT, LOOK, PATIENCE, TransferFailed, receive_file, send_file
from app.entry_points import run_loop, run_request
from app.ports import ConnectionLost
from app.retention.files import FOLDERS, PART, delete_with_thumbnails

logger = structlog.stdlib.get_logger(__name__)

NAME = re.compile(r"\w[\w.-]{0,199}")
"""What a file of a job may be called: nothing that means something in a path."""

SPREAD = 5.0
"""Seconds for which a request waits until its files are at the fronts on standby."""

OFFERED = 5.0
"""Seconds within which a front takes a request for a file, if one has it."""

READ = 5.0
"""Seconds for which one command waits for the next request."""

MOST_MESSAGES = 256
"""Requests that the engine keeps, and that one front answers at once."""

SENT_AT_ONCE = 4
"""Files that a front sends at once."""

LANES: tuple[Need, ...] = (Need.RECENT, Need.RECENT, Need.UNDELIVERED, Need.UNDELIVERED)
"""What each lane receives at most: two of them are never held up by what nobody waits for."""

SOON = 0.5
"""Seconds between two looks at what unfinished jobs name."""

OTHERS = 2.0
"""Seconds between two looks at which fronts there are."""

RARELY = 10.0
"""Seconds between two looks at what other jobs name."""

AGAIN = 300.0
"""Seconds between two looks at all that jobs name, for what no front had."""

QUIET = SOON + 0.2
"""Seconds without a request after which a front that ends has handed over what others lack: they look that often."""

HANDING_OVER = 2.0
"""Seconds that a front at its end gives others to fetch what they lack; then they fetch it from ComfyUI again."""

FREE = 512 * 2**20
"""Bytes of the disk that stay free for the journal: what does not fit beside them is not copied in advance."""


class Names(Protocol):
    """Which files jobs name, as far as that has changed. Synchronous; raises `JournalError`."""

    def begin_again(self) -> None:
        """Read all jobs next."""
        ...

    def of_unfinished(self) -> Sequence[NamedFile]:
        """The files of unfinished jobs."""
        ...

    def of_recent(self) -> Sequence[NamedFile]:
        """The files of jobs that ended lately."""
        ...

    def of_deleted(self) -> Sequence[str]:
        """The paths of all results that people deleted."""
        ...


class _Wanted(Struct, eq=False):
    """A file to be received: why, its place in line, whether it is on its way, and whether it stopped on its way."""

    name: str
    need: Need
    number: int
    done: anyio.Event
    is_on_its_way: bool = False
    was_broken_off: bool = False


class FrontFiles:
    """The files of one front: see `app.ports.OtherDisks`. `largest` are the bytes of the largest file that is taken."""

    def __init__(self, engine: Engine, front: str, data: Path, largest: int, names: Names) -> None:
        self._engine = engine
        self._front = front
        self._data = Path(os.path.abspath(data))  # noqa: PTH100  as the paths in the journal: links are not resolved
        self._largest = largest
        self._names = names
        self._wanted: dict[str, _Wanted] = {}
        self._number = 0
        self._changed = anyio.Event()
        """Set when more files are wanted."""
        self._sending = anyio.Semaphore(SENT_AT_ONCE)
        self._answering = 0
        self._answered_at = -math.inf
        self._others: frozenset[str] = frozenset()
        self._others_at = self._recent_at = -math.inf
        self._again_at = -math.inf

    async def run(self) -> None:
        """Answer other fronts, and receive what is missing here, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, tasks, name="requests for files")
            for most in LANES:
                tasks.start_soon(self._receive_all, most, name="files of other fronts")
            await run_loop(self._look, "files of other fronts could not be looked for")

    async def bring(self, paths: Sequence[str], seconds: float) -> None:
        """See `app.ports.OtherDisks`."""
        names = await to_thread.run_sync(self._missing, paths)
        await self._want(names, Need.ASKED, seconds)

    async def spread(self, paths: Sequence[str]) -> None:
        """See `app.ports.OtherDisks`."""
        names = [name for path in paths if (name := self._name_of(path)) is not None]
        try:
            if names and (standbys := await standbys_of(self._engine)):
                await self._announce(names, [standby.front.id for standby in standbys])
        except ConnectionLost:
            # Nothing is accepted while the engine is away, and they are copied once the job is in the journal.
            return

    async def _announce(self, names: Sequence[str], fronts: Sequence[str]) -> None:
        announcement = Announcement(uuid4().hex, tuple(names))
        keys = [taken_key(announcement.id, front) for front in fronts if front != self._front]
        answers: list[bytes | None] = [None]
        entry = await self._add(announcement)
        with anyio.move_on_after(SPREAD):
            while None in (answers := await self._engine.values(keys)):  # noqa: ASYNC110  other processes
                await anyio.sleep(LOOK)
        await self._engine.remove(FILES, entry)
        if left := sum(answer != b"1" for answer in answers):
            logger.warning("fronts on standby do not have the files of a request yet", fronts=left)

    async def hand_over(self) -> None:
        """Go on to answer until other fronts have fetched what they lack, because this one ends; for some time at most.

        The front that takes over would wait for a file that stopped on its way.
        """
        began = anyio.current_time()
        with anyio.move_on_after(HANDING_OVER):
            try:
                others = await self._other_fronts()
            except ConnectionLost:
                return
            while others and (self._answering or anyio.current_time() < max(began, self._answered_at) + QUIET):  # noqa: ASYNC110
                await anyio.sleep(LOOK)

    # What others ask.

    async def _listen(self, tasks: TaskGroup) -> None:
        """Read the messages of all fronts."""
        position = FIRST
        while True:
            try:
                await self._engine.ready()
                entries = (await self._engine.read({FILES: position}, block=READ)).get(FILES, ())
            except ConnectionLost:
                # An engine that was set back counts from a lower number.
                position = FIRST
                await anyio.sleep(SOON)
                continue
            for entry in entries:
                position = entry.id
                message = read_file_message(entry.data)
                if message is None:
                    logger.warning("a message about files cannot be read")
                elif self._answering < MOST_MESSAGES:
                    self._answering += 1
                    tasks.start_soon(self._answer, entry.id, message, name="request for files")

    async def _answer(self, entry: str, message: FileMessage) -> None:
        try:
            match message:
                case FileRequest():
                    await self._offer(entry, message)
                case Announcement():
                    await self._take(message)
        except (ConnectionLost, OSError):
            # Whoever asked asks again.
            return
        except Exception as error:  # noqa: BLE001  the boundary of one message
            log_failure(error, "a request of another front could not be answered")
        finally:
            self._answering -= 1
            self._answered_at = anyio.current_time()

    async def _offer(self, entry: str, request: FileRequest) -> None:
        """Send a file to the front that lacks it, unless another front does."""
        path = self._path_of(request.name)
        if request.front == self._front:
            return
        if path is None or await to_thread.run_sync(_status, path) is None:
            await self._engine.set(absent_key(request.transfer, self._front), b"1", KEPT)
            return
        async with self._sending:
            status = await to_thread.run_sync(_status, path)
            if status is None or not await self._engine.remove(FILES, entry):
                return
            size, sha256 = await to_thread.run_sync(measure, path)
            about = AboutFile(size, sha256, status.st_mtime_ns)
            await self._engine.set(about_key(request.transfer), msgspec.json.encode(about), KEPT)
            if not await send_file(self._engine, request.transfer, path, size):
                logger.warning("a file was not taken by the front that asked for it", name=request.name)

    async def _take(self, announcement: Announcement) -> None:
        """Receive files of a request that is about to be accepted."""
        names = [name for name in announcement.names if self._path_of(name) is not None]
        missing = await to_thread.run_sync(self._missing, [str(self._data / name) for name in names])
        await self._want(missing, Need.INPUT, SPREAD)
        missing = await to_thread.run_sync(self._missing, [str(self._data / name) for name in announcement.names])
        await self._engine.set(taken_key(announcement.id, self._front), b"0" if missing else b"1", KEPT)

    # What is missing here.

    async def _look(self) -> float:
        """Find files that jobs name and that are missing; return the seconds until the next look."""
        now = anyio.current_time()
        try:
            if now >= self._others_at:
                others = frozenset(await self._other_fronts())
                if now >= self._again_at or not others <= self._others:
                    self._names.begin_again()
                    # A front that was away when they were deleted has them still.
                    deleted = await to_thread.run_sync(self._names.of_deleted)
                    await to_thread.run_sync(delete_with_thumbnails, self._data, deleted)
                    self._again_at, self._recent_at = now + AGAIN, now
                self._others, self._others_at = others, now + OTHERS
            if not self._others:
                return SOON
            named = await to_thread.run_sync(self._names.of_unfinished)
            if now >= self._recent_at:
                named = [*named, *await to_thread.run_sync(self._names.of_recent)]
                self._recent_at = now + RARELY
        except (JournalError, ConnectionLost):
            # Somebody else finds out what is wrong with the journal, which may be on its way to its place.
            self._again_at = -math.inf
            return SOON
        for need in Need:
            paths = [file.path for file in named if file.need is need]
            if missing := await to_thread.run_sync(self._missing, paths) if paths else []:
                self._add_wanted(missing, need)
        return SOON

    async def _want(self, names: Sequence[str], need: Need, seconds: float) -> None:
        """Wait until these files are here, or cannot be had; for some time at most."""
        with anyio.move_on_after(seconds):
            while names:
                wanted = self._add_wanted(names, need)
                for each in wanted:
                    await each.done.wait()
                if names := [each.name for each in wanted if each.was_broken_off]:
                    await anyio.sleep(SOON)

    def _add_wanted(self, names: Sequence[str], need: Need) -> list[_Wanted]:
        for name in names:
            self._number += 1
            wanted = self._wanted.setdefault(name, _Wanted(name, need, self._number, anyio.Event()))
            wanted.need = min(wanted.need, need)
        self._changed.set()
        self._changed = anyio.Event()
        return [self._wanted[name] for name in names]

    async def _receive_all(self, most: Need) -> None:
        """Receive one file after the other: what is needed most first."""
        while True:
            changed = self._changed
            waiting = (each for each in self._wanted.values() if each.need <= most and not each.is_on_its_way)
            if (wanted := min(waiting, key=lambda each: (each.need, each.number), default=None)) is None:
                await changed.wait()
                continue
            wanted.is_on_its_way = True
            try:
                await run_request(partial(self._try_to_receive, wanted), "a file of another front could not be copied")
            finally:
                del self._wanted[wanted.name]
                wanted.done.set()

    async def _try_to_receive(self, wanted: _Wanted) -> None:
        try:
            await self._receive(wanted)
        except (ConnectionLost, TransferFailed) as error:
            wanted.was_broken_off = isinstance(error, TransferFailed)
            logger.warning("a file of another front did not arrive", name=wanted.name, reason=str(error))
        except OSError as error:
            logger.warning("a file of another front cannot be kept", name=wanted.name, reason=error.strerror)
        else:
            return
        self._again_at = min(self._again_at, anyio.current_time() + RARELY)

    async def _receive(self, wanted: _Wanted) -> None:
        """Copy a file, if a front has it."""
        path, transfer = self._data / wanted.name, uuid4().hex
        if (about := await self._about(wanted.name, transfer)) is None:
            return
        await to_thread.run_sync(partial(path.parent.mkdir, parents=True, exist_ok=True))
        free = await to_thread.run_sync(shutil.disk_usage, path.parent)
        if not 0 <= about.size <= self._largest or (free.free - about.size < FREE and wanted.need is not Need.ASKED):
            logger.warning("a file of another front is not copied", name=wanted.name, size=about.size, free=free.free)
            return
        unfinished = path.with_name(f"{path.name}.{transfer[:8]}{PART}")
        try:
            await receive_file(self._engine, transfer, about.size, about.sha256, unfinished)
            await to_thread.run_sync(_put, unfinished, path, about.changed)
        finally:
            unfinished.unlink(missing_ok=True)

    async def _about(self, name: str, transfer: str) -> AboutFile | None:
        """Ask all other fronts for a file; what is sent of it, None if nobody has it."""
        if not (others := await self._other_fronts()):
            return None
        absent = [absent_key(transfer, front) for front in others]
        entry = await self._add(FileRequest(transfer, self._front, name))
        about: bytes | None = None
        with anyio.move_on_after(OFFERED):
            while about is None and None in await self._engine.values(absent):
                about = await self._engine.take(about_key(transfer))
                await anyio.sleep(0 if about is not None else LOOK)
        if about is None and not await self._engine.remove(FILES, entry):
            # A front prepares it: a large file takes a while.
            with anyio.move_on_after(PATIENCE):
                while (about := await self._engine.take(about_key(transfer))) is None:  # noqa: ASYNC110  another process
                    await anyio.sleep(LOOK)
            if about is None:
                raise TransferFailed("the front that has it does not send it")
        if about is None:
            return None
        try:
            return msgspec.json.decode(about, type=AboutFile)
        except msgspec.MsgspecError as error:
            raise TransferFailed("what is said about it cannot be read") from error

    async def _other_fronts(self) -> list[str]:
        active = read_lease(await self._engine.get(LEASE))
        ids = {standby.front.id for standby in await standbys_of(self._engine)}
        if active is not None:
            ids.add(active[1].id)
        return sorted(ids - {self._front})

    async def _add(self, message: FileMessage) -> str:
        return await self._engine.add(FILES, msgspec.json.encode(message), longest=MOST_MESSAGES, seconds=KEPT)

    def _missing(self, paths: Sequence[str]) -> list[str]:
        """The names of those of these files that are not here, each once, without what is no file of a job."""
        names = dict.fromkeys(name for path in paths if (name := self._name_of(path)) is not None)
        return [name for name in names if not os.path.lexists(self._data / name)]

    def _name_of(self, path: str) -> str | None:
        """How fronts call a file of a job: by its folder in the data folder, and its name; None if it is none."""
        here = Path(os.path.abspath(path))  # noqa: PTH100  as above
        name = f"{here.parent.name}/{here.name}"
        return name if self._path_of(name) == here else None

    def _path_of(self, name: str) -> Path | None:
        """The path of a file of a job; None if that is none."""
        folder, _, file = name.partition("/")
        if folder not in FOLDERS or not NAME.fullmatch(file) or file.endswith(PART):
            return None
        return self._data / folder / file


def _status(path: Path) -> os.stat_result | None:
    """What is known of a file; None if it is not there, or something else."""
    try:
        status = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _put(unfinished: Path, path: Path, changed: int) -> None:
    """Put a file in its place, as old as the original, so that both are deleted at the same time."""
    os.utime(unfinished, ns=(changed, changed))
    unfinished.replace(path)
