"""The events and updates that tasks send to each other.

They are past-tense facts as frozen, tagged structs: serialisable, without live objects. There are two kinds. *Signals*
are what one server's websocket reports about one prompt (an attempt at a job); the decoder makes them and the registry
handles them. *Updates* are what happens to a job; the registry makes them and users see them.

Ids are strings and stay strings: ComfyUI's node ids look like "3", "10:2" or "2.0.0.1".
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, NewType, TypeAlias

from msgspec import Struct

from app.reasons.jobs import JobReason
from app.reasons.limits import LimitReason
from app.reasons.servers import NetworkReason

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
    """Any JSON value."""
else:
    # msgspec reads types at run time and does not support recursive ones.
    Json = Any

JobId = NewType("JobId", str)
"""A job, for its whole life: a lower-case hyphenated uuid4."""

PromptId = NewType("PromptId", str)
"""One attempt at a job, as ComfyUI knows it: a uuid4 that we create (ComfyUI >= 0.25 accepts nothing else)."""

ServerName = NewType("ServerName", str)
"""A server's name in the configuration; by default its address."""

NodeId = NewType("NodeId", str)


class FileRef(Struct, frozen=True):
    """A file on a server, as the parameters of GET /view. Untrusted: never joined to a path."""

    filename: str
    subfolder: str = ""
    type: str = "output"


class NodeOutput(Struct, frozen=True):
    """The output of one node: files and texts, under any keys."""

    node: NodeId
    files: tuple[FileRef, ...] = ()
    texts: tuple[str, ...] = ()


# Signals: what a websocket reports.


class Signal(Struct, frozen=True, kw_only=True, tag=True):
    """Something that one server reported about one prompt."""

    prompt: PromptId


class ExecutionStarted(Signal, frozen=True):
    """`execution_start`."""


class NodesCached(Signal, frozen=True):
    """`execution_cached`: these nodes need not run; sent for every prompt, even if there are none."""

    nodes: tuple[NodeId, ...]


class NodeStarted(Signal, frozen=True):
    """`executing` with a node. `display` is the node of the submitted graph that it belongs to."""

    node: NodeId
    display: NodeId


class NodeStepped(Signal, frozen=True):
    """`progress`: the steps of one node, in the older message format."""

    node: NodeId
    value: float
    maximum: float


class NodeProgress(Struct, frozen=True):
    """One node within `NodesProgressed`."""

    node: NodeId
    display: NodeId
    value: float
    maximum: float
    finished: bool


class NodesProgressed(Signal, frozen=True):
    """`progress_state`: every node touched so far; cumulative, without pending and cached nodes."""

    nodes: tuple[NodeProgress, ...]


class NodeFinished(Signal, frozen=True):
    """`executed`: a node produced output."""

    output: NodeOutput


class ImageStreamed(Signal, frozen=True):
    """A binary frame with an image: a preview, or an image from SaveImageWebsocket."""

    display: NodeId
    image: bytes
    media_type: str


class ExecutionBlocked(Signal, frozen=True):
    """`execution_error` of type ExecutionBlocked: a warning; the run goes on and succeeds."""

    node: NodeId
    message: str


class ExecutionFailed(Signal, frozen=True):
    """`execution_error`. Not the end of the prompt: the history is written after it."""

    node: NodeId
    message: str
    kind: str


class ExecutionInterrupted(Signal, frozen=True):
    """`execution_interrupted`. Not the end of the prompt."""


class ExecutionEnded(Signal, frozen=True):
    """`executing` with node null: the end of a prompt, whose history exists by now."""


class QueueChanged(Struct, frozen=True, tag=True):
    """`status`: how many prompts of all clients the server has pending or running."""

    remaining: int


ServerEvent: TypeAlias = (
    ExecutionStarted
    | NodesCached
    | NodeStarted
    | NodeStepped
    | NodesProgressed
    | NodeFinished
    | ImageStreamed
    | ExecutionBlocked
    | ExecutionFailed
    | ExecutionInterrupted
    | ExecutionEnded
    | QueueChanged
)


def conflation_key(event: ServerEvent) -> Hashable | None:
    """What two events have in common of which only the newer is worth something; None if every one must be kept.

    A PNG is kept: it is not a preview but a result.
    """
    match event:
        case NodesProgressed() | NodeStepped():
            return type(event), event.prompt
        case ImageStreamed(media_type="image/jpeg"):
            return ImageStreamed, event.prompt
        case QueueChanged():
            return QueueChanged
        case _:
            return None


