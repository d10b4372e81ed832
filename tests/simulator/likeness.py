"""What is the same in two exchanges: without times, numbers, names of files, dumps of tensors."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any, TypeGuard

import httpx

from tests.simulator.recordings import Line
from tests.simulator.replay import Said

TEXTS = ("application/json", "text/plain")
"""Answers whose content is compared; of pictures only their kind is."""

ITEM = 5
"""Parts of a prompt in the queue and in history."""

DIFFERENT = (
    (re.compile(r"ComfyUI_temp_[a-z]{5}"), "ComfyUI_temp"),
    (re.compile(r"_\d{5}(_?\.)"), r"_N\1"),
    (re.compile(r"_temp_[a-z]{5}_"), "_temp_"),
    (re.compile(r"(preview3d\w*)_[0-9a-f]{32}"), r"\1"),
    # The recorder removed the paths of its machine.
    (re.compile(r"/comfyui/[^\"']*"), "/comfyui/…"),
)
"""Names that are another every time."""

OTHER_EACH_TIME = re.compile(r"_\d{5}|_temp_|preview3d|/comfyui/")
"""What is in every text with such a name: of the many thousand texts of an answer few have one."""

PROSE = {
    "tooltip",
    "display_name",
    "description",
    "python_module",
    "output_tooltips",
    "search_aliases",
    "essentials_category",
}
"""What our copy of the definitions of nodes was kept without."""

CUT = ("[cut]", "cut here)")
"""How the recorders end an answer that was too long for them."""


def recorded(lines: list[Line]) -> Said:
    """What the real server said."""
    frames: Said = {"http": []}
    for line in lines:
        match line["kind"]:
            case "ws connect":
                frames.setdefault(line["sock"], [])
            case "ws<":
                frames.setdefault(line["sock"], []).append(_value(json.loads(line["text"])))
            case "ws< binary":
                frames[line["sock"]].append(_recorded_binary(line))
            case "http>":
                answer = line["answer"]
                frames["http"].append(_answer(line["path"], answer["status"], answer["headers"], answer["body"]))
            case _:
                pass
    return frames


def normal(ours: Said, lines: list[Line]) -> Said:
    """What ours said."""
    normalised: Said = {name: [_frame(frame) for frame in heard] for name, heard in ours.items() if name != "http"}
    requests = [line for line in lines if line["kind"] == "http>"]
    normalised["http"] = [_like(line, answer) for line, answer in zip(requests, ours["http"], strict=True)]
    return normalised


def statuses_apart(frames: Said) -> Said:
    """For where a thread and the event loop raced: `status` among itself, and twice the same only once."""
    parts: Said = {}
    for name, heard in frames.items():
        parts[name] = [frame for frame in heard if not _is_status(frame)]
        statuses = [frame for frame in heard if _is_status(frame)]
        parts[f"{name}, status"] = statuses[:1] + [status for before, status in pairwise(statuses) if status != before]
    return parts


def _is_status(frame: Any) -> bool:
    return _is_object(frame) and frame.get("type") == "status"


def _like(line: Line, answer: httpx.Response) -> Any:
    text = answer.text if _is_text(answer.headers.get("content-type")) else ""
    cut = CUT[0] if str(line["answer"]["body"]).endswith(CUT) else text
    return _answer(line["path"], answer.status_code, answer.headers, cut)


def _answer(path: str, status: int, headers: Any, text: str) -> Any:
    kind = (headers.get("Content-Type") or "").split(";")[0]
    if not _is_text(kind):
        # An empty one has no kind; only of files it means something.
        return status, kind if path.startswith("/view?") and status < 300 else ""
    if text.endswith(CUT):
        return status, CUT[0]
    if text[:1] not in {"{", "["}:
        return status, text
    content = json.loads(text)
    if "system_stats" in path:
        # Another machine, but with the keys that clients read.
        return status, sorted(content), content["system"]["comfyui_version"]
    return status, _value(content)


def _is_text(kind: str | None) -> bool:
    return (kind or "").startswith(TEXTS)


def _frame(frame: str | bytes) -> Any:
    if isinstance(frame, str):
        return _value(json.loads(frame))
    event, second = int.from_bytes(frame[:4], "big"), int.from_bytes(frame[4:8], "big")
    match event:
        case 1:
            return event, second
        case 3:
            return event, frame[8 : 8 + second].decode(), frame[8 + second :].decode()
        case 4:
            return event, json.loads(frame[8 : 8 + second])
        case _:
            return (event,)


def _recorded_binary(line: Line) -> Any:
    match line["event"]:
        case 1:
            return 1, line["image_type"]
        case 3:
            return 3, line["node_id"], line["text"]
        case 4:
            return 4, line["metadata"]
        case event:
            return (event,)


def _value(value: Any, key: str = "") -> Any:
    match key:
        case "timestamp" | "number" | "sid" | "_meta" | "create_time" | "priority":
            return None
        case "execution_start_time" | "execution_end_time":
            return None
        case "traceback":
            return []
        case "current_inputs":
            return sorted(value)
        case "executed" | "current_outputs" if _is_array(value):
            return sorted(value)
        case "prompt" if _is_array(value) and len(value) == ITEM:
            return _item(value)
        case "queue_running" | "queue_pending":
            return [_item(item) for item in value]
        case _:
            pass
    if _is_object(value):
        return {name: _value(item, name) for name, item in value.items() if name not in PROSE}
    if _is_array(value):
        return [_value(item) for item in value]
    if isinstance(value, str) and OTHER_EACH_TIME.search(value):
        for pattern, put in DIFFERENT:
            value = pattern.sub(put, value)
    return value


def _item(item: list[Any]) -> list[Any]:
    """A queue item, without its number; its outputs come from a set, in nobody's order."""
    return [*(_value(element) for element in item[1:4]), sorted(item[4])]


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_array(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)
