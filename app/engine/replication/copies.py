"""Sends whole copies of the journal through the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias, TypeVar
from uuid import uuid4

import anyio
import msgspec
import structlog
from anyio import to_thread

from app.boundary import log_failure
from app.core.journal_port import JournalError
from app.core.replication import Position
from app.engine.chunks import measure
from app.engine.connection import FIRST, Engine, Entry
from app.engine.replication.lease import FrontLease
from app.engine.replication.messages import REQUESTS, About, Request, about_key
from app.engine.replication.transfers import KEPT, LOOK, PATIENCE, TransferFailed, receive_file, send_file
from app.ports import ConnectionLost

logger = structlog.stdlib.get_logger(__name__)

T = TypeVar("T", About, Request)

Export: TypeAlias = Callable[[Path], Position]
"""Copies the journal to a new file; how far it is. Synchronous; raises `JournalError`."""

ASKED = 0.25
"""Seconds between two looks whether somebody wants a copy."""

PREPARING = 300.0
"""Seconds for the active front to make a copy: a large journal takes some."""


class CopySender:
    """Sends the journal of the active front to whoever asks for it."""

    def __init__(self, engine: Engine, lease: FrontLease, journal: Path, export: Export) -> None:
        self._engine = engine
        self._lease = lease
        self._journal = journal
        self._export = export
        self._copy = journal.with_name(f"{journal.name}-copy")

    async def run(self) -> None:
        """Send until cancelled, one copy after the other."""
        answered: set[str] = set()
        while True:
            await anyio.sleep(ASKED)
            try:
                entries = await self._engine.range(REQUESTS, FIRST)
                answered.intersection_update([entry.id for entry in entries])
                for entry in entries:
                    # One that was answered stands there again if the engine was set back by a moment.
                    if entry.id not in answered:
                        await self._answer(entry)
                        answered.add(entry.id)
                    # Only now: whoever asked waits for as long as it stands there.
                    await self._engine.remove(REQUESTS, entry.id)
            except ConnectionLost:
                continue

    async def _answer(self, entry: Entry) -> None:
        try:
            if (request := _read(entry.data, Request)) is not None:
                await self._send(request.copy)
        except (JournalError, OSError) as error:
            logger.error("no copy of the journal could be made for another front", reason=str(error))

    async def _send(self, copy: str) -> None:
        try:
            self._copy.unlink(missing_ok=True)
            position = await to_thread.run_sync(self._export, self._copy)
            # Nobody may have more than what was published: it could be published otherwise later.
            while self._lease.position is None or self._lease.position.number < position.number:
                self._lease.check()
                await anyio.sleep(LOOK)
            await self._send_file(copy, position)
        finally:
            self._copy.unlink(missing_ok=True)

    async def _send_file(self, copy: str, position: Position) -> None:
        size, sha256 = await to_thread.run_sync(measure, self._copy)
        about = About(size, sha256, str(self._journal.parent.absolute()), position.number)
        await self._engine.set(about_key(copy), msgspec.json.encode(about), KEPT)
        if not await send_file(self._engine, copy, self._copy, size):
            logger.warning("a copy of the journal was not taken")


async def receive_copy(engine: Engine, target: Path) -> About:
    """Ask the active front for a copy of its journal, and write it to the file.

    Raises `ConnectionLost`, `TimeoutError` if nobody sends it in time, `TransferFailed`, and `OSError`.
    """
    copy = uuid4().hex
    entry = await engine.add(REQUESTS, msgspec.json.encode(Request(copy)), longest=16, seconds=PREPARING)
    stood = anyio.current_time()
    with anyio.fail_after(PREPARING):
        while (about := _read(await engine.take(about_key(copy)), About)) is None:
            if await engine.range(REQUESTS, entry, entry):
                stood = anyio.current_time()
            elif anyio.current_time() > stood + PATIENCE:
                raise TransferFailed("the engine or the active front has forgotten the request")
            await anyio.sleep(10 * LOOK)
    await receive_file(engine, copy, about.size, about.sha256, target)
    return about


def _read(data: bytes | None, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data or b"", type=kind)
    except msgspec.MsgspecError as error:
        if data:
            log_failure(error, "a message about a copy of the journal cannot be read")
        return None
