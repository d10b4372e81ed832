"""A job: what was wished for, and where it stands. Plain data, and the one rule by which it moves."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct, field

from app.events import FileRef, JobId, NodeId, PromptId, ServerName, TerminalUpdate
from app.ports import Graph, History, Json


class Upload(Struct, frozen=True):
    """Before submitting, upload the file at `path` and put the name it gets into this input."""

    node: NodeId
    input: str
    path: str


class FirstChoice(Struct, frozen=True):
    """Before submitting, put the first value the chosen server lists for this input (a checkpoint, say)."""

    node: NodeId
    input: str


class JobRequest(Struct, frozen=True, kw_only=True):
    """What a person wants, ready to be sent but for what only the chosen server knows.

    `owner` is whoever asked, in the door's own words; `folder` is where result files shall lie; `seed` is
    the seed that stands in the graph, and `values` what the person gave for which slot, both for telling;
    after `silence` seconds without a word about it while it runs, its person is told that it still does;
    `servers` are those that can run it, none meaning that all can.
    """

    job: JobId
    workflow: str
    graph: Graph
    folder: str
    owner: str = ""
    seed: int | None = None
    values: dict[str, Json] = {}
    silence: float = 60.0
    servers: tuple[ServerName, ...] = ()
    uploads: tuple[Upload, ...] = ()
    choices: tuple[FirstChoice, ...] = ()


class State(IntEnum):
    """Where a job stands. The number is its rank: facts may overtake each other, and a lower rank loses."""

    ACCEPTED = 0
    SUBMITTING = 1
    QUEUED = 2
    RUNNING = 3
    FINISHED = 4
    """ComfyUI ended well; the files may still be on their way to our disk."""
    DELIVERED = 5
    FAILED = 6
    CANCELLED = 7
    LOST = 8

    @property
    def at_server(self) -> bool:
        """Whether a server may have the job in its queue."""
        return State.SUBMITTING <= self <= State.RUNNING

    @property
    def settled(self) -> bool:
        """Whether the server's part is over, for better or worse; it never changes sides after that."""
        return self >= State.FINISHED


class Transition(Struct, frozen=True):
    """One line of a job's story: where it stood after this, on which server, as which prompt, and why."""

    job: JobId
    version: int
    state: str
    cause: str
    server: str = ""
    prompt: str = ""


class Attempt(Struct, rename={"cancel_acknowledged": "withdrawn"}):
    """One try at a job on one server, under a prompt id of its own."""

    prompt: PromptId
    server: ServerName
    posting: bool = True
    """Our POST has not been answered, so that a look at the server proves nothing yet."""
    cancel_acknowledged: bool = False
    """The server heard that we want it dropped."""
    foreign: int = 0
    """How many prompts of other clients lie before it in the server's queue."""


class Job(Struct, kw_only=True):
    """The registry's record of a job; nobody else changes it.

    `version` grows with every move and fences it: a reading of the server that is based on another version
    is stale, and changes nothing.
    """

    request: JobRequest
    state: State = State.ACCEPTED
    version: int = 0
    attempt: Attempt | None = None
    tries: int = 0
    worker_deaths: int = 0
    """How often a server forgot it while working on it."""
    refusals: int = 0
    """How often a server answered its POST with a 5xx and had not taken it."""
    cancelling: bool = False
    blocked: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    files: dict[FileRef, str | None] = field(default_factory=dict[FileRef, str | None])
    """Result files announced so far, and where they lie: None while on their way, "" if they are gone."""
    streamed: list[str] = field(default_factory=list[str])
    """Pictures that came through the websocket (SaveImageWebsocket), and where they lie."""
    saving: int = 0
    """How many streamed pictures are on their way to disk."""
    kept: int = 0
    """How many file names were given out."""
    history: History | None = None
    terminal_update: TerminalUpdate | None = None
    """What its person is to be told at the end, kept until they were, and for whoever asks later."""
    notified: bool = False
    """Whether its person has had the last word."""
    place: str = ""
    """Where it is shown, in the door's own words."""
    receipt: str = ""
    """What proves that the last word was shown there, in the door's own words."""

    @property
    def id(self) -> JobId:
        """Its id, for life."""
        return self.request.job

    @property
    def in_flight(self) -> bool:
        """Whether it takes a place on a server."""
        return self.state.at_server and self.history is None

    def move(self, state: State) -> bool:
        """Move forward, or say False: a lower rank and a second end are late news, and change nothing."""
        if state <= self.state or (self.state.settled and state is not State.DELIVERED):
            return False
        self.state = state
        self.version += 1
        return True

    def fail(self) -> None:
        """End as failed, from any state that is not an end for its person: also with files on their way."""
        self.state = State.FAILED
        self.version += 1

    def ended(self, history: History) -> bool:
        """Note how the attempt ended; False if that was known."""
        if self.history is not None or self.state.settled:
            return False
        self.history = history
        self.version += 1
        return True

    def reset_for_retry(self) -> None:
        """Go back to the start for another attempt: the one way back, for what a server forgot or cannot be asked."""
        self.state = State.ACCEPTED
        self.version += 1
        self.attempt = None
        self.files.clear()
        self.streamed.clear()
        self.blocked.clear()
        self.notes.clear()
        self.history = None


class Entry(Struct, frozen=True):
    """A job as the journal lists it. Times are seconds since 1970."""

    job: Job
    accepted: float
    changed: float


class TransitionRow(Struct, frozen=True):
    """One line of a job's story, and when it was written, in seconds since 1970."""

    at: float
    transition: Transition


class OperatorRequest(Struct, frozen=True):
    """What an operator wants of the bot, told through the journal: "cancel" or "retry" a job."""

    number: int
    verb: str
    job: JobId
