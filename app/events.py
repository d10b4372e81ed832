"""The words our tasks say to each other.

Facts are past-tense, frozen, tagged structs: serialisable, without live objects. There are two kinds.
*Signals* are what one server's websocket says about one prompt (an attempt of a job); the wire makes them,
the registry understands them. *Updates* are what becomes of a job; the registry makes them, people see them.

Ids are strings and stay strings: ComfyUI's node ids look like "3", "10:2" or "2.0.0.1".
"""

from __future__ import annotations

from typing import NewType, TypeAlias

from msgspec import Struct

JobId = NewType("JobId", str)
"""A person's wish, for life: a lower-case hyphenated uuid4."""

PromptId = NewType("PromptId", str)
"""One attempt at a job, as ComfyUI knows it: a uuid4 minted by us (ComfyUI >= 0.25 accepts nothing else)."""

ServerName = NewType("ServerName", str)
"""A server's name in the configuration; by default its address."""

NodeId = NewType("NodeId", str)


class FileRef(Struct, frozen=True):
    """A file on a server, as GET /view wants to hear it. Untrusted: never joined to a path."""

    filename: str
    subfolder: str = ""
    type: str = "output"


class NodeOutput(Struct, frozen=True):
    """What one node showed: files and texts, under whatever keys it chose."""

    node: NodeId
    files: tuple[FileRef, ...] = ()
    texts: tuple[str, ...] = ()


# Signals: what a websocket says.


class Signal(Struct, frozen=True, kw_only=True, tag=True):
    """Said by one server, about one prompt."""

    prompt: PromptId


class ExecutionStarted(Signal, frozen=True):
    """`execution_start`."""


class NodesCached(Signal, frozen=True):
    """`execution_cached`: these nodes need no work; always said, even of none."""

    nodes: tuple[NodeId, ...]


class NodeStarted(Signal, frozen=True):
    """`executing` with a node. `display` is the node of the submitted graph it belongs to."""

    node: NodeId
    display: NodeId


class NodeStepped(Signal, frozen=True):
    """`progress`: one node's own steps, the older way of saying it."""

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
    """`progress_state`: every node touched so far; cumulative, pending and cached nodes absent."""

    nodes: tuple[NodeProgress, ...]


class NodeFinished(Signal, frozen=True):
    """`executed`: a node showed something."""

    output: NodeOutput


class ImageStreamed(Signal, frozen=True):
    """A binary frame with a picture: a preview, or what SaveImageWebsocket sends."""

    display: NodeId
    image: bytes
    media_type: str


class ExecutionBlocked(Signal, frozen=True):
    """`execution_error` of type ExecutionBlocked: a warning, the run goes on and succeeds."""

    node: NodeId
    message: str


class ExecutionFailed(Signal, frozen=True):
    """`execution_error`. A mark, not the end: history is written after it."""

    node: NodeId
    message: str
    kind: str


class ExecutionInterrupted(Signal, frozen=True):
    """`execution_interrupted`. A mark, not the end."""


class ExecutionEnded(Signal, frozen=True):
    """`executing` with node null: the end of a prompt, and its history exists by now."""


class QueueChanged(Struct, frozen=True, tag=True):
    """`status`: how many prompts, anybody's, the server has pending or running."""

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


# What a ConnectionActor posts.


class FrameReceived(Struct, frozen=True, tag=True):
    """A server said something."""

    server: ServerName
    event: ServerEvent


class Connected(Struct, frozen=True, tag=True):
    """The websocket is open and greeted: now look at what was missed."""

    server: ServerName


class Disconnected(Struct, frozen=True, tag=True):
    """The websocket is gone; the ConnectionActor is already on its way back."""

    server: ServerName
    reason: str


# Updates: what becomes of a job.


class Update(Struct, frozen=True, kw_only=True, tag=True):
    """A fact about one job, for those who watch it."""

    job: JobId


class Queued(Update, frozen=True):
    """Accepted and waiting. `position` counts all that is ahead, ours and other people's: 0 is next.

    `note` says why it waits where that is not plain: a server that is away, another try.
    """

    position: int
    server: ServerName | None = None
    note: str = ""


class Started(Update, frozen=True):
    """A server works on it."""

    server: ServerName


class Progressed(Update, frozen=True):
    """How far it is.

    `fraction` is 0 to 1 over the whole graph; `node` the title of the node at work; `step` of `steps` its
    own progress, 0 of 0 where it has none; `elapsed` seconds since the start; `remaining` seconds, None
    until steps flow; `note` says so where the server works on but says nothing.
    """

    fraction: float
    node: str = ""
    step: int = 0
    steps: int = 0
    elapsed: float = 0.0
    remaining: float | None = None
    note: str = ""


class Previewed(Update, frozen=True):
    """A glimpse of the unfinished picture."""

    image: bytes
    media_type: str


class Finished(Update, frozen=True):
    """Done, and every file is on our disk.

    `files` are paths as strings, in order of execution; `notes` are sentences a person should read (a part
    that was dropped, a run without outputs, everything cached).
    """

    server: ServerName
    files: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seed: int | None = None


class Failed(Update, frozen=True):
    """The server said no, or broke on it. `reason` is one sentence for a person."""

    reason: str
    files: tuple[str, ...] = ()


class Cancelled(Update, frozen=True):
    """Taken back, by its owner or by somebody at the server."""

    reason: str = ""


class Lost(Update, frozen=True):
    """The server forgot it while working on it, twice: we say so instead of trying for ever."""

    reason: str


AnyUpdate: TypeAlias = Queued | Started | Progressed | Previewed | Finished | Failed | Cancelled | Lost

TerminalUpdate: TypeAlias = Finished | Failed | Cancelled | Lost
"""The last word on a job: always delivered, and nothing follows it."""

TERMINAL_UPDATES = (Finished, Failed, Cancelled, Lost)
