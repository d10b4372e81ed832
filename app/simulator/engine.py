"""The engine of the embedded ComfyUI: a queue, one worker, a history; no HTTP, no wall clock."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.abc import TaskStatus

from app.ports import ConnectionLost, Graph, Json, RunSync
from app.simulator.catalog import Catalog
from app.simulator.execution import Execution, Interrupted
from app.simulator.faults import Faults
from app.simulator.files import Files
from app.simulator.prompts import Prompt
from app.simulator.server import Cache, World
from app.simulator.sockets import Socket, Sockets, text
from app.simulator.validation import Validator, reason

VERSION = "0.3.64"
"""The ComfyUI whose behaviour was measured."""


def _no_clock() -> int:
    return 0


class Simulator:
    """An embedded ComfyUI. `run` is its whole life; everything else may be called while it runs.

    `steps` overrides every sampler's own; `step_time` is in seconds; another `seed`
    paints otherwise; `history_gap` is the seconds between
    `execution_success` and the history (seen up to 0.27 s, T14); `clock` tells milliseconds for timestamps.
    """

    def __init__(
        self,
        folder: Path,
        *,
        steps: int | None = None,
        step_time: float = 0.05,
        previews: bool = False,
        seed: int = 0,
        any_node: bool = False,
        modern: bool = False,
        history_gap: float = 0.02,
        run_sync: RunSync = to_thread.run_sync,
        clock: Callable[[], int] = _no_clock,
    ) -> None:
        self.files = Files(folder)
        self.catalog = Catalog()
        self.sockets = Sockets()
        self.faults = Faults(self)
        self.modern = modern
        self.run_sync = run_sync
        self.history: dict[str, Json] = {}
        self.running: Prompt | None = None
        self.pending: list[Prompt] = []
        self.ended_at: dict[str, float] = {}
        """When each prompt's end was said, in the loop's clock: what the benchmark measures from."""
        self._history_gap = history_gap
        self._number = 0
        self._interrupt = False
        self._work = anyio.Event()
        self._life: anyio.CancelScope | None = None
        self._execution: Execution | None = None
        self._validator = Validator(
            self.catalog,
            any_node=any_node,
            has_input_file=lambda name: self.files.find_input(name) is not None,
        )
        self._world = World(
            self.files,
            self.sockets,
            self._validator,
            Cache(),
            steps,
            step_time,
            previews,
            f"#{seed}" if seed else "",
            run_sync,
            clock,
            self._gate,
        )

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Live. A restart ends the worker's life, and begins another."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.sockets.publish, name="simulator publishes")
            task_status.started()
            while True:
                with anyio.CancelScope() as life:
                    self._life = life
                    await self._worker()

    def connect(self, client_id: str) -> AbstractAsyncContextManager[Socket]:
        """Open a websocket in memory, or for a real one to be pumped into. Raises `ConnectionLost`."""
        if self.faults.down or self.faults.refusing_sockets:
            raise ConnectionLost("the simulator refused the connection")
        status: dict[str, Json] = {"status": self.exec_info(), "sid": client_id}
        greetings = [text("status", status)]
        if self._execution is not None and self._execution.node and self._execution.client_id == client_id:
            # Without prompt_id and display_node (measured, T09).
            greetings.append(text("executing", {"node": self._execution.node}))
        return self.sockets.connect(client_id, *greetings)

    def exec_info(self) -> Json:
        """What GET /prompt and `status` say."""
        return {"exec_info": {"queue_remaining": len(self.pending) + (self.running is not None)}}

    def submit(self, body: dict[str, Json]) -> tuple[int, Json]:
        """POST /prompt: the status code and the answer. Raises `TypeError` where ComfyUI answers 500."""
        number = float(str(body["number"])) if "number" in body else float(self._number)
        if "number" not in body and body.get("front"):
            number = -number
        self._number += 1
        graph = body.get("prompt")
        if graph is None:
            return 400, {
                "error": reason("no_prompt", "No prompt provided", "No prompt provided"),
                "node_errors": {},
            }
        prompt_id = str(body.get("prompt_id") or uuid.uuid4())
        if self.modern and not _is_uuid(prompt_id):
            return 400, {"error": reason("invalid_prompt_id", "prompt_id must be a UUID"), "node_errors": {}}
        nodes = _graph(graph)
        verdict = self._validator.check(nodes)
        if verdict.error is not None:
            return 400, {"error": verdict.error, "node_errors": verdict.node_errors}
        extra = body.get("extra_data")
        extra_data: dict[str, Json] = dict(extra) if isinstance(extra, dict) else {}
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        prompt = Prompt(number=number, prompt_id=prompt_id, graph=nodes, extra_data=extra_data, outputs=verdict.outputs)
        self.pending.append(prompt)
        self._work.set()
        self.say_status()
        whole: Json = int(number) if number.is_integer() else number
        return 200, {"prompt_id": prompt_id, "number": whole, "node_errors": verdict.node_errors}

    def delete(self, ids: set[str]) -> None:
        """Take prompts out of the queue; a running or unknown one is left alone, silently."""
        self.pending = [prompt for prompt in self.pending if prompt.prompt_id not in ids]
        self.say_status()

    def clear(self) -> None:
        """Take everybody's prompts out of the queue."""
        self.delete({prompt.prompt_id for prompt in self.pending})

    def interrupt(self, prompt_id: str | None = None) -> bool:
        """Interrupt what runs, if it is this prompt; whether it was."""
        if self.running is None or prompt_id not in {None, self.running.prompt_id}:
            return False
        self._interrupt = True
        self.faults.release()
        return True

    def forget(self) -> None:
        """What a restart loses: queue, running prompt, history, numbers, temp files, every socket (T18)."""
        self.pending.clear()
        self.history.clear()
        self.running, self._number, self._execution = None, 0, None
        self._world.cache = Cache()
        self.files.forget_temp()
        self.sockets.drop()
        if self._life is not None:
            self._life.cancel()

    def say_status(self) -> None:
        """Tell everybody how long the queue is."""
        self.sockets.say("status", {"status": self.exec_info()}, None)

    async def _worker(self) -> None:
        while True:
            while not self.pending:
                self._work = anyio.Event()
                await self._work.wait()
            prompt = min(self.pending, key=lambda prompt: prompt.number)
            self.pending.remove(prompt)
            self.running, self._interrupt = prompt, False
            self.say_status()
            self._execution = Execution(prompt, self._world)
            outcome = await self._execution.run()
            await anyio.sleep(self._history_gap)
            status: dict[str, Json] = {
                "status_str": outcome.status,
                "completed": outcome.status == "success",
                "messages": outcome.messages,
            }
            self.history[prompt.prompt_id] = {
                "prompt": prompt.item(),
                "outputs": outcome.outputs,
                "status": status,
                "meta": {node: _meta(node) for node in outcome.outputs},
            }
            self.running = self._execution = None
            self.say_status()
            self.ended_at[prompt.prompt_id] = anyio.current_time()
            if prompt.client_id is not None:
                self.sockets.say("executing", {"node": None, "prompt_id": prompt.prompt_id}, prompt.client_id)

    async def _gate(self) -> None:
        await self.faults.held()
        if self._interrupt:
            raise Interrupted


def _meta(node: str) -> Json:
    return {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}


def _is_uuid(value: str) -> bool:
    try:
        return str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _graph(prompt: Json) -> Graph:
    if not isinstance(prompt, dict):
        raise TypeError(prompt)
    graph: Graph = {}
    for node, entry in prompt.items():
        if not isinstance(entry, dict):
            raise TypeError(entry)
        graph[node] = entry
    return graph
