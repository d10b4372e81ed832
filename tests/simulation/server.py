"""A ComfyUI in memory, at the port `Comfy`: the simulator's own verbs, without HTTP between them and us.

What HTTP itself can do wrong is tested where HTTP is: `tests/comfy/`, `tests/test_flow.py`, `tests/process/`.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import anyio.lowlevel
import msgspec

from app.comfy.download import save
from app.comfy.refusal import sentence
from app.comfy.replies import HistoryReply
from app.events import FileRef, PromptId
from app.ports import Graph, History, Json, Queue, Refused, RunSync, Stats, Ticket
from app.simulator.prompts import Item
from tests.simulation.network import Network


class MemoryComfy:
    """See `app.ports.Comfy`. `took` hears of each prompt that the server takes, with its graph."""

    def __init__(
        self,
        network: Network,
        client_id: str,
        run_sync: RunSync,
        took: Callable[[Network, PromptId, Graph], None],
        withdrew: Callable[[PromptId], None],
    ) -> None:
        self._network = network
        self._simulator = network.simulator
        self._client_id = client_id
        self._run_sync = run_sync
        self._took = took
        self._withdrew = withdrew

    async def submit(self, prompt: PromptId, graph: Graph) -> Ticket:
        return await self._network.ask("post", "POST /prompt", lambda: self._submit(prompt, graph))

    def _submit(self, prompt: PromptId, graph: Graph) -> Ticket:
        # Validation changes what it is given: "8" becomes 8.
        body: dict[str, Json] = {
            "prompt": dict[str, Json](copy.deepcopy(graph)),
            "client_id": self._client_id,
            "prompt_id": prompt,
            "extra_data": {},
        }
        status, answer = self._simulator.submit(body)
        if status == 400:
            raise Refused(sentence(msgspec.json.encode(answer), graph))
        assert status == 200, answer
        self._took(self._network, prompt, graph)
        return Ticket(prompt)

    async def queue(self) -> Queue:
        return await self._network.ask("look", "GET /queue", self._queue)

    def _queue(self) -> Queue:
        running = self._simulator.running
        pending = sorted(self._simulator.pending, key=lambda item: item[0])
        return Queue((_id(running),) if running else (), tuple(map(_id, pending)))

    async def history(self, prompt: PromptId) -> History | None:
        return await self._network.ask("history", "GET /history/…", lambda: self._entry(prompt))

    def _entry(self, prompt: str) -> History | None:
        entry = self._simulator.history.get(prompt)
        return None if entry is None else msgspec.convert(entry, HistoryReply).read()

    async def newest(self, count: int) -> Mapping[PromptId, History]:
        return await self._network.ask("history", "GET /history", lambda: self._newest(count))

    def _newest(self, count: int) -> dict[PromptId, History]:
        listed = self._simulator.worker.prompts.listed(count, -1)
        return {PromptId(prompt): entry for prompt in listed if (entry := self._entry(prompt)) is not None}

    async def cancel(self, prompt: PromptId) -> None:
        worker, ask = self._simulator.worker, self._network.ask
        if self._simulator.modern:
            await ask("withdraw", "POST /api/jobs/…/cancel", lambda: self._dropped(prompt, worker.cancel(prompt)))
            return
        await ask("withdraw", "POST /queue", lambda: self._dropped(prompt, worker.prompts.delete(prompt)))
        await ask("withdraw", "POST /interrupt", lambda: self._dropped(prompt, worker.interrupt(prompt)))

    def _dropped(self, prompt: PromptId, dropped: bool) -> None:
        if dropped:
            self._withdrew(prompt)

    async def fetch(self, file: FileRef, to: Path) -> None:
        content = await self._network.ask(
            "view", "GET /view", lambda: self._content(file), large=file.filename.startswith("large")
        )
        await save(_at_once(content), to, self._run_sync, expected=len(content))

    def _content(self, file: FileRef) -> bytes:
        if (path := self._simulator.files.view(file.filename, file.subfolder, file.type)) is None:
            raise Refused(f"A result, {file.filename}, is gone from the server.")
        return path.read_bytes()

    async def upload(self, file: Path) -> str:
        raise AssertionError(file)

    async def choices(self, class_type: str, input_name: str) -> Sequence[str]:
        raise AssertionError(class_type)

    async def default(self, class_type: str, input_name: str) -> Json:
        raise AssertionError(class_type)

    async def nodes(self) -> dict[str, Json]:
        raise AssertionError

    async def stats(self) -> Stats:
        raise AssertionError


def _id(item: Item) -> PromptId:
    return PromptId(item[1])


async def _at_once(content: bytes) -> AsyncIterator[bytes]:
    await anyio.lowlevel.checkpoint()
    yield content
