"""Files and large values between a front and a worker, in chunks: only a few of them are in the engine at a time."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from app.engine.chunks import CHUNK_SECONDS, WINDOW, chunks_of, measure, read_chunk
from app.engine.keys import chunk_key
from app.engine.messages import CHUNK, GetChunk, Large, PutChunk, Release
from app.engine.remote_servers.remote_worker import RemoteWorker
from app.ports import ConnectionLost, Refused, RunSync
from app.reasons.servers import CutShort


async def pulled(worker: RemoteWorker, server: str, large: Large) -> bytes:
    """A value that the worker holds ready. Raises `ConnectionLost`."""
    async with pieces(worker, server, large) as received:
        return b"".join([piece async for piece in received])


@asynccontextmanager
async def pieces(worker: RemoteWorker, server: str, large: Large) -> AsyncGenerator[AsyncIterator[bytes]]:
    """Pull what the worker holds ready, piece by piece. Raises `ConnectionLost`, also if the content is another one."""
    count = chunks_of(large.size)
    lanes = [anyio.create_memory_object_stream[bytes | ConnectionLost | Refused](0) for _ in range(min(WINDOW, count))]

    async def pull(lane: int, send: MemoryObjectSendStream[bytes | ConnectionLost | Refused]) -> None:
        async with send:
            try:
                for number in range(lane, count, len(lanes)):
                    await send.send(await _chunk(worker, server, large, number))
            except (ConnectionLost, Refused) as loss:
                await send.send(loss)

    async def received() -> AsyncIterator[bytes]:
        digest, size = hashlib.sha256(), 0
        for number in range(count):
            piece = await lanes[number % len(lanes)][1].receive()
            if not isinstance(piece, bytes):
                raise piece
            size += len(piece)
            if size > large.size:
                # The worker sends more than it has announced.
                break
            digest.update(piece)
            yield piece
        if size != large.size or digest.hexdigest() != large.digest:
            raise ConnectionLost(CutShort(size, large.size))

    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        for lane, (send, _) in enumerate(lanes):
            tasks.start_soon(pull, lane, send, name=f"chunks of {worker.name}")
        try:
            yield received()
        except Exception as error:  # noqa: BLE001  raised again below: the task group would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    for _, receive in lanes:
        receive.close()
    if failure is not None:
        raise failure


async def _chunk(worker: RemoteWorker, server: str, large: Large, number: int) -> bytes:
    """Take one chunk, for which the worker is asked unless it is here or in the engine already."""
    if large.is_complete:
        return large.content
    if number >= large.ready:
        await worker.ask(server, GetChunk(large.transfer, number), type(None), CHUNK_SECONDS)
    piece = await worker.engine.take(chunk_key(worker.name, large.transfer, number))
    if piece is None:
        # The engine forgot it, or never got it.
        raise ConnectionLost(CutShort(0, CHUNK))
    return piece


async def release(worker: RemoteWorker, server: str, large: Large) -> None:
    """Have the worker forget what it holds ready, without waiting until it has; it does so anyway after a while."""
    if not large.is_complete:
        with suppress(ConnectionLost):
            await worker.tell(server, Release(large.transfer))


async def push(worker: RemoteWorker, server: str, file: Path, run_sync: RunSync) -> Large:
    """Bring a file to the worker in chunks. Raises `ConnectionLost`, and `OSError` for a file that cannot be read."""
    size, digest = await run_sync(measure, file)
    large = Large(uuid.uuid4().hex, size, digest)
    failure: Exception | None = None

    async def put(lane: int) -> None:
        for number in range(lane, chunks_of(size), WINDOW):
            key = chunk_key(worker.name, large.transfer, number)
            await worker.engine.set(key, await run_sync(read_chunk, file, number), CHUNK_SECONDS)
            await worker.ask(server, PutChunk(large.transfer, number), type(None), CHUNK_SECONDS)

    async with anyio.create_task_group() as tasks:

        async def lane(number: int) -> None:
            nonlocal failure
            try:
                await put(number)
            except Exception as error:  # noqa: BLE001  raised again below: the task group would wrap it
                failure = failure or error
                tasks.cancel_scope.cancel()

        for number in range(WINDOW):
            tasks.start_soon(lane, number, name=f"chunks to {worker.name}")
    if failure is not None:
        raise failure
    return large
