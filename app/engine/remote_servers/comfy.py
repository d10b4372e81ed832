"""Implements the `Comfy` port by calls to a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias, TypeVar

from msgspec import Raw

from app.core.jobs.results import file_label
from app.engine.messages import (
    AnyCall,
    Cancel,
    Done,
    DoneLarge,
    Fetch,
    Large,
    ReadHistory,
    ReadNewest,
    ReadNode,
    ReadNodes,
    ReadQueue,
    ReadReplacements,
    ReadStats,
    Submit,
    Upload,
)
from app.engine.remote_servers.remote_worker import RemoteWorker
from app.engine.remote_servers.transfers import pieces, pulled, push, release
from app.events import FileRef, PromptId
from app.ports import Graph, History, Queue, Refused, RunSync, Stats, Ticket
from app.reasons.servers import AnswerInvalid, AnswerTooLarge, ResultTooLarge

T = TypeVar("T")

Save: TypeAlias = Callable[[AsyncIterator[bytes], Path, int], Awaitable[None]]
"""Write a stream of so many bytes to a file, completely or not at all.

Raises `OSError`, and `ConnectionLost` if the stream has another length.
"""

QUESTION = 10.0
"""Seconds for what ComfyUI has in memory: the queue and the history."""

ANSWER = 90.0
"""Seconds for any other answer: as long as ComfyUI's may take, and the way here."""

FILE = 3600.0
"""Seconds for ComfyUI to send a whole file to the worker."""

LARGEST_ANSWER = 64 * 2**20
"""Bytes of an answer that is not a file."""


class RemoteComfy:
    """See `app.ports.Comfy`. A prompt that costs money is sent without the key that pays for it."""

    def __init__(self, worker: RemoteWorker, server: str, save: Save, run_sync: RunSync, largest_result: int) -> None:
        self._worker = worker
        self._server = server
        self._save = save
        self._run_sync = run_sync
        self._largest_result = largest_result

    async def submit(self, prompt: PromptId, graph: Graph, *, paid: bool = False) -> Ticket:
        """See `app.ports.Comfy.submit`."""
        return await self._ask(Submit(prompt, graph), Ticket, ANSWER)

    async def queue(self) -> Queue:
        """See `app.ports.Comfy.queue`."""
        return await self._ask(ReadQueue(), Queue, QUESTION)

    async def history(self, prompt: PromptId) -> History | None:
        """See `app.ports.Comfy.history`."""
        return (await self._ask(ReadHistory(prompt), tuple[History | None], QUESTION))[0]

    async def newest(self, count: int) -> Mapping[PromptId, History]:
        """See `app.ports.Comfy.newest`."""
        return await self._ask(ReadNewest(count), dict[PromptId, History], QUESTION)

    async def cancel(self, prompt: PromptId) -> None:
        """See `app.ports.Comfy.cancel`."""
        await self._ask(Cancel(prompt), type(None), ANSWER)

    async def fetch(self, file: FileRef, to: Path) -> None:
        """See `app.ports.Comfy.fetch`. Raises `OSError` for errors of our own disk, including too little room."""
        answer = await self._worker.answer(self._server, Fetch(file), FILE)
        if not isinstance(answer, DoneLarge):
            raise Refused(AnswerInvalid(type(answer).__name__), certain=False)
        large = answer.value
        try:
            if large.size > self._largest_result:
                raise Refused(ResultTooLarge(file_label(file), self._largest_result))
            async with pieces(self._worker, self._server, large) as received:
                await self._save(received, to, large.size)
        finally:
            await release(self._worker, self._server, large)

    async def upload(self, file: Path, name: str) -> str:
        """See `app.ports.Comfy.upload`. Raises `OSError` for errors of our own disk."""
        content = await push(self._worker, self._server, file, self._run_sync)
        return await self._ask(Upload(content, name), str, ANSWER)

    async def node(self, class_type: str) -> Raw | None:
        """See `app.ports.Comfy.node`."""
        description = await self._ask(ReadNode(class_type), tuple[bytes | None], ANSWER)
        return None if description[0] is None else Raw(description[0])

    async def nodes(self) -> Mapping[str, Raw]:
        """See `app.ports.Comfy.nodes`."""
        return _raw(await self._ask(ReadNodes(), dict[str, bytes], ANSWER))

    async def replacements(self) -> Mapping[str, Raw]:
        """See `app.ports.Comfy.replacements`."""
        return _raw(await self._ask(ReadReplacements(), dict[str, bytes], ANSWER))

    async def stats(self) -> Stats:
        """See `app.ports.Comfy.stats`."""
        return await self._ask(ReadStats(), Stats, QUESTION)

    async def _ask(self, call: AnyCall, shape: type[T], seconds: float) -> T:
        """What the worker's method returned, which is pulled in chunks if it is large."""
        answer = await self._worker.answer(self._server, call, seconds)
        if isinstance(answer, DoneLarge):
            answer = Done(Raw(await self._pulled(answer.value)))
        if not isinstance(answer, Done):
            raise Refused(AnswerInvalid(type(answer).__name__), certain=False)
        return self._worker.read(answer, shape)

    async def _pulled(self, large: Large) -> bytes:
        try:
            if large.size > LARGEST_ANSWER:
                raise Refused(AnswerTooLarge(LARGEST_ANSWER), certain=False)
            return await pulled(self._worker, self._server, large)
        finally:
            await release(self._worker, self._server, large)


def _raw(descriptions: Mapping[str, bytes]) -> dict[str, Raw]:
    return {name: Raw(description) for name, description in descriptions.items()}
