"""What ComfyUI's HTTP answers say, in our words. The shapes are those of ComfyUI 0.3.64, as measured."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from app.comfy.errors import shortened
from app.comfy.json import decode, decode_shallow
from app.comfy.outputs import scan
from app.core.results import first_line
from app.events import PromptId
from app.ports import History, Json, Queue, Stats


class Item(Struct, array_like=True):
    """One prompt in /queue; the rest of it (graph, extra data, outputs) is large, and skipped."""

    number: Json
    prompt_id: Json

    @property
    def order(self) -> float:
        """Where it stands; behind all others if it does not say."""
        return self.number if isinstance(self.number, (int, float)) else math.inf


class QueueReply(Struct):
    """GET /queue. Pending prompts come in heap order (measured, T19)."""

    queue_running: tuple[Item, ...]
    queue_pending: tuple[Item, ...]

    def read(self) -> Queue:
        """The ids, in the order in which they run. An item whose id is no text is nobody's who asks with one."""
        pending = sorted(self.queue_pending, key=lambda item: item.order)
        return Queue(_ids(self.queue_running), _ids(pending))


def _ids(items: Iterable[Item]) -> tuple[PromptId, ...]:
    return tuple(PromptId(item.prompt_id) for item in items if isinstance(item.prompt_id, str))


class _Message(Struct):
    """What we read of any message; the tensors and tracebacks of an error are skipped."""

    nodes: tuple[str, ...] = ()
    node_id: str | None = None
    exception_message: str | None = None
    exception_type: str | None = None


class _Status(Struct):
    status_str: str | None = None
    messages: tuple[tuple[str, _Message], ...] | None = None


class HistoryReply(Struct):
    """One entry of GET /history/{id}; its prompt, the largest part, is skipped."""

    outputs: dict[str, Json] = {}
    status: _Status | None = None

    def read(self) -> History:
        """How it ended: `status_str` and the last message decide, never the presence of outputs.

        Without a status (servers before `status` existed, and custom executors), an entry still proves that
        the prompt ended, and nothing says that it failed: that is success, be it one without outputs, which
        is normal (measured, T06_blocked) and told to its person as such. Outputs are in the server's order.
        """
        outputs = tuple(scan(node, shown) for node, shown in self.outputs.items())
        status = self.status or _Status()
        messages = status.messages or ()
        cached = frozenset(node for kind, message in messages if kind == "execution_cached" for node in message.nodes)
        kind, last = messages[-1] if messages else ("", _Message())
        if kind == "execution_interrupted":
            return History("interrupted", outputs, cached=cached)
        if kind == "execution_error" or status.status_str == "error":
            return History(
                "failed",
                outputs,
                node=last.node_id or "",
                error=first_line(last.exception_message),
                error_kind=last.exception_type or "",
                cached=cached,
            )
        return History("success", outputs, cached=cached)


class _LooseHistory(Struct):
    """An entry of which nothing has to be as it should."""

    outputs: Json = None
    status: Json = None


_HISTORY = msgspec.json.Decoder(HistoryReply)
_LOOSE_HISTORY = msgspec.json.Decoder(_LooseHistory)


def history(entry: msgspec.Raw) -> History:
    """One entry of GET /history/{id}, whatever it looks like: that it is there proves that the prompt ended.

    What cannot be read is left out. Where that are the outputs, the prompt failed, and its reason says so.
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
    outputs = tuple(scan(node, shown) for node, shown in loose.outputs.items())
    if status == "error":
        return History("failed", outputs, error="The server does not say why.")
    return History("success", outputs)


UNREADABLE = History("failed", error="The server's record of this job cannot be read.")


class Problem(Struct):
    """One reason against a node, or against the whole prompt."""

    type: str = ""
    message: str = ""
    details: str = ""
    extra_info: dict[str, Json] = {}


class NodeProblems(Struct):
    """The reasons against one node."""

    errors: tuple[Problem, ...] = ()
    class_type: str = ""
    dependent_outputs: tuple[str, ...] = ()


class Accepted(Struct):
    """POST /prompt that was taken; `node_errors` name outputs that will not run (measured, T05)."""

    prompt_id: str
    node_errors: dict[str, NodeProblems] = {}


class Rejected(Struct):
    """POST /prompt that was not. `error` is a plain string for some old servers."""

    error: Problem | str = ""
    node_errors: dict[str, NodeProblems] | list[Json] = {}


class Uploaded(Struct):
    """POST /upload/image. The name may differ from the one that was sent."""

    name: str
    subfolder: str = ""

    def value(self) -> str:
        """What a LoadImage node wants to hear."""
        return f"{self.subfolder}/{self.name}" if self.subfolder else self.name


class Cancelled(Struct):
    """POST /api/jobs/{id}/cancel (ComfyUI >= 0.26); false where there was nothing left to cancel."""

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
        """The part that people ask for."""
        return Stats(
            version=shortened(self.system.comfyui_version),
            devices=tuple(shortened(device.name) for device in self.devices),
            memory_total=_memory(device.vram_total for device in self.devices),
            memory_free=_memory(device.vram_free for device in self.devices),
        )


def _memory(sizes: Iterable[int]) -> int:
    """Bytes, as far as there can be so many."""
    return min(sum(max(size, 0) for size in sizes), 2**60)


class _NodeInfo(Struct):
    input: dict[str, Json] = {}


_INFO = msgspec.json.Decoder(dict[str, _NodeInfo])


def input_config(body: bytes, class_type: str, input_name: str) -> Json:
    """What /object_info/{class} says of an input; None if nothing. Raises `msgspec.DecodeError`."""
    kinds = decode_shallow(body, _INFO).get(class_type, _NodeInfo()).input.values()
    return next((kind[input_name] for kind in kinds if isinstance(kind, dict) and input_name in kind), None)


def default(config: Json) -> Json:
    """What the editor would put into a new node: the default it names, else a list's first."""
    match config:
        case [_, {"default": value}, *_]:
            return value
        case _:
            return next(iter(listed(config)), None)


def listed(config: Json) -> list[Json]:
    """The values of a combo: `[[...], {}]` (V1), or `["COMBO", {"options": [...]}]` (V3)."""
    match config:
        case [list() as values, *_]:
            return values
        case ["COMBO", {"options": list() as values}, *_]:
            return values
        case _:
            return []
