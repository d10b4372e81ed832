"""A ComfyUI in memory, at the port `Comfy`: the simulator's own verbs, without HTTP between them and us.

What HTTP itself can do wrong is tested where HTTP is (`tests/comfy/`, `tests/test_flow.py`, `tests/process/`), but for
malformed answers, which come at any verb (`malformed.py`).
"""

from __future__ import annotations

import copy
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

import anyio
import anyio.lowlevel
import msgspec
from msgspec import Raw
from msgspec.structs import replace

from app.comfy.client import ANSWER_TIMEOUT, ComfyClient
from app.comfy.download import save
from app.comfy.http_schemas import HistoryReply
from app.comfy.response_limits import ANSWER_SECONDS
from app.comfy.validation_errors import unusable, validation_error
from app.events import FileRef, NodeOutput, PromptId
from app.ports import Graph, History, Json, Queue, Refused, RunSync, Stats, Ticket
from app.reasons.servers import ResultGone, ServerError
from app.simulator.engine.queue import Item
from tests.simulation.malformed import Malformed
from tests.simulation.network import Network
from tests.simulation.plan import Kind, Moment
from tests.simulation.recorder import Recorder

T = TypeVar("T")
Item_ = TypeVar("Item_")


class MemoryComfy:
    """See `app.ports.Comfy`. The witness hears of each prompt that the server takes, and drops."""

    def __init__(
        self, network: Network, client_id: str, run_sync: RunSync, recorder: Recorder, rng: random.Random
    ) -> None:
        self._network = network
        self._simulator = network.simulator
        self._client_id = client_id
        self._run_sync = run_sync
        self._recorder = recorder
        self._rng = rng
        self._malformed = Malformed(network.name, client_id, run_sync, rng)

    async def _ask(
        self,
        moment: Moment,
        where: str,
        act: Callable[[], T],
        wrong: Callable[[ComfyClient], Awaitable[T]],
        *,
        large: bool = False,
    ) -> T:
        if self._network.malformed:
            self._take_malformed()
            await self._network.pass_through(moment, where)
            return await wrong(self._malformed.comfy)
        return await self._network.ask(moment, where, act, large=large)

    def _take_malformed(self) -> None:
        """One more answer is malformed, and may take as long as any answer may."""
        self._network.malformed -= 1
        now = anyio.current_time()
        self._recorder.ill.append((now, now + ANSWER_SECONDS + ANSWER_TIMEOUT))

    async def submit(self, prompt: PromptId, graph: Graph, *, paid: bool = False) -> Ticket:
        act = self._breaking("break_post", prompt, partial(self._submit, prompt, graph))
        ticket = await self._ask("post", "POST /prompt", act, lambda comfy: comfy.submit(prompt, graph, paid=paid))
        if self._broken("break_ticket", prompt):
            return replace(ticket, dropped=Unreadable[str]())
        return ticket

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
            encoded = msgspec.json.encode(answer)
            raise Refused(validation_error(encoded, graph), unusable=unusable(encoded))
        assert status == 200, answer
        self._recorder.took(self._network, prompt, graph)
        return Ticket(prompt)

    async def queue(self) -> Queue:
        act = self._queue
        if self._network.broken_looks:
            self._network.broken_looks -= 1
            act = partial(fail, self._rng)
        return await self._ask("look", "GET /queue", act, ComfyClient.queue)

    def _queue(self) -> Queue:
        running = self._simulator.running
        pending = sorted(self._simulator.pending, key=lambda item: item[0])
        return Queue((_id(running),) if running else (), tuple(map(_id, pending)))

    async def history(self, prompt: PromptId) -> History | None:
        if prompt in self._network.unread:
            return await self._network.ask("history", "GET /history/…", unreadable)
        act = self._breaking("break_history", prompt, partial(self._entry, prompt))
        entry = await self._ask("history", "GET /history/…", act, lambda comfy: comfy.history(prompt))
        if entry is not None and self._broken("break_entry", prompt):
            return replace(entry, outputs=Unreadable[NodeOutput]())
        return entry

    def _entry(self, prompt: str) -> History | None:
        entry = self._simulator.history.get(prompt)
        return None if entry is None else msgspec.convert(entry, HistoryReply).read()

    async def newest(self, count: int) -> Mapping[PromptId, History]:
        return await self._ask(
            "history", "GET /history", lambda: self._newest(count), lambda comfy: comfy.newest(count)
        )

    def _newest(self, count: int) -> Mapping[PromptId, History]:
        if self._network.unread:
            return unreadable()
        listed = self._simulator.worker.prompts.listed(count, -1)
        return {PromptId(prompt): entry for prompt in listed if (entry := self._entry(prompt)) is not None}

    async def cancel(self, prompt: PromptId) -> None:
        if self._broken("break_withdraw", prompt):
            fail(self._rng)
        worker = self._simulator.worker
        if self._simulator.version.modern:
            await self._cancel("POST /api/jobs/…/cancel", prompt, worker.cancel)
            return
        await self._cancel("POST /queue", prompt, worker.prompts.delete)
        await self._cancel("POST /interrupt", prompt, worker.interrupt)

    async def _cancel(self, where: str, prompt: PromptId, drop: Callable[[str], bool]) -> None:
        def act() -> None:
            if drop(prompt):
                self._recorder.withdrew(prompt)

        await self._ask("withdraw", where, act, lambda comfy: comfy.cancel(prompt))

    async def fetch(self, file: FileRef, to: Path) -> None:
        self._recorder.fetched[str(to)] += 1
        if self._recorder.breaks_file("break_fetch", to):
            fail(self._rng)
        if self._network.malformed:
            self._take_malformed()
            await self._network.pass_through("view", "GET /view")
            await self._malformed.comfy.fetch(file, to)
            return
        large = file.filename.startswith("large")
        content = await self._network.ask("view", "GET /view", lambda: self._content(file), large=large)
        cut = anyio.current_time() < self._network.cut_short_until
        arrives = content[: len(content) // 2] if cut else content
        await save(_at_once(arrives), to, self._run_sync, expected=len(content))

    def _content(self, file: FileRef) -> bytes:
        if (path := self._simulator.files.view(file.filename, file.subfolder, file.type)) is None:
            raise Refused(ResultGone(file.filename))
        return path.read_bytes()

    async def upload(self, file: Path, name: str) -> str:
        def act() -> str:
            content = file.read_bytes()
            return self._simulator.files.upload(content, name, "", "input", overwrite=False).name

        return await self._ask("post", "POST /upload/image", act, lambda comfy: comfy.upload(file, name))

    async def node(self, class_type: str) -> Raw | None:
        raise AssertionError(class_type)

    async def nodes(self) -> Mapping[str, Raw]:
        raise AssertionError

    async def replacements(self) -> Mapping[str, Raw]:
        raise AssertionError

    async def stats(self) -> Stats:
        raise AssertionError

    def _broken(self, kind: Kind, prompt: PromptId) -> bool:
        return self._recorder.breaks_prompt(kind, prompt)

    def _breaking(self, kind: Kind, prompt: PromptId, act: Callable[[], T]) -> Callable[[], T]:
        """What is done at the server; for a job with this fault it raises instead, before or after it was done."""
        if not self._broken(kind, prompt):
            return act

        def breaking() -> T:
            if self._rng.random() < 0.5:
                act()
            return fail(self._rng)

        return breaking


class Unreadable(tuple[Item_, ...]):
    """A part of an answer that raises when it is read."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Item_]:
        raise RuntimeError("an answer cannot be read")


def fail(rng: random.Random) -> T:  # pyright: ignore[reportInvalidTypeVarUse]
    """Raise what no port may raise."""
    raise rng.choice(
        (
            KeyError("prompt"),
            RuntimeError("dictionary changed size during iteration"),
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        )
    )


def unreadable() -> NoReturn:
    """A history that its server cannot read."""
    raise Refused(ServerError(500), certain=False)


def _id(item: Item) -> PromptId:
    return PromptId(item[1])


async def _at_once(content: bytes) -> AsyncIterator[bytes]:
    await anyio.lowlevel.checkpoint()
    yield content
