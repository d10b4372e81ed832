"""The files that a worker holds ready for a front, and those that it gets from one."""

from __future__ import annotations

import uuid
from pathlib import Path

import anyio
from msgspec import Struct

from app.engine.chunks import CHUNK_SECONDS, WINDOW, chunks_of, measure, measure_and_read, read_chunk, write_chunk
from app.engine.connection import Engine
from app.engine.keys import ID, chunk_key
from app.engine.messages import CHUNK, Large
from app.ports import ConnectionLost, RunSync
from app.reasons.servers import CutShort

KEPT = 120.0
"""Seconds after its last use after which a file is deleted: whoever wanted it is gone."""

SWEEP = 15.0
"""Seconds between two looks at what is no longer used."""

SMALL = CHUNK
"""Bytes of the largest file that travels with the answer about it."""

LARGEST = 2**30
"""Bytes of the largest file that a front may send."""


class _File(Struct):
    """One file on our disk."""

    path: Path
    used_at: float


class Transfers:
    """Owns the files in `folder`, each until its transfer is released or nobody uses it any more."""

    def __init__(self, engine: Engine, worker: str, folder: Path, run_sync: RunSync) -> None:
        self._engine = engine
        self._worker = worker
        self._folder = folder
        self._run_sync = run_sync
        self._files: dict[str, _File] = {}

    def new_path(self) -> tuple[str, Path]:
        """The id of a new transfer, and where its file is to be written."""
        transfer = uuid.uuid4().hex
        return transfer, self._folder / transfer

    async def offer(self, transfer: str) -> Large:
        """Hold a file ready that was written. Its first chunks go to the engine at once. Raises `ConnectionLost`.

        A small one travels with the answer, and is not kept.
        """
        path = self._folder / transfer
        self._files[transfer] = _File(path, anyio.current_time())
        size, digest, chunks = await self._run_sync(_first_chunks, path)
        if size <= SMALL:
            del self._files[transfer]
            return Large(transfer, size, digest, content=b"".join(chunks))
        for number, chunk in enumerate(chunks):
            await self._push(transfer, number, chunk)
        return Large(transfer, size, digest, len(chunks))

    async def offer_value(self, value: bytes) -> Large:
        """Hold a value ready."""
        transfer, path = self.new_path()
        await self._run_sync(path.write_bytes, value)
        return await self.offer(transfer)

    async def get(self, transfer: str, number: int) -> None:
        """Put a chunk into the engine. Raises `ConnectionLost`, also if there is no such chunk."""
        file = self._files.get(transfer)
        if file is None or number < 0:
            raise ConnectionLost(CutShort(0, CHUNK))
        file.used_at = anyio.current_time()
        await self._push(transfer, number, await self._run_sync(read_chunk, file.path, number))

    async def _push(self, transfer: str, number: int, chunk: bytes) -> None:
        await self._engine.set(chunk_key(self._worker, transfer, number), chunk, CHUNK_SECONDS)

    async def put(self, transfer: str, number: int) -> None:
        """Take a chunk out of the engine. Raises `ConnectionLost`, also if there is none."""
        if not ID.fullmatch(transfer) or not 0 <= number < chunks_of(LARGEST):
            raise ConnectionLost(CutShort(0, CHUNK))
        chunk = await self._engine.take(chunk_key(self._worker, transfer, number))
        if chunk is None or len(chunk) > CHUNK:
            raise ConnectionLost(CutShort(0, CHUNK))
        file = self._files.setdefault(transfer, _File(self._folder / transfer, 0.0))
        file.used_at = anyio.current_time()
        await self._run_sync(write_chunk, file.path, number, chunk)

    async def received(self, content: Large) -> Path:
        """The file that was put in chunks. Raises `ConnectionLost` unless it is complete."""
        if not content.size and ID.fullmatch(content.transfer):
            # It has no chunks.
            self._files[content.transfer] = _File(self._folder / content.transfer, anyio.current_time())
            await self._run_sync(self._files[content.transfer].path.touch)
        file = self._files.get(content.transfer)
        if file is None:
            raise ConnectionLost(CutShort(0, content.size))
        size, digest = await self._run_sync(measure, file.path)
        if (size, digest) != (content.size, content.digest):
            raise ConnectionLost(CutShort(size, content.size))
        return file.path

    async def release(self, transfer: str) -> None:
        """Delete the file of a transfer, if there is one."""
        if (file := self._files.pop(transfer, None)) is not None:
            await self._run_sync(_delete, file.path)

    async def sweep(self) -> None:
        """Delete what nobody uses any more, until cancelled."""
        while True:
            await anyio.sleep(SWEEP)
            now = anyio.current_time()
            for transfer in [name for name, file in self._files.items() if now - file.used_at >= KEPT]:
                await self.release(transfer)


def _first_chunks(path: Path) -> tuple[int, str, list[bytes]]:
    """The size, the hash and the first chunks of a file; a small one is deleted. Raises `OSError`."""
    size, digest, chunks = measure_and_read(path, WINDOW)
    if size <= SMALL:
        _delete(path)
    return size, digest, chunks


def _delete(path: Path) -> None:
    path.unlink(missing_ok=True)
