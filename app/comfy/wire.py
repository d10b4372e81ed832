"""What ComfyUI's frames mean; no I/O here. The layout is that of ComfyUI 0.3.64, as measured."""

from __future__ import annotations

import struct
from typing import TypeAlias

import msgspec
from msgspec import Struct

from app.comfy.outputs import scan
from app.events import (
    ExecutionBlocked,
    ExecutionEnded,
    ExecutionFailed,
    ExecutionInterrupted,
    ExecutionStarted,
    ImageStreamed,
    NodeFinished,
    NodeId,
    NodeProgress,
    NodesCached,
    NodesProgressed,
    NodeStarted,
    NodeStepped,
    PromptId,
    QueueChanged,
    Spoken,
)
from app.ports import Json

GREETING = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
"""The only words ComfyUI listens to, and only as the first frame of each connection (COMFYUI.md 2.1)."""

PREVIEW, PREVIEW_WITH_METADATA = 1, 4
"""Binary event numbers (COMFYUI.md 2.6)."""

MEDIA_TYPES = {1: "image/jpeg", 2: "image/png"}


class _ExecInfo(Struct):
    queue_remaining: int = 0


class _StatusInfo(Struct):
    exec_info: _ExecInfo


class _StatusData(Struct):
    status: _StatusInfo


class _Flags(Struct):
    supports_preview_metadata: bool = False


class _Start(Struct):
    prompt_id: str


class _Cached(Struct):
    prompt_id: str
    nodes: tuple[str, ...] = ()


class _Executing(Struct):
    prompt_id: str = ""
    node: str | None = None
    display_node: str | None = None


class _Step(Struct):
    prompt_id: str
    node: str
    value: float
    max: float


class _NodeState(Struct):
    value: float
    max: float
    state: str
    display_node_id: str | None = None


class _States(Struct):
    prompt_id: str
    nodes: dict[str, _NodeState]


class _Executed(Struct):
    prompt_id: str
    node: str
    output: dict[str, Json] | None = None
    display_node: str | None = None


class _Error(Struct):
    prompt_id: str
    node_id: str = ""
    exception_message: str = ""
    exception_type: str = ""


class _Status(Struct, tag="status"):
    data: _StatusData


class _FeatureFlags(Struct, tag="feature_flags"):
    data: _Flags


class _ExecutionStart(Struct, tag="execution_start"):
    data: _Start


class _ExecutionCached(Struct, tag="execution_cached"):
    data: _Cached


class _ExecutingFrame(Struct, tag="executing"):
    data: _Executing


class _Progress(Struct, tag="progress"):
    data: _Step


class _ProgressState(Struct, tag="progress_state"):
    data: _States


class _ExecutedFrame(Struct, tag="executed"):
    data: _Executed


class _ExecutionError(Struct, tag="execution_error"):
    data: _Error


class _ExecutionInterrupted(Struct, tag="execution_interrupted"):
    data: _Start


_Frame: TypeAlias = (
    _Status
    | _FeatureFlags
    | _ExecutionStart
    | _ExecutionCached
    | _ExecutingFrame
    | _Progress
    | _ProgressState
    | _ExecutedFrame
    | _ExecutionError
    | _ExecutionInterrupted
)


class _Metadata(Struct):
    prompt_id: str
    node_id: str
    display_node_id: str | None = None
    image_type: str = "image/jpeg"


class Decoder:
    """Turns the frames of one connection into what they say; None for what is not our business.

    Unknown types, junk and truncated frames are None, never an error: custom nodes send what they like.
    It remembers what a preview without metadata could belong to, for servers that know no metadata.
    """

    def __init__(self) -> None:
        self._json = msgspec.json.Decoder(_Frame)
        self._metadata = msgspec.json.Decoder(_Metadata)
        self._negotiated = False
        self._executing: tuple[str, str] | None = None

    def feed(self, frame: str | bytes) -> Spoken | None:
        """Take one frame, text or binary."""
        if isinstance(frame, bytes):
            return self._binary(frame)
        try:
            return self._text(self._json.decode(frame))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None

    def _text(self, frame: _Frame) -> Spoken | None:
        match frame:
            case _Progress(data=data):
                return NodeStepped(
                    prompt=PromptId(data.prompt_id),
                    node=NodeId(data.node),
                    value=data.value,
                    maximum=data.max,
                )
            case _ProgressState(data=data):
                return NodesProgressed(prompt=PromptId(data.prompt_id), nodes=tuple(_states(data)))
            case _ExecutingFrame(data=data):
                return self._node_started(data)
            case _Status(data=data):
                return QueueChanged(remaining=data.status.exec_info.queue_remaining)
            case _ExecutedFrame(data=data):
                output = scan(data.display_node or data.node, data.output)
                return NodeFinished(prompt=PromptId(data.prompt_id), output=output)
            case _ExecutionStart(data=data):
                return ExecutionStarted(prompt=PromptId(data.prompt_id))
            case _ExecutionCached(data=data):
                nodes = tuple(map(NodeId, data.nodes))
                return NodesCached(prompt=PromptId(data.prompt_id), nodes=nodes)
            case _ExecutionInterrupted(data=data):
                return ExecutionInterrupted(prompt=PromptId(data.prompt_id))
            case _ExecutionError(data=data):
                return _error(data)
            case _FeatureFlags(data=data):
                self._negotiated = data.supports_preview_metadata
                return None

    def _node_started(self, data: _Executing) -> Spoken | None:
        if not data.prompt_id:
            # After a reconnect the server names the node, but not the prompt (measured, T09).
            return None
        prompt = PromptId(data.prompt_id)
        if data.node is None:
            self._executing = None
            return ExecutionEnded(prompt=prompt)
        display = data.display_node or data.node
        self._executing = (prompt, display)
        return NodeStarted(prompt=prompt, node=NodeId(data.node), display=NodeId(display))

    def _binary(self, frame: bytes) -> Spoken | None:
        if len(frame) < 8:
            return None
        kind, second = struct.unpack_from(">II", frame)
        if kind == PREVIEW_WITH_METADATA:
            try:
                data = self._metadata.decode(memoryview(frame)[8 : 8 + second])
            except (msgspec.MsgspecError, UnicodeError):
                return None
            display = data.display_node_id or data.node_id
            return _image(data.prompt_id, display, frame[8 + second :], data.image_type)
        if kind == PREVIEW and not self._negotiated and self._executing is not None:
            return _image(*self._executing, frame[8:], MEDIA_TYPES.get(second, ""))
        # With metadata negotiated, one without belongs to somebody else's prompt (measured, T22).
        return None


def _image(prompt: str, display: str, image: bytes, media_type: str) -> ImageStreamed | None:
    if not image or media_type not in MEDIA_TYPES.values():
        return None
    return ImageStreamed(prompt=PromptId(prompt), display=NodeId(display), image=image, media_type=media_type)


def _states(data: _States) -> list[NodeProgress]:
    return [
        NodeProgress(
            NodeId(node),
            NodeId(state.display_node_id or node),
            state.value,
            state.max,
            finished=state.state == "finished",
        )
        for node, state in data.nodes.items()
    ]


def _error(data: _Error) -> Spoken:
    prompt, node, message = PromptId(data.prompt_id), NodeId(data.node_id), data.exception_message.strip()
    if data.exception_type == "ExecutionBlocked":
        return ExecutionBlocked(prompt=prompt, node=node, message=message)
    return ExecutionFailed(prompt=prompt, node=node, message=message, kind=data.exception_type)
