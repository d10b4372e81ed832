"""Decodes ComfyUI's frames into events. No I/O. The layout is that of ComfyUI 0.3.64, as measured."""

from __future__ import annotations

import struct

import msgspec

from app.comfy.json import decode
from app.comfy.outputs import scan
from app.comfy.websocket import schemas
from app.core.jobs.results import first_line
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
    ServerEvent,
)

GREETING = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
"""The only message that ComfyUI reads, and only as the first frame of a connection (docs/protocol/comfyui.md 2.1)."""

PREVIEW, PREVIEW_WITH_METADATA = 1, 4
"""Binary event numbers (docs/protocol/comfyui.md 2.6)."""

MEDIA_TYPES = {1: "image/jpeg", 2: "image/png"}


class Decoder:
    """Decodes the frames of one connection into events; None for frames that we do not use.

    Unknown types, junk and truncated frames give None, never an error, because custom nodes send any content. The
    decoder remembers which prompt a preview without metadata could belong to, for servers without metadata. `ignored`
    counts the frames that gave None.
    """

    def __init__(self) -> None:
        self._json = msgspec.json.Decoder(schemas.Frame)
        self._metadata = msgspec.json.Decoder(schemas.Metadata)
        self._negotiated = False
        self._executing: tuple[str, str] | None = None
        self.ignored = 0

    def decode(self, frame: str | bytes) -> ServerEvent | None:
        """Decode one frame, text or binary."""
        try:
            event = self._binary(frame) if isinstance(frame, bytes) else self._text(decode(frame, self._json))
        except msgspec.DecodeError:
            event = None
        if event is None:
            self.ignored += 1
        return event

    def _text(self, frame: schemas.Frame) -> ServerEvent | None:
        match frame:
            case schemas.Progress(data=data):
                if self._executing is None or self._executing[0] != data.prompt_id:
                    # After a reconnect this is the first frame that names the prompt, and its preview follows it.
                    self._executing = (data.prompt_id, data.node)
                return NodeStepped(
                    prompt=PromptId(data.prompt_id),
                    node=NodeId(data.node),
                    value=data.value,
                    maximum=data.max,
                )
            case schemas.ProgressState(data=data):
                return NodesProgressed(prompt=PromptId(data.prompt_id), nodes=tuple(_states(data)))
            case schemas.ExecutingFrame(data=data):
                return self._node_started(data)
            case schemas.Status(data=data):
                return QueueChanged(remaining=data.status.exec_info.queue_remaining)
            case schemas.ExecutedFrame(data=data):
                output = scan(data.display_node or data.node, data.output)
                return NodeFinished(prompt=PromptId(data.prompt_id), output=output)
            case schemas.ExecutionStart(data=data):
                self._executing = None
                return ExecutionStarted(prompt=PromptId(data.prompt_id))
            case schemas.ExecutionCached(data=data):
                nodes = tuple(map(NodeId, data.nodes))
                return NodesCached(prompt=PromptId(data.prompt_id), nodes=nodes)
            case schemas.ExecutionInterrupted(data=data):
                return ExecutionInterrupted(prompt=PromptId(data.prompt_id))
            case schemas.ExecutionError(data=data):
                return _error(data)
            case schemas.FeatureFlags(data=data):
                self._negotiated = data.supports_preview_metadata
                return None

    def _node_started(self, data: schemas.ExecutingData) -> ServerEvent | None:
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

    def _binary(self, frame: bytes) -> ServerEvent | None:
        if len(frame) < 8:
            return None
        kind, second = struct.unpack_from(">II", frame)
        if kind == PREVIEW_WITH_METADATA:
            data = decode(memoryview(frame)[8 : 8 + second], self._metadata)
            display = data.display_node_id or data.node_id
            return _image(data.prompt_id, display, frame[8 + second :], data.image_type)
        if kind == PREVIEW and not self._negotiated and self._executing is not None:
            return _image(*self._executing, frame[8:], MEDIA_TYPES.get(second, ""))
        # If metadata is negotiated, a preview without it belongs to another client's prompt (measured, T22).
        return None


def _image(prompt: str, display: str, image: bytes, media_type: str) -> ImageStreamed | None:
    if not image or media_type not in MEDIA_TYPES.values():
        return None
    return ImageStreamed(prompt=PromptId(prompt), display=NodeId(display), image=image, media_type=media_type)


def _states(data: schemas.StatesData) -> list[NodeProgress]:
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


def _error(data: schemas.ErrorData) -> ServerEvent:
    prompt, node, message = PromptId(data.prompt_id), NodeId(data.node_id or ""), first_line(data.exception_message)
    if data.exception_type == "ExecutionBlocked":
        return ExecutionBlocked(prompt=prompt, node=node, message=message)
    return ExecutionFailed(prompt=prompt, node=node, message=message, kind=data.exception_type or "")
