"""Executes one prompt, and sends its frames in ComfyUI's order (docs/protocol/comfyui.md, 2.4; T01 to T08)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from app.ports import Graph, Json
from app.simulator.engine.cache import Cache, Result, as_link
from app.simulator.engine.execution_order import Order
from app.simulator.engine.files import Forbidden
from app.simulator.engine.progress import Place, Progress
from app.simulator.engine.queue import SECRET_EXTRA, Item
from app.simulator.engine.status_messages import Outcome, StatusMessages
from app.simulator.http import binary_frames
from app.simulator.nodes import core
from app.simulator.nodes.context import Call, Expansion, Interrupted, NodeContext, NodeFailed
from app.simulator.nodes.types import Blocked, Value

BREAKAGE = (
    ArithmeticError,
    AttributeError,
    Forbidden,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What a node may raise for odd inputs (SyntaxError for a broken PNG): it fails the prompt, not the simulator."""


UNAUTHORIZED = "Unauthorized: Please login first to use this node."
"""What a paid node of 0.33 fails with if the prompt has no key (comfy_api_nodes/util/client.py)."""


class Execution:
    """Owns one prompt while it runs. `node` is the display id of the running node, which reconnecting clients get."""

    def __init__(
        self,
        item: Item,
        context: NodeContext,
        cache: Cache,
        clock: Callable[[], int],
        pause: Callable[[], Awaitable[None]],
    ) -> None:
        _, self._prompt, submitted, self._extra, self._outputs = item
        client = self._extra.get("client_id")
        self.client = client if isinstance(client, str) else None
        self.node: str | None = None
        self.interrupted = False
        self._submitted = submitted
        self._graph: Graph = dict(submitted)
        self._places = {node: Place(node, node) for node in submitted}
        self._context = context
        self._cache = cache
        self._pause = pause
        self._progress = Progress(self._prompt, self.client, context.sockets, throttled=context.version.modern)
        self._order = Order(self._graph.__getitem__, self._is_output, lambda node: cache.get(node) is not None)
        self._expanded: dict[str, Expansion] = {}
        self._executed: dict[str, None] = {}
        self._outcome = Outcome()
        self._account = StatusMessages(self._prompt, self.client, self._outcome, context.sockets, clock)

    async def run(self) -> Outcome:
        """Run the prompt. Sends everything from `execution_start` to the message about its outcome."""
        self._account.mark("execution_start", {})
        self._cache.start(self._submitted)
        cached: list[Json] = [node for node in self._submitted if self._cache.get(node) is not None]
        self._account.mark("execution_cached", {"nodes": cached})
        for node in self._outputs:
            self._order.add(node)
        while self._order:
            node = self._order.next()
            if node is None:
                # A cycle that validation did not find.
                self._account.failed(
                    self._about(next(iter(self._submitted))),
                    NodeFailed("graph.DependencyCycleError", "cycle"),
                    {},
                    [],
                )
                break
            await self._pause()
            call = self._call(node)
            try:
                if await self._execute(node, call):
                    self._order.done(node)
            except Interrupted:
                self._account.interrupted(self._about(node))
                break
            except NodeFailed as error:
                self._account.failed(self._about(node), error, call.inputs, list(self._submitted))
                break
        else:
            self._account.mark("execution_success", {})
        self.node = None
        self._collect()
        return self._outcome

    async def _execute(self, node: str, call: Call) -> bool:
        """Run one node; returns False if it expanded into nodes that must run first."""
        place = self._places[node]
        known = self._cache.get(node)
        if known is not None:
            # `executed` is sent again with the old files; null for a node that shows nothing (T08).
            self._account.say("executed", {**self._ids(place), "output": known.node_output})
        elif node in self._expanded:
            outputs = tuple(self._value(source, slot) for source, slot in self._expanded[node].outputs)
            self._cache.put(node, Result(outputs))
        else:
            self._progress.start(place)
            self.node = place.display
            self._account.say("executing", self._ids(place))
            result = await self._work(node, call)
            if isinstance(result, Expansion):
                self._expand(node, result)
                return False
            if result.node_output is not None:
                self._account.say("executed", {**self._ids(place), "output": result.node_output})
            self._cache.put(node, result)
        self._progress.finish(place)
        if known is None:
            self._executed[node] = None
        return True

    async def _work(self, node: str, call: Call) -> Result | Expansion:
        outputs = self._context.catalog.outputs(call.class_type)
        for value in call.inputs.values():
            if isinstance(value, Blocked):
                if value.message is not None:
                    self._account.blocked({**self._about(node), "node_id": node}, value.message)
                # Nodes further downstream are blocked without a message, which is sent only once.
                return Result((Blocked(None),) * max(1, len(outputs)))
        self._check()
        if self._context.catalog.is_paid(call.class_type) and not any(map(self._extra.get, SECRET_EXTRA)):
            raise NodeFailed("Exception", UNAUTHORIZED)
        try:
            return await core.find(call.class_type, outputs)(call)
        except BREAKAGE as error:
            kind = type(error)
            qualified = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
            raise NodeFailed(qualified, str(error)) from error

    def _call(self, node: str) -> Call:
        inputs = self._graph[node].get("inputs")
        given = inputs if isinstance(inputs, dict) else dict[str, Json]()
        values: dict[str, Value] = {}
        for name, value in given.items():
            link = as_link(value)
            values[name] = self._value(*link) if link else value
        for name, declared in self._context.catalog.inputs_of(str(self._graph[node]["class_type"]), given).items():
            if name not in values and "default" in declared.options:
                values[name] = declared.options["default"]

        async def step(value: int, maximum: int, image: bytes | None = None, form: int = binary_frames.JPEG) -> None:
            await self._pause()
            self._check()
            self._progress.step(self._places[node], value, maximum, image, form)

        return Call(
            node,
            str(self._graph[node]["class_type"]),
            values,
            self._graph,
            self._extra,
            self.client,
            self._context,
            step,
        )

    def _value(self, node: str, slot: int) -> Value:
        result = self._cache.get(node)
        return result.outputs[slot] if result is not None and slot < len(result.outputs) else None

    def _expand(self, node: str, expansion: Expansion) -> None:
        self._expanded[node] = expansion
        display = self._places[node].display
        for fresh, entry in expansion.graph.items():
            self._graph[fresh] = entry
            self._places[fresh] = Place(fresh, display, node, node)
            if self._is_output(fresh):
                self._order.add(fresh)
        for source, _ in expansion.outputs:
            self._order.hold(node, source)

    def _check(self) -> None:
        if self.interrupted:
            raise Interrupted

    def _is_output(self, node: str) -> bool:
        return self._context.catalog.is_output(str(self._graph[node]["class_type"]))

    def _ids(self, place: Place) -> dict[str, Json]:
        return {"node": place.node, "display_node": place.display, "prompt_id": self._prompt}

    def _about(self, node: str) -> dict[str, Json]:
        """Return the data that identifies a failed node; for a node from an expansion, the submitted node."""
        real = self._places[node].real or node
        class_type = self._graph[real]["class_type"]
        return {"node_id": real, "node_type": class_type, "executed": list[Json](self._executed)}

    def _collect(self) -> None:
        """Collect what nodes showed: in order of execution, then that of cached nodes."""
        for node in dict.fromkeys([*self._executed, *self._outputs]):
            result = self._cache.get(node)
            if result is not None and result.node_output is not None:
                place = self._places[node]
                self._outcome.outputs[node] = result.node_output
                self._outcome.meta[node] = {
                    "node_id": place.node,
                    "display_node": place.display,
                    "parent_node": place.parent,
                    "real_node_id": place.real or place.node,
                }
