"""The shapes of ComfyUI's text frames, limited to the fields that we read (docs/protocol/comfyui.md 2.5)."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from app.ports import Json


class ExecInfo(Struct):
    """The length of the queue."""

    queue_remaining: int = 0


class StatusInfo(Struct):
    """Wraps `ExecInfo`."""

    exec_info: ExecInfo


class StatusData(Struct):
    """Wraps `StatusInfo`; the first one of a connection also has the `sid`."""

    status: StatusInfo


class FlagsData(Struct):
    """The features that the server supports."""

    supports_preview_metadata: bool = False


class StartData(Struct):
    """Names the prompt."""

    prompt_id: str


class CachedData(Struct):
    """Nodes whose results are cached."""

    prompt_id: str
    nodes: tuple[str, ...] = ()


class ExecutingData(Struct):
    """The node that runs; null at the end. After a reconnect, `prompt_id` is absent (measured, T09)."""

    prompt_id: str = ""
    node: str | None = None
    display_node: str | None = None


class StepData(Struct):
    """The steps of one node."""

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
    """The output of a node; null for some cached ones (measured, T08)."""

    prompt_id: str
    node: str
    output: Json = None
    display_node: str | None = None


class ErrorData(Struct):
    """The error of a node; traceback and inputs are not read."""

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
    """The metadata of a binary preview."""

    prompt_id: str
    node_id: str
    display_node_id: str | None = None
    image_type: str = "image/jpeg"
