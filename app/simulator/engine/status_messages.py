"""The messages about a prompt as a whole, also stored in its history (docs/protocol/comfyui.md, 2.3 and 2.5)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, field

from app.ports import Json
from app.simulator.engine.clients import Sockets
from app.simulator.nodes.context import NodeFailed
from app.simulator.nodes.test_nodes import OUT_OF_MEMORY
from app.simulator.nodes.types import Value


class Outcome(Struct):
    """The contents of a history entry, except for the prompt itself."""

    success: bool = True
    messages: list[Json] = field(default_factory=list[Json])
    outputs: dict[str, Json] = field(default_factory=dict[str, Json])
    meta: dict[str, Json] = field(default_factory=dict[str, Json])


class StatusMessages:
    """Sends the messages about one prompt, and records them in its `Outcome`."""

    def __init__(
        self, prompt: str, client: str | None, outcome: Outcome, sockets: Sockets, clock: Callable[[], int]
    ) -> None:
        self._prompt = prompt
        self._client = client
        self._outcome = outcome
        self._sockets = sockets
        self._clock = clock

    def mark(self, kind: str, data: dict[str, Json], *, broadcast: bool = False) -> None:
        """Send a message and record it for the history; without a client, send it only with `broadcast` (T22)."""
        message: dict[str, Json] = {"prompt_id": self._prompt, **data, "timestamp": self._clock()}
        self._outcome.messages.append([kind, message])
        if self._client is not None or broadcast:
            self._sockets.say(kind, message, self._client)

    def say(self, kind: str, data: dict[str, Json]) -> None:
        """Send a message to the prompt's client, if it has one."""
        if self._client is not None:
            self._sockets.say(kind, data, self._client)

    def interrupted(self, about: dict[str, Json]) -> None:
        """Report that the prompt was interrupted: the only recorded message that goes to all if there is no client."""
        self._outcome.success = False
        self.mark("execution_interrupted", about, broadcast=True)

    def failed(self, about: dict[str, Json], error: NodeFailed, inputs: dict[str, Value], nodes: list[str]) -> None:
        """Report that a node failed."""
        self._outcome.success = False
        tail = OUT_OF_MEMORY if error.kind == "torch.OutOfMemoryError" else ""
        dumped_inputs: dict[str, Json] = {name: [_dump(value)] for name, value in inputs.items()}
        data: dict[str, Json] = {
            "exception_message": f"{error}\n{tail}",
            "exception_type": error.kind,
            "traceback": ['  File "/comfyui/execution.py", in execute\n'],
            "current_inputs": dumped_inputs,
            "current_outputs": list[Json](nodes),
        }
        self.mark("execution_error", {**about, **data})

    def blocked(self, about: dict[str, Json], message: str) -> None:
        """Report a blocked node: an `execution_error` without timestamp, not in the history; the run goes on (T06)."""
        data: dict[str, Json] = {
            "exception_message": f"Execution Blocked: {message}",
            "exception_type": "ExecutionBlocked",
            "traceback": [],
            "current_inputs": [],
            "current_outputs": [],
        }
        self._sockets.say("execution_error", {"prompt_id": self._prompt, **about, **data}, self._client)


def _dump(value: Value) -> str:
    """Format an input's value; a real server puts tensors here, which clients should not show to people."""
    if value is None or isinstance(value, (str, int, float)):
        return str(value)
    return f"<{type(value).__name__}>"
