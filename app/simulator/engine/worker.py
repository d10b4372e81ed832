"""The worker: runs the queued prompts one after the other, and reports how each ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from uuid import UUID

import anyio
from msgspec import Struct

from app.ports import Graph, Json
from app.simulator.engine.cache import Cache
from app.simulator.engine.execution import Execution
from app.simulator.engine.queue import SECRET_EXTRA, Item, Prompts
from app.simulator.engine.status_messages import Outcome
from app.simulator.engine.validation import Validation, Verdict, reason
from app.simulator.faults import Faults
from app.simulator.nodes.context import NodeContext

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CANONICAL_FORM = (
    "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the server generate one"
)
"""What the server says of another form (0.33, T05)."""


class Answer(Struct, frozen=True):
    """The response to POST /prompt; a body of None stands for ComfyUI's text for status 500."""

    status: int
    body: dict[str, Json] | None


class Worker:
    """Owns the queue, the running prompt and the cache.

    `clock` returns milliseconds since 1970, for timestamps only; `ended` is called with the id of each prompt when its
    end is reported.
    """

    def __init__(
        self,
        context: NodeContext,
        faults: Faults,
        *,
        clock: Callable[[], int],
        ended: Callable[[str], None],
    ) -> None:
        self._context = context
        self._faults = faults
        self._clock = clock
        self._ended = ended
        self._cache = Cache(context.catalog, context.files)
        self._execution: Execution | None = None
        self._life: anyio.CancelScope | None = None
        self.prompts = Prompts(self._tell_status)

    @property
    def status(self) -> dict[str, Json]:
        """The response to GET /prompt, which is also the content of `status`."""
        return {"exec_info": {"queue_remaining": self.prompts.remaining}}

    async def run(self) -> None:
        """Execute prompts one after the other until cancelled; `die` cancels only the present prompt."""
        while True:
            with anyio.CancelScope() as life:
                self._life = life
                while True:
                    await self._work(await self.prompts.take())

    def submit(self, body: Mapping[str, Json]) -> Answer:
        """Handle POST /prompt."""
        try:
            number = self.prompts.number(body.get("number"), front=bool(body.get("front")))
        except (TypeError, ValueError):
            return Answer(500, None)
        prompt = body.get("prompt")
        if "prompt" not in body:
            words = "No prompt provided"
            return _refused(Verdict(reason("no_prompt", words, words)))
        version, requested_id = self._context.version, body.get("prompt_id")
        if version.modern and requested_id is not None and not is_canonical(requested_id):
            return _refused(Verdict(reason("invalid_prompt_id", "prompt_id must be a valid UUID", _CANONICAL_FORM)))
        prompt_id = (
            str(UUID(int=self._context.rng.getrandbits(128), version=4)) if requested_id is None else str(requested_id)
        )
        graph: Graph = {}
        for node, entry in prompt.items() if isinstance(prompt, dict) else ():
            if not isinstance(entry, dict):
                # A workflow in the editor's format: ComfyUI fails on some of its entries (T05).
                if isinstance(entry, (str, list)):
                    entry = dict[str, Json]()
                else:
                    return Answer(500, None)
            graph[node] = entry
        targets = body.get("partial_execution_targets")
        known = Validation(self._context.catalog, graph, self._exists, modern=version.modern)
        verdict = known.verdict([str(target) for target in targets] if isinstance(targets, list) else None)
        if verdict.error is not None:
            return _refused(verdict)
        extra_data = body.get("extra_data")
        extra: dict[str, Json] = dict(extra_data) if isinstance(extra_data, dict) else {}
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        if version.modern:
            extra["create_time"] = self._clock()
        try:
            self.prompts.put((number, prompt_id, graph, extra, verdict.outputs))
        except TypeError:
            return Answer(500, None)
        return Answer(200, {"prompt_id": prompt_id, "number": number, "node_errors": verdict.node_errors})

    def interrupt(self, prompt: str | None) -> bool:
        """Handle POST /interrupt: interrupt the running prompt, if it is `prompt` or that is None.

        Returns whether a prompt was interrupted.
        """
        running = self.prompts.running
        if self._execution is None or running is None or (prompt is not None and running[1] != prompt):
            return False
        self._execution.interrupted = True
        # A node that is held could not notice the interruption.
        self._faults.hold(lifted=True)
        return True

    def cancel(self, prompt: str) -> bool:
        """Handle POST /api/jobs/{id}/cancel of newer versions: cancel a pending or running prompt in one step."""
        return self.prompts.delete(prompt) or self.interrupt(prompt)

    def executing(self, client: str) -> str | None:
        """Return the running node for a reconnecting client; None if none of its prompts is running."""
        at_work = self._execution
        return at_work.node if at_work is not None and at_work.client == client else None

    def free(self) -> None:
        """Handle POST /free with free_memory: drop the cache."""
        self._cache.clear()

    def die(self) -> None:
        """Drop the running prompt, the cache, the queue and the history, as a restart does."""
        if self._life is not None:
            self._life.cancel()
        self._execution = None
        self._cache.clear()
        self.prompts.forget()

    async def _work(self, item: Item) -> None:
        execution = self._execution = Execution(item, self._context, self._cache, self._clock, self._pause)
        outcome = await execution.run()
        await anyio.sleep(self._faults.history_gap)
        self._execution = None
        self.prompts.finish(_entry(item, outcome))
        self._ended(item[1])
        if execution.client is not None:
            ended: dict[str, Json] = {"node": None, "prompt_id": item[1]}
            self._context.sockets.say("executing", ended, execution.client)

    async def _pause(self) -> None:
        """Wait while the worker is held; called before each node and step, also to let other tasks run."""
        await self._faults.held()

    def _tell_status(self) -> None:
        self._context.sockets.say("status", {"status": self.status}, None)

    def _exists(self, value: str) -> bool:
        return self._context.files.annotated(value) is not None


def is_canonical(prompt_id: Json) -> bool:
    """Return whether a prompt id has the form that newer versions demand."""
    return isinstance(prompt_id, str) and _CANONICAL.fullmatch(prompt_id) is not None


def _refused(verdict: Verdict) -> Answer:
    return Answer(400, {"error": verdict.error, "node_errors": verdict.node_errors})


def _entry(item: Item, outcome: Outcome) -> Json:
    return {
        "prompt": item_json(item),
        "outputs": outcome.outputs,
        "status": {
            "status_str": "success" if outcome.success else "error",
            "completed": outcome.success,
            "messages": outcome.messages,
        },
        "meta": outcome.meta,
    }


def item_json(item: Item, *, with_secrets: bool = False) -> Json:
    """Return the five fields of a prompt, as in /history and in /queue, where older versions show secrets."""
    number, prompt_id, graph, extra, outputs = item
    shown = {name: value for name, value in extra.items() if with_secrets or name not in SECRET_EXTRA}
    return [number, prompt_id, dict[str, Json](graph), shown, list[Json](outputs)]
