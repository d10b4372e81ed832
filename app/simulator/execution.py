"""One run of one prompt: the nodes in order, and the frames in the measured order (COMFYUI.md 2.4)."""

from __future__ import annotations

from functools import partial

import anyio

from app.ports import Json
from app.simulator import painter
from app.simulator.canvas import Canvas, Value, canvas_of, text
from app.simulator.nodes import NodeError, evaluate, steps_of
from app.simulator.order import run_order, signature
from app.simulator.prompts import Outcome, Prompt
from app.simulator.results import show
from app.simulator.server import World
from app.simulator.sockets import Preview


class Interrupted(Exception):
    """Somebody interrupted the run."""


class Execution:
    """One run; `run` says how it ended."""

    def __init__(self, prompt: Prompt, world: World) -> None:
        self.node = ""
        """What runs now: re-sent to its client after a reconnect."""
        self.client_id = prompt.client_id
        self._prompt = prompt
        self._world = world
        self._values: dict[str, Value] = {}
        self._states: dict[str, Json] = {}
        self._executed: list[str] = []
        self._blocked: dict[str, str] = {}
        self._outcome = Outcome()

    async def run(self) -> Outcome:
        """Run all nodes, and say what happens meanwhile."""
        graph, cache = self._prompt.graph, self._world.cache
        signatures = {node: signature(graph, node) for node in graph}
        cached = {node for node, sign in signatures.items() if sign in cache.values}
        self._values = {node: cache.values[signatures[node]] for node in cached}
        self._mark("execution_start", {})
        self._mark("execution_cached", {"nodes": [node for node in graph if node in cached]})
        node = ""
        try:
            for node in run_order(graph, self._prompt.outputs, cached.__contains__):
                if node in cached:
                    self._show_again(node, cache.shown.get(signatures[node]))
                    continue
                shown = await self._node(node)
                if node not in self._blocked and graph[node]["class_type"] != "SaveImageWebsocket":
                    cache.values[signatures[node]] = self._values[node]
                    if shown is not None:
                        cache.shown[signatures[node]] = shown
        except Interrupted:
            self._end(node, "execution_interrupted", {})
        except NodeError as error:
            told: dict[str, Json] = {
                "exception_message": f"{error}\n",
                "exception_type": error.kind,
                "traceback": [],
                "current_inputs": {},
                "current_outputs": list[Json](self._executed),
            }
            self._end(node, "execution_error", told)
        else:
            self._mark("execution_success", {})
        return self._outcome

    async def _node(self, node: str) -> dict[str, Json] | None:
        await self._world.gate()
        self.node = node
        kind = str(self._prompt.graph[node]["class_type"])
        self._state(node, 0.0, 1.0, "running")
        self._say("executing", {"node": node, "display_node": node})
        inputs = self._inputs(node)
        block = self._block(node)
        shown: dict[str, Json] | None = None
        steps = 0
        if block is not None:
            self._blocked[node] = block
            self._values[node] = None
            if self._world.validator.is_output(kind) and block:
                self._say_blocked(node, kind, block)
        else:
            sizes = await self._sizes(kind, inputs)
            steps = steps_of(kind, inputs, self._world.steps)
            value = evaluate(kind, {**inputs, "steps": steps} if steps else inputs, sizes)
            self._values[node] = f"{value}{self._world.salt}" if kind == "CheckpointLoaderSimple" else value
            if kind == "BotTestBlock":
                self._blocked[node] = text(inputs, "message")
            await self._steps(node, kind, inputs, steps)
            shown = await show(kind, inputs, self._prompt, self._world, node, partial(self._sent, node))
            if kind == "SaveImageWebsocket":
                steps = canvas_of(inputs).count
        if shown is not None:
            self._outcome.outputs[node] = shown
            self._say("executed", {"node": node, "display_node": node, "output": shown})
        self._state(node, steps or 1.0, steps or 1.0, "finished")
        self._executed.insert(0, node)
        return shown

    async def _steps(self, node: str, kind: str, inputs: dict[str, Value], steps: int) -> None:
        seconds = inputs.get("seconds") if kind == "BotTestSleep" else None
        pause = float(seconds) if isinstance(seconds, (int, float)) else self._world.step_time
        picture = None
        canvas = self._values[node]
        if steps and self._world.previews and isinstance(canvas, Canvas):
            picture = await self._world.run_sync(painter.paint, canvas, 0, self._world.files.open_input)
        for step in range(1, steps + 1):
            await anyio.sleep(pause)
            await self._world.gate()
            self._state(node, step, steps, "running")
            image = None
            if picture is not None:
                image = await self._world.run_sync(painter.preview, picture, step / steps)
            told: dict[str, Json] = {"value": step, "max": steps, "node": node}
            # With metadata the picture comes before its step, without it after (measured, T02).
            if image is not None:
                self._world.sockets.show(Preview(self._metadata(node), image), self._prompt.client_id, legacy=False)
            self._say("progress", told, everybody=True)
            if image is not None:
                self._world.sockets.show(Preview(self._metadata(node), image), self._prompt.client_id, legacy=True)

    def _sent(self, node: str, index: int, count: int) -> None:
        self._state(node, index, count, "running")
        self._say("progress", {"value": index, "max": count, "node": node}, everybody=True)

    async def _sizes(self, kind: str, inputs: dict[str, Value]) -> dict[str, tuple[int, int]]:
        if not kind.startswith("LoadImage"):
            return {}
        name = text(inputs, "image")
        try:
            picture = await self._world.run_sync(self._world.files.open_input, name)
        except OSError as error:
            raise NodeError("PIL.UnidentifiedImageError", "cannot identify image file") from error
        return {name: picture.size}

    def _inputs(self, node: str) -> dict[str, Value]:
        inputs = self._prompt.graph[node].get("inputs")
        found: dict[str, Value] = {}
        for name, value in inputs.items() if isinstance(inputs, dict) else ():
            match value:
                case [str() as source, int()] if source in self._prompt.graph:
                    found[name] = self._values.get(source)
                case _:
                    found[name] = value
        return found

    def _block(self, node: str) -> str | None:
        inputs = self._prompt.graph[node].get("inputs")
        for value in inputs.values() if isinstance(inputs, dict) else ():
            match value:
                case [str() as source, int()] if source in self._blocked:
                    return self._blocked[source]
                case _:
                    continue
        return None

    def _show_again(self, node: str, shown: dict[str, Json] | None) -> None:
        """A cached output shows its old files once more (measured, T08)."""
        if shown is not None:
            self._outcome.outputs[node] = shown
        self._say("executed", {"node": node, "display_node": node, "output": shown})
        self._state(node, 1, 1, "finished")

    def _metadata(self, node: str) -> dict[str, Json]:
        ids: dict[str, Json] = {"node_id": node, "prompt_id": self._prompt.prompt_id}
        return {**ids, "display_node_id": node, "parent_node_id": None, "real_node_id": node}

    def _state(self, node: str, value: float, maximum: float, state: str) -> None:
        told: dict[str, Json] = {"value": value, "max": maximum, "state": state}
        self._states[node] = {**told, **self._metadata(node)}
        self._say("progress_state", {"nodes": dict(self._states)}, everybody=True)

    def _mark(self, kind: str, data: dict[str, Json]) -> None:
        told: dict[str, Json] = {
            **data,
            "prompt_id": self._prompt.prompt_id,
            "timestamp": self._world.clock(),
        }
        self._outcome.messages.append([kind, told])
        self._say(kind, told)

    def _end(self, node: str, kind: str, data: dict[str, Json]) -> None:
        self._outcome.status = "error"
        about: dict[str, Json] = {
            "node_id": node,
            "node_type": self._prompt.graph[node]["class_type"],
            "executed": list[Json](self._executed),
        }
        self._mark(kind, {**about, **data})

    def _say_blocked(self, node: str, kind: str, message: str) -> None:
        about: dict[str, Json] = {
            "node_id": node,
            "node_type": kind,
            "executed": list[Json](self._executed),
            "exception_message": f"Execution Blocked: {message}",
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        }
        self._say("execution_error", about)

    def _say(self, kind: str, data: dict[str, Json], *, everybody: bool = False) -> None:
        """`everybody`: without a client of its own, this kind goes to all (measured, T22)."""
        if self._prompt.client_id is not None or everybody:
            self._world.sockets.say(kind, {**data, "prompt_id": self._prompt.prompt_id}, self._prompt.client_id)
