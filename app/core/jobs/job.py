"""A job: its request, its state, and the one rule for changing the state. Plain data."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct, field
from msgspec.structs import replace

from app.core.limits.spending import Money, Payment, with_limits
from app.core.limits.usage import Allowance, Origin
from app.events import ChosenModel, FileRef, JobId, NodeId, PromptId, ServerName, TerminalUpdate
from app.ports import Graph, History, Json
from app.reasons.jobs import JobReason


class Upload(Struct, frozen=True):
    """Before submitting, upload the file at `path` and write the name the server gives it into this input."""

    node: NodeId
    input: str
    path: str


class FirstChoice(Struct, frozen=True):
    """Before submitting, set this input to the first value that the chosen server lists for it (e.g. a checkpoint)."""

    node: NodeId
    input: str


class SeedInput(Struct, frozen=True):
    """An input of the graph that holds a seed."""

    node: NodeId
    input: str


class Refetch(Struct, frozen=True):
    """What is known of an earlier job whose results did not all arrive: how it ended, where, and the files we have."""

    server: ServerName
    prompt: PromptId
    history: History
    files: tuple[tuple[FileRef, str], ...] = ()


class Batch(Struct, frozen=True):
    """A request for `size` pictures, each of which is a job of its own; these inputs get the next seed in each.

    If results are only downloaded, `refetch` is what is known of the earlier job of each further picture. `edits` says
    for each further picture which edit of the request added it, 0 if it was there from the start; empty if none did.
    """

    size: int
    seeds: tuple[SeedInput, ...]
    refetch: tuple[Refetch, ...] = ()
    edits: tuple[int, ...] = ()


class Variation(Struct, frozen=True):
    """A request that starts from a picture, by the graph that made it: what is done to it, and its path."""

    change: str
    picture: str


class JobRequest(Struct, frozen=True, kw_only=True):
    """A request for one job, complete except for what only the chosen server knows.

    `owner` identifies the user, in the frontend's format. `folder` is where result files are written. `seed` is the
    seed in the graph and `values` are the values the user set, by slot; both are kept for display. If the running job
    produces no frame for `silence` seconds, the user is told that it is still running. `servers` are the servers that
    could run it when it was made; empty if nobody knew; with `has_model`, no other has the model that it names. `cost`
    is the manifest's, and `weight` says how much of the servers' time the person gets beside others. `guild` and
    `channel` are where it was made, "" if that is not in Discord; `thread` is the thread of the channel where that was,
    if it was in one. `allowances` are the limits that applied there.
    `payment` is what services bill for a run, None if nothing. With `refetch`, nothing is generated: only missing
    results are downloaded. With `batch`, it is the first of several; these have its id as `lead`, and `part` is their
    number, counted from 0. `parent` is the job that it was made from, by a button below its result; "" if it was not.
    With `variation`, the graph is not the workflow's own, but derived from it.
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
    cost: float = 1.0
    weight: float = 1.0
    guild: str = ""
    channel: str = ""
    thread: str = ""
    allowances: tuple[Allowance, ...] = ()
    payment: Payment | None = None
    refetch: Refetch | None = None
    batch: Batch | None = None
    lead: JobId = JobId("")
    part: int = 0
    parent: JobId = JobId("")
    variation: Variation | None = None
    has_model: bool = False

    @property
    def pictures(self) -> int:
        """How many jobs it is, each with the next seed."""
        return self.batch.size if self.batch is not None else 1

    @property
    def is_paid(self) -> bool:
        """Whether services may bill for the run of this job; downloading results costs nothing."""
        return self.payment is not None and self.refetch is None

    @property
    def price(self) -> Money:
        """What the run of this job costs."""
        return self.payment.price if self.payment is not None and self.is_paid else 0

    @property
    def shown_in(self) -> str:
        """The channel or thread where it was made: who sees that may see what was made."""
        return self.thread or self.channel

    @property
    def origin(self) -> Origin:
        """Who asked for it, and where."""
        return Origin(self.owner, self.guild, self.channel)


class State(IntEnum):
    """The state of a job. The number is its rank: messages may arrive out of order, and a lower rank is ignored."""

    ACCEPTED = 0
    SUBMITTING = 1
    QUEUED = 2
    RUNNING = 3
    FINISHED = 4
    """ComfyUI succeeded; the files may still be downloading."""
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
        """Whether the server is done with the job, successfully or not. After that the outcome never changes."""
        return self >= State.FINISHED


class Transition(Struct, frozen=True):
    """One change of a job, for the journal: the state after it, the server, the prompt, and the cause.

    If the cause is a reason, only its kind is recorded: the job has the reason itself.
    """

    job: JobId
    version: int
    state: str
    cause: str
    server: str = ""
    prompt: str = ""


class Attempt(Struct, rename={"cancel_acknowledged": "withdrawn"}):
    """One attempt at a job on one server, with its own prompt id."""

    prompt: PromptId
    server: ServerName
    posting: bool = True
    """Our POST has not been answered yet, so a query of the server proves nothing."""
    cancel_acknowledged: bool = False
    """The server acknowledged our cancel request."""
    foreign: int = 0
    """The number of other clients' prompts ahead of it in the server's queue."""
    unread: int = 0
    """How often in a row its history could not be read."""
    never_ran: bool = False
    """It is certain that no server has run it or will run it."""
    expected: float | None = None
    """The seconds that it was expected to take when it was sent, for which its person was charged."""
    loading: bool = False
    """Whether its models had to be loaded first."""


