"""What ComfyUI's HTTP answers say, in our words. The shapes are those of ComfyUI 0.3.64, as measured."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from app.comfy.outputs import scan
from app.events import PromptId
from app.ports import History, Json, Queue, Stats


class Item(Struct, array_like=True):
    """One prompt in /queue; the rest of it (graph, extra data, outputs) is large, and skipped."""

    number: float
    prompt_id: str


class QueueReply(Struct):
    """GET /queue. Pending prompts come in heap order (measured, T19)."""

    queue_running: tuple[Item, ...]
    queue_pending: tuple[Item, ...]

    def read(self) -> Queue:
        """The ids, in the order in which they run."""
        pending = sorted(self.queue_pending, key=lambda item: item.number)
        return Queue(
            tuple(PromptId(item.prompt_id) for item in self.queue_running),
            tuple(PromptId(item.prompt_id) for item in pending),
        )


class _Status(Struct):
    status_str: str = ""
    messages: tuple[tuple[str, dict[str, Json]], ...] = ()


class HistoryReply(Struct):
    """One entry of GET /history/{id}. `status` may be null."""

    outputs: dict[str, dict[str, Json] | None] = {}
    status: _Status | None = None

    def read(self) -> History:
        """How it ended: `status_str` and the last message decide, never the presence of outputs."""
        outputs = tuple(scan(node, shown) for node, shown in self.outputs.items())
        if self.status is None or not self.status.messages:
            failed = self.status is not None and self.status.status_str == "error"
            return History("failed" if failed else "success", outputs)
        cached: set[str] = set()
        for kind, data in self.status.messages:
            if kind == "execution_cached" and isinstance(nodes := data.get("nodes"), list):
                cached = {str(node) for node in nodes}
        kind, data = self.status.messages[-1]
        if kind == "execution_interrupted":
            return History("interrupted", outputs)
        if kind == "execution_error" or self.status.status_str == "error":
            return History(
                "failed",
                outputs,
                node=str(data.get("node_id") or ""),
                error=str(data.get("exception_message") or ""),
                error_kind=str(data.get("exception_type") or ""),
            )
        return History("success", outputs, cached=frozenset(cached))


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
    """POST /api/jobs/{id}/cancel (ComfyUI >= 0.26)."""

    cancelled: bool = False


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
            version=self.system.comfyui_version,
            devices=tuple(device.name for device in self.devices),
            memory_total=sum(device.vram_total for device in self.devices),
            memory_free=sum(device.vram_free for device in self.devices),
        )


class _NodeInfo(Struct):
    input: dict[str, dict[str, msgspec.Raw]] = {}


def choices(body: bytes, class_type: str, input_name: str) -> list[str]:
    """What /object_info/{class} lists for an input: `[[...], {}]`, or `["COMBO", {"options": [...]}]`."""
    info = msgspec.json.decode(body, type=dict[str, _NodeInfo]).get(class_type, _NodeInfo())
    return [value for kind in info.input.values() if input_name in kind for value in _listed(kind[input_name])]


def _listed(raw: msgspec.Raw) -> Iterator[str]:
    match msgspec.json.decode(raw, type=list[Json]):
        case [list() as values, *_]:
            yield from (value for value in values if isinstance(value, str))
        case ["COMBO", {"options": list() as values}, *_]:
            yield from (value for value in values if isinstance(value, str))
        case _:
            return