# What a ConnectionActor sends to the registry.


class FrameReceived(Struct, frozen=True, tag=True):
    """A server sent an event."""

    server: ServerName
    event: ServerEvent


class Connected(Struct, frozen=True, tag=True):
    """The websocket is open and the handshake is done: query the server for what was missed."""

    server: ServerName


class Disconnected(Struct, frozen=True, tag=True):
    """The websocket is gone; the ConnectionActor is already reconnecting."""

    server: ServerName
    reason: NetworkReason


# Updates: what happens to a job. `app.texts` renders their reasons and notes. One that is a text was stored in the
# journal by an earlier version, or is the sentence of the error boundary.


class Update(Struct, frozen=True, kw_only=True, tag=True):
    """A fact about one job, for its watchers."""

    job: JobId


class Queued(Update, frozen=True):
    """Accepted and waiting. `position` counts all prompts ahead, ours and other clients'; 0 is next.

    `starts_in` is in how many seconds it is expected to start, None if that is not known.
    `note` gives the reason for waiting if it is not obvious: an unreachable server, another attempt.
    """

    position: int
    server: ServerName | None = None
    starts_in: float | None = None
    note: JobReason | None = None


class Edited(Update, frozen=True):
    """Somebody replaced the request of a job that waits: `values`, by slot, and `seed` are those of the new one.

    `pictures` is how many jobs it is, each with the next seed.
    """

    values: dict[str, Json]
    seed: int | None = None
    pictures: int = 1


class Started(Update, frozen=True):
    """A server is running the job."""

    server: ServerName


class Progressed(Update, frozen=True):
    """The progress of a running job.

    `fraction` is 0 to 1 over the whole graph; `node` is the title of the running node; `step` of `steps` is its own
    progress, 0 of 0 if it has none; `elapsed` is seconds since the start; `remaining` is seconds, None until steps
    arrive; `note` is set if the server is still running the job but has sent nothing for long. `running` is how many
    pictures of a batch are being made at once; the running node is that of the first of them.
    """

    fraction: float
    node: str = ""
    step: int = 0
    steps: int = 0
    elapsed: float = 0.0
    remaining: float | None = None
    note: JobReason | None = None
    running: int = 1


class Previewed(Update, frozen=True):
    """A preview of the unfinished image."""

    image: bytes
    media_type: str


class Arrived(Update, frozen=True):
    """Some of the pictures of a batch are on our disk: `files`, of `total` that were asked for."""

    files: tuple[str, ...]
    total: int


class ChosenModel(Struct, frozen=True):
    """The value that an input got from its server's list, because nobody chose one."""

    node: NodeId
    input: str
    value: str


class Finished(Update, frozen=True):
    """The job succeeded, and every file is on our disk.

    `files` are paths as strings, in order of execution; `notes` are what the user should know (a part that was dropped,
    a run without outputs, everything cached). `seconds` is how long the server worked on it, 0 if it does not say so.
    """

    server: ServerName
    files: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    notes: tuple[JobReason | str, ...] = ()
    seed: int | None = None
    seconds: float = 0.0
    chosen: tuple[ChosenModel, ...] = ()


class Failed(Update, frozen=True):
    """The server refused the job or failed on it."""

    reason: JobReason | str
    files: tuple[str, ...] = ()


class Cancelled(Update, frozen=True):
    """The job was cancelled by its owner, or by somebody else for a `reason`."""

    reason: JobReason | str = ""


class Lost(Update, frozen=True):
    """The server forgot the job twice while running it; it is not tried again."""

    reason: JobReason | str


class NotAccepted(Update, frozen=True):
    """The request is over a limit, so there is no job. The only update of it, and nobody else sees it."""

    reason: LimitReason


AnyUpdate: TypeAlias = (
    NotAccepted | Queued | Edited | Started | Progressed | Previewed | Arrived | Finished | Failed | Cancelled | Lost
)

TerminalUpdate: TypeAlias = Finished | Failed | Cancelled | Lost
"""The last update of a job: always delivered, and nothing follows it."""

TERMINAL_UPDATES = (Finished, Failed, Cancelled, Lost)