class Job(Struct, kw_only=True):
    """The registry's record of a job; nothing else changes it.

    `version` grows with every change of state. A reading of the server that was requested for another version is stale
    and changes nothing.
    """

    request: JobRequest
    state: State = State.ACCEPTED
    version: int = 0
    attempt: Attempt | None = None
    tries: int = 0
    worker_deaths: int = 0
    """How often a server forgot the job while running it."""
    refusals: int = 0
    """How often a server answered its POST with a 5xx and had not queued it."""
    edits: int = 0
    """How often its request was replaced while it waited."""
    cancelling: bool = False
    leftovers: list[Attempt] = field(default_factory=list[Attempt])
    """Attempts that were given up while a server might still have their prompts, which are cancelled there."""
    blocked: list[str] = field(default_factory=list[str])
    notes: list[JobReason | str] = field(default_factory=list["JobReason | str"])
    files: dict[FileRef, str | None] = field(default_factory=dict[FileRef, str | None])
    """Result files announced so far, and their paths: None while downloading, "" if they are gone."""
    streamed: list[str] = field(default_factory=list[str])
    """Paths of the images that arrived over the websocket (SaveImageWebsocket)."""
    saving: int = 0
    """How many streamed images are being written to disk."""
    kept: int = 0
    """How many file names were handed out."""
    history: History | None = None
    terminal_update: TerminalUpdate | None = None
    """The terminal update, kept until the user has seen it and for anyone who asks later."""
    gathered: bool = False
    """Whether the terminal update is that of the whole batch that this job leads."""
    notified: bool = False
    """Whether the user has seen the terminal update."""
    spent: Money = 0
    """What counts as spent for it, once it has ended."""
    place: str = ""
    """Where it is shown, in the frontend's format."""
    chosen: tuple[ChosenModel, ...] = ()
    """What the current attempt's server chose for the inputs that the request leaves open."""
    receipt: str = ""
    """Proof that the terminal update was shown there, in the frontend's format."""

    @property
    def id(self) -> JobId:
        """The job's id, which never changes."""
        return self.request.job

    @property
    def waits(self) -> bool:
        """Whether it waits here, for its first attempt or for another one."""
        return self.state is State.ACCEPTED and self.terminal_update is None

    @property
    def in_flight(self) -> bool:
        """Whether its current attempt occupies a slot of a server's queue."""
        return self.state.at_server and self.history is None

    @property
    def may_cost_again(self) -> bool:
        """Whether another attempt could be paid for twice: it costs money, and this attempt may have run."""
        return self.request.price > 0 and self.attempt is not None and not self.attempt.never_ran

    def leftover(self, prompt: PromptId) -> Attempt | None:
        """The attempt with this prompt, if it was given up and its server may still have the prompt."""
        return next((attempt for attempt in self.leftovers if attempt.prompt == prompt), None)

    def posted(self, prompt: PromptId) -> None:
        """Record that the POST of the attempt with this prompt is over, whatever its answer."""
        for attempt in (self.attempt, *self.leftovers):
            if attempt is not None and attempt.prompt == prompt:
                attempt.posting = False

    def move(self, state: State) -> bool:
        """Advance to `state` and return True; return False and change nothing if the job is already there or further.

        A lower rank or a second outcome is a late message. The one move after the server is done is the one to
        DELIVERED.
        """
        if state <= self.state or (self.state.settled and state is not State.DELIVERED):
            return False
        self.state = state
        self.version += 1
        return True

    def end(self, state: State) -> None:
        """Set the state to that of an end, from any state, even while files are downloading."""
        self.state = state
        self.version += 1

    def edit(self, request: JobRequest) -> None:
        """Replace the request; the job keeps its id, its person, and the place where it counts."""
        self.request = replace(self.adapted(request), job=self.id)
        self.edits += 1
        self.version += 1

    def adapted(self, request: JobRequest) -> JobRequest:
        """A request for the person of this job, in the place where it counts."""
        mine = self.request
        return replace(
            request,
            owner=mine.owner,
            weight=mine.weight,
            guild=mine.guild,
            channel=mine.channel,
            thread=mine.thread,
            allowances=mine.allowances,
            payment=with_limits(request.payment, mine.payment),
            parent=mine.parent,
        )

    @property
    def paths(self) -> tuple[str, ...]:
        """The result files that have arrived."""
        return tuple(path for path in (*self.files.values(), *self.streamed) if path)

    def ended(self, history: History) -> bool:
        """Record how the attempt ended; return False if that was already known."""
        if self.history is not None or self.state.settled:
            return False
        self.history = history
        self.version += 1
        return True

    def reset_for_retry(self) -> None:
        """Return to ACCEPTED for another attempt, after the server forgot the job or cannot be queried.

        Nothing else moves a job back.
        """
        self.state = State.ACCEPTED
        self.version += 1
        self.attempt = None
        self.files.clear()
        self.streamed.clear()
        self.blocked.clear()
        self.notes.clear()
        self.history = None

    def take_back(self, attempt: Attempt) -> None:
        """Return to an attempt that was given up, because its server has it after all."""
        self.reset_for_retry()
        self.leftovers.remove(attempt)
        self.attempt = attempt


class Entry(Struct, frozen=True):
    """A job as the journal lists it. Times are seconds since 1970."""

    job: Job
    accepted: float
    changed: float


class TransitionRow(Struct, frozen=True):
    """A transition and the time it was written, in seconds since 1970."""

    at: float
    transition: Transition


class OperatorRequest(Struct, frozen=True):
    """A request from an operator, passed through the journal: `verb` is "cancel" or "retry".

    If it is "start" or "stop", then `job` is the name of a server.
    """

    number: int
    verb: str
    job: JobId
