"""Sends whole copies of the journal through the engine in chunks, of which only a few are there at a time."""

from __future__ import annotations

import hashlib
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
from app.engine.connection import FIRST, Engine
from app.engine.replication import scripts
from app.engine.replication.lease import FrontLease
from app.engine.replication.messages import REQUESTS, About, Request, about_key, chunk_key
from app.ports import ConnectionLost

logger = structlog.stdlib.get_logger(__name__)

T = TypeVar("T", About, Request)

Export: TypeAlias = Callable[[Path], Position]
"""Copies the journal to a new file; how far it is. Synchronous; raises `JournalError`."""

CHUNK = 256 * 2**10
"""Bytes of a chunk."""

WINDOW = 4
"""Chunks that wait in the engine at most."""

KEPT = 60.0
"""Seconds after which the engine forgets what nobody takes."""

PATIENCE = 20.0
"""Seconds after which a transfer is given up in which nothing happens."""

LOOK = 0.01
"""Seconds between two looks whether the other side has done something."""

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
        seen = FIRST
        while True:
            await anyio.sleep(ASKED)
            try:
                for entry in await self._engine.range(REQUESTS, f"({seen}"):
                    seen = entry.id
                    await self._engine.remove(REQUESTS, entry.id)
                    if (request := _read(entry.data, Request)) is not None:
                        await self._send(request.copy)
            except ConnectionLost:
                continue
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
        size, sha256 = await to_thread.run_sync(_measure, self._copy)
        about = About(size, sha256, str(self._journal.parent.absolute()), position.number)
        await self._engine.set(about_key(copy), msgspec.json.encode(about), KEPT)
        waiting: list[str] = []
        last = anyio.current_time()
        with self._copy.open("rb") as file:
            for number in range(_chunks(size)):
                while len(waiting) >= WINDOW:
                    left = await self._engine.script(scripts.WAITING, waiting, [])
                    if isinstance(left, int) and left < len(waiting):
                        # They are taken in order.
                        waiting, last = waiting[len(waiting) - left :], anyio.current_time()
                    elif anyio.current_time() > last + PATIENCE:
                        logger.warning("a copy of the journal was not taken")
                        return
                    else:
                        await anyio.sleep(LOOK)
                chunk = await to_thread.run_sync(file.read, CHUNK)
                waiting.append(chunk_key(copy, number))
                await self._engine.set(waiting[-1], chunk, KEPT)


async def receive_copy(engine: Engine, target: Path) -> About:
    """Ask the active front for a copy of its journal, and write it to the file.

    Raises `ConnectionLost`, `TimeoutError` if nobody sends it in time, and `OSError`.
    """
    copy = uuid4().hex
    await engine.add(REQUESTS, msgspec.json.encode(Request(copy)), longest=16, seconds=KEPT)
    with anyio.fail_after(PREPARING):
        while (about := _read(await engine.take(about_key(copy)), About)) is None:  # noqa: ASYNC110  another process
            await anyio.sleep(10 * LOOK)
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for number in range(_chunks(about.size)):
            with anyio.fail_after(PATIENCE):
                while (chunk := await engine.take(chunk_key(copy, number))) is None:  # noqa: ASYNC110  as above
                    await anyio.sleep(LOOK)
            digest.update(chunk)
            await to_thread.run_sync(file.write, chunk)
    if digest.hexdigest() != about.sha256:
        raise TimeoutError("the copy of the journal did not arrive as it was sent")
    return about


def _chunks(size: int) -> int:
    return -(-size // CHUNK)


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _read(data: bytes | None, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data or b"", type=kind)
    except msgspec.MsgspecError as error:
        if data:
            log_failure(error, "a message about a copy of the journal cannot be read")
        return None
