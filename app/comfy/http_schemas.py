"""The shapes of ComfyUI's HTTP answers, and their translation into the types of the ports.

The shapes are those of ComfyUI 0.3.64, as measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from app.comfy.json import decode
from app.comfy.outputs import scan
from app.core.jobs.results import first_line
from app.events import PromptId
from app.library_errors import short_message
from app.ports import History, Json, Queue, Stats

LONGEST_RUN = 86_400.0
"""Seconds. If a prompt seems to have run for longer, the server's clock was set meanwhile."""


class Item(Struct, array_like=True):
    """One prompt in /queue; the rest of the item (graph, extra data, outputs) is large and is skipped."""

    number: Json
    prompt_id: Json

    @property
    def order(self) -> float:
        """The sort key of the prompt; items without a number come last."""
        return self.number if isinstance(self.number, (int, float)) else math.inf


class QueueReply(Struct):
    """GET /queue. Pending prompts come in heap order, not in running order (measured, T19)."""

    queue_running: tuple[Item, ...]
    queue_pending: tuple[Item, ...]

    def read(self) -> Queue:
        """The ids, in the order in which they run. Items whose id is not text are left out: we never send such ids."""
        pending = sorted(self.queue_pending, key=lambda item: item.order)
        return Queue(_ids(self.queue_running), _ids(pending))


def _ids(items: Iterable[Item]) -> tuple[PromptId, ...]:
    return tuple(PromptId(item.prompt_id) for item in items if isinstance(item.prompt_id, str))


class _Message(Struct):
    """The fields that we read of any message; the tensors and tracebacks of an error are skipped."""

    nodes: tuple[str, ...] = ()
    executed: tuple[str, ...] | None = None
    node_id: str | None = None
    exception_message: str | None = None
    exception_type: str | None = None
    timestamp: Json = None
    """Milliseconds since 1970."""


class _Status(Struct):
    status_str: str | None = None
    messages: tuple[tuple[str, _Message], ...] | None = None


class HistoryReply(Struct):
    """One entry of GET /history/{id}; its prompt, the largest part, is skipped."""

    outputs: dict[str, Json] = {}
    status: _Status | None = None

    def read(self) -> History:
        """How the prompt ended: `status_str` and the last message decide, never the presence of outputs.

        An entry without a status (servers before `status` existed, and custom executors) still proves that the prompt
        ended, and nothing says that it failed, so it counts as a success. A success without outputs is normal
        (measured, T06_blocked), and the user is told so. Outputs are in the server's order.
        """
        outputs = tuple(scan(node, node_output) for node, node_output in self.outputs.items())
        status = self.status or _Status()
        messages = status.messages or ()
        cached = frozenset(node for kind, message in messages if kind == "execution_cached" for node in message.nodes)
        kind, last = messages[-1] if messages else ("", _Message())
        executed = None if last.executed is None else frozenset(last.executed)
        seconds = _seconds(messages)
        if kind == "execution_interrupted":
            return History(
                "interrupted",
                outputs,
                node=last.node_id or "",
                cached=cached,
                executed=executed,
                seconds=seconds,
            )
        if kind == "execution_error" or status.status_str == "error":
            return History(
                "failed",
                outputs,
                node=last.node_id or "",
                error=first_line(last.exception_message),
                error_kind=last.exception_type or "",
                cached=cached,
                executed=executed,
                seconds=seconds,
            )
        return History("success", outputs, cached=cached, seconds=seconds)


def _seconds(messages: Sequence[tuple[str, _Message]]) -> float | None:
    """How long a prompt ran by the server's clock; None if it does not say, or if that cannot be."""
    starts = [message.timestamp for kind, message in messages if kind == "execution_start"]
    match (starts[:1], messages[-1][1].timestamp if messages else None):
        case ([int() | float() as start], int() | float() as end) if 0 <= end - start <= 1000 * LONGEST_RUN:
            return (end - start) / 1000
        case _:
            return None


class _LooseHistory(Struct):
    """A history entry in which every field may have any type."""

    outputs: Json = None
    status: Json = None


_HISTORY = msgspec.json.Decoder(HistoryReply)
_LOOSE_HISTORY = msgspec.json.Decoder(_LooseHistory)


def history(entry: msgspec.Raw) -> History:
    """Read one entry of GET /history/{id}, whatever its shape: its existence proves that the prompt ended.

    Parts that cannot be read are left out, except the outputs: without them the outcome is "unreadable".
    """
    try:
        return decode(bytes(entry), _HISTORY).read()
    except msgspec.DecodeError:
        pass
    try:
        loose = decode(bytes(entry), _LOOSE_HISTORY)
    except msgspec.DecodeError:
        return UNREADABLE
    status = loose.status.get("status_str") if isinstance(loose.status, dict) else None
    if not isinstance(loose.outputs, dict):
        return UNREADABLE
    outputs = tuple(scan(node, node_output) for node, node_output in loose.outputs.items())
    if status == "error":
        return History("failed", outputs)
    return History("success", outputs)


UNREADABLE = History("unreadable")


class Problem(Struct):
    """One validation error of a node or of the whole prompt."""

    type: str = ""
    message: str = ""
    details: str = ""
    extra_info: dict[str, Json] = {}


class NodeProblems(Struct):
    """The validation errors of one node."""

    errors: tuple[Problem, ...] = ()
    class_type: str = ""
    dependent_outputs: tuple[str, ...] = ()


class Accepted(Struct):
    """The answer to an accepted POST /prompt; `node_errors` name outputs that will not run (measured, T05)."""

    prompt_id: str
    node_errors: dict[str, NodeProblems] = {}


class Rejected(Struct):
    """The answer to a refused POST /prompt. Some old servers send `error` as plain text."""

    error: Problem | str = ""
    node_errors: dict[str, NodeProblems] | list[Json] = {}


class Uploaded(Struct):
    """The answer to POST /upload/image. The name may differ from the one that was sent."""

    name: str
    subfolder: str = ""

    def value(self) -> str:
        """The value for the input of a LoadImage node."""
        return f"{self.subfolder}/{self.name}" if self.subfolder else self.name


class Cancelled(Struct):
    """The answer to POST /api/jobs/{id}/cancel (ComfyUI >= 0.26); false if there was nothing left to cancel."""

    cancelled: bool


class _Device(Struct):
    name: str = ""
    vram_total: int = 0
    vram_free: int = 0


class _System(Struct):
    comfyui_version: str


class StatsReply(Struct):
    """GET /system_stats."""

    system: _System
    devices: tuple[_Device, ...] = ()

    def read(self) -> Stats:
        """The part that is displayed."""
        return Stats(
            version=short_message(self.system.comfyui_version),
            devices=tuple(short_message(device.name) for device in self.devices),
            memory_total=_memory(device.vram_total for device in self.devices),
            memory_free=_memory(device.vram_free for device in self.devices),
        )


def _memory(sizes: Iterable[int]) -> int:
    """The sum of the sizes, in bytes, without negative ones and at most 2**60."""
    return min(sum(max(size, 0) for size in sizes), 2**60)


def listed(config: Json) -> list[Json]:
    """The values of a combo input: `[[...], {}]` (V1) or `["COMBO", {"options": [...]}]` (V3)."""
    match config:
        case [list() as values, *_]:
            return values
        case ["COMBO", {"options": list() as values}, *_]:
            return values
        case _:
            return []
