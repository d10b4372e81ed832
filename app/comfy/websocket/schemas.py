"""The shapes of ComfyUI's text frames, as far as we read them (COMFYUI.md 2.5)."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from app.ports import Json


class ExecInfo(Struct):
    """How long the queue is."""

    queue_remaining: int = 0


class StatusInfo(Struct):
    """Wraps it."""

    exec_info: ExecInfo


class StatusData(Struct):
    """Wraps it again; the first one names the `sid` as well."""

    status: StatusInfo


class FlagsData(Struct):
    """What the server can do."""

    supports_preview_metadata: bool = False


class StartData(Struct):
    """Only about which prompt."""

    prompt_id: str


class CachedData(Struct):
    """Nodes that need no work."""

    prompt_id: str
    nodes: tuple[str, ...] = ()


class ExecutingData(Struct):
    """After a reconnect without prompt_id (measured, T09); at the end node is null."""

    prompt_id: str = ""
    node: str | None = None
    display_node: str | None = None


class StepData(Struct):
    """One node's steps."""

    prompt_id: str
    node: str
    value: float
    max: float


class NodeState(Struct):
    """One node of `progress_state`."""

    value: float
    max: float
    state: str
    display_node_id: str | None = None


class StatesData(Struct):
    """All nodes touched so far."""

    prompt_id: str
    nodes: dict[str, NodeState]


class ExecutedData(Struct):
    """What a node showed; null for some cached ones (measured, T08)."""

    prompt_id: str
    node: str
    output: Json = None
    display_node: str | None = None


class ErrorData(Struct):
    """Why a node failed; traceback and inputs are not read."""

    prompt_id: str
    node_id: str | None = None
    exception_message: str | None = None
    exception_type: str | None = None


class Status(Struct, tag="status"):
    """`status`."""

    data: StatusData


class FeatureFlags(Struct, tag="feature_flags"):
    """`feature_flags`."""

    data: FlagsData


class ExecutionStart(Struct, tag="execution_start"):
    """`execution_start`."""

    data: StartData


class ExecutionCached(Struct, tag="execution_cached"):
    """`execution_cached`."""

    data: CachedData


class ExecutingFrame(Struct, tag="executing"):
    """`executing`."""

    data: ExecutingData


class Progress(Struct, tag="progress"):
    """`progress`."""

    data: StepData


class ProgressState(Struct, tag="progress_state"):
    """`progress_state`."""

    data: StatesData


class ExecutedFrame(Struct, tag="executed"):
    """`executed`."""

    data: ExecutedData


class ExecutionError(Struct, tag="execution_error"):
    """`execution_error`."""

    data: ErrorData


class ExecutionInterrupted(Struct, tag="execution_interrupted"):
    """`execution_interrupted`."""

    data: StartData


Frame: TypeAlias = (
    Status
    | FeatureFlags
    | ExecutionStart
    | ExecutionCached
    | ExecutingFrame
    | Progress
    | ProgressState
    | ExecutedFrame
    | ExecutionError
    | ExecutionInterrupted
)


class Metadata(Struct):
    """The head of a binary preview."""

    prompt_id: str
    node_id: str
    display_node_id: str | None = None
    image_type: str = "image/jpeg"
