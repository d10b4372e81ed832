"""The interfaces through which the application uses the outside. Adapters translate everything, including errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar, TypeVarTuple, Unpack

from msgspec import Raw, Struct

from app.events import AnyUpdate, FileRef, JobId, Json, NodeId, NodeOutput, PromptId, ServerEvent
from app.reasons.servers import NetworkReason, OutOfReach, PartDropped, RefusalReason

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

Graph: TypeAlias = dict[str, dict[str, Json]]
"""A workflow in API format: {node id: {"class_type": ..., "inputs": {...}, "_meta": {"title": ...}}}."""

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncIterator[ServerEvent]]]
"""Open one websocket for the length of a block, do the handshake, and iterate over the server's events.

The iteration never ends by itself. Entering and iterating raise `ConnectionLost`, whatever the cause: a refused
connection, a 502, a bad certificate, a peer that hung up or no longer answers pings.
"""

Probe: TypeAlias = Callable[[], Awaitable[None]]
"""Find out, without a handshake, whether a new websocket may succeed.

Raises `ConnectionLost` if nothing accepts connections at the server's address. Returns if something does, and also if
that is still unclear after a second: a slow network must not count as an outage.
"""


class RunSync(Protocol):
    """Runs a blocking function without blocking the event loop: in a thread, or directly if time is virtual."""

    def __call__(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> Awaitable[T]:
        """Return what the function returns, or raise what it raises."""
        ...


class OtherDisks(Protocol):
    """The disks of the other processes that may continue the work of this one. Neither method raises anything."""

    async def bring(self, paths: Sequence[str], seconds: float) -> None:
        """Copy what is missing here of these files, if another process has it; return after `seconds` at most."""
        ...

    async def spread(self, paths: Sequence[str]) -> None:
        """Return once the others have these files, or after a few seconds."""
        ...


class OpenRequest(Struct, frozen=True):
    """A request whose person was told that the bot thinks. `token` answers them, `typed` is what they wrote.

    `job` is what becomes of the request, "" while there is none.
    """

    token: str
    typed: str = ""
    job: JobId = JobId("")

    def __repr__(self) -> str:
        """Leave out the token and the text."""
        return f"OpenRequest(job={self.job!r})"


class OpenRequestStore(Protocol):
    """Keeps outside of this process who waits for an answer. No method raises anything."""

    def put(self, request: OpenRequest) -> None:
        """Keep a request soon, in place of an earlier one with this token."""
        ...

    async def kept(self, token: str) -> None:
        """Wait until what was put last is kept, or for a moment at most."""
        ...

    def remove(self, token: str) -> None:
        """Forget a request that was answered, whichever process had put it."""
        ...

    async def left(self) -> Sequence[OpenRequest]:
        """The requests that other processes have left. They stay there until they are removed."""
        ...


class ConnectionLost(Exception):
    """The other side cannot be reached: expected, and worth another attempt. Its text is for the log only."""

    def __init__(self, reason: NetworkReason) -> None:
        super().__init__(reason)
        self.reason = reason


class NoPlace(ConnectionLost):
    """Every place where something could be shown refuses it: another attempt makes sense only after a long pause."""

    def __init__(self) -> None:
        super().__init__(OutOfReach("refused"))


class Refused(Exception):
    """The server understood and refused. Its text is for the log only.

    `certain` is False for a 5xx: the server may have queued the prompt anyway (measured, T19), so read the queue and
    the history before submitting again. `missing` are inputs that the server's nodes require and the prompt does not
    have, if nothing else is wrong with it. `unusable` are inputs whose value the server does not have, such as a file.
    """

    def __init__(
        self,
        reason: RefusalReason,
        *,
        certain: bool = True,
        missing: Sequence[tuple[NodeId, str]] = (),
        unusable: Sequence[tuple[NodeId, str]] = (),
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.certain = certain
        self.missing = missing
        self.unusable = unusable


class Ticket(Struct, frozen=True):
    """The server accepted a prompt. `prompt` is the id it uses; an old server chooses its own.

    `dropped` are the outputs that failed validation and will not run.
    """

    prompt: PromptId
    dropped: tuple[PartDropped, ...] = ()


class Queue(Struct, frozen=True):
    """GET /queue: the running prompts, and the pending ones in the order in which they will run."""

    running: tuple[PromptId, ...] = ()
    pending: tuple[PromptId, ...] = ()


class History(Struct, frozen=True):
    """GET /history/{id} of a prompt that ended.

    `outcome` is "success", "failed", "interrupted", or "unreadable" if the server's record of it cannot be read.
    `seconds` are those from its start to its end by the server's clock, None if the server does not say.
    """

    outcome: str
    outputs: tuple[NodeOutput, ...] = ()
    node: str = ""
    error: str = ""
    error_kind: str = ""
    cached: frozenset[str] = frozenset()
    executed: frozenset[str] | None = None
    """The nodes that had run when it failed or was interrupted at `node`; None if the server does not say."""
    seconds: float | None = None


class Stats(Struct, frozen=True):
    """The part of GET /system_stats that is displayed. Memory in bytes."""

    version: str
    devices: tuple[str, ...] = ()
    memory_total: int = 0
    memory_free: int = 0


class Comfy(Protocol):
    """One ComfyUI server over HTTP. Every method may raise `ConnectionLost`."""

    async def submit(self, prompt: PromptId, graph: Graph, *, paid: bool = False) -> Ticket:
        """POST /prompt with our prompt id and our client id; if `paid`, also with the key for services that bill.

        Raises `Refused`.
        """
        ...

    async def queue(self) -> Queue:
        """GET /queue."""
        ...

    async def history(self, prompt: PromptId) -> History | None:
        """GET /history/{id}; None while it waits, runs, or is unknown."""
        ...

    async def newest(self, count: int) -> Mapping[PromptId, History]:
        """GET /history?max_items: the `count` prompts of all clients that ended last; fewer if there are no more."""
        ...

    async def cancel(self, prompt: PromptId) -> None:
        """Ask the server to drop exactly this prompt, pending or running; returning does not prove that it did."""
        ...

    async def fetch(self, file: FileRef, to: Path) -> None:
        """GET /view, streamed to disk; `to` appears completely or not at all. Raises `Refused` if the file is gone."""
        ...

    async def upload(self, file: Path, name: str) -> str:
        """POST /upload/image under this name; returns the value for the input of a LoadImage node.

        Raises `Refused`.
        """
        ...

    async def node(self, class_type: str) -> Raw | None:
        """GET /object_info/{class}: one node class, as the server describes it; None if the server does not have it."""
        ...

    async def nodes(self) -> Mapping[str, Raw]:
        """GET /object_info: every node class of the server, as the server describes it; a few MB."""
        ...

    async def replacements(self) -> Mapping[str, Raw]:
        """GET /node_replacements: the classes that the server replaces by others, as it says; {} if it has none."""
        ...

    async def stats(self) -> Stats:
        """GET /system_stats. Raises `Refused` if what answers is not ComfyUI."""
        ...


class WebSocket(Protocol):
    """One open websocket, over trio-websocket, aiohttp or the in-memory simulator.

    Every method raises `ConnectionLost` once the peer is gone. Whoever opens it sends the pings.
    """

    async def send(self, message: str) -> None:
        """Send one text frame."""
        ...

    async def receive(self) -> str | bytes:
        """Wait for the next text or binary frame."""
        ...


OpenWebSocket: TypeAlias = Callable[[], AbstractAsyncContextManager[WebSocket]]
"""Open one websocket for the length of a block; raises `ConnectionLost` if that fails."""


class Reply(Protocol):
    """The one place where a user follows a job: a message, or a line of a table."""

    @property
    def pause(self) -> float:
        """Seconds to wait between two updates, unless the second is the terminal update; 0 shows everything."""
        ...

    @property
    def receipt(self) -> str:
        """Proof, after the terminal update, that it was shown; "" if there is none."""
        ...

    async def show(self, update: AnyUpdate) -> None:
        """Display this update.

        Raises `ConnectionLost` if the place cannot be reached for the moment, `NoPlace` if it refuses.
        """
        ...


class AlertChannel(Protocol):
    """A place where an operator reads alerts: a message to the owner, a channel, a webhook."""

    async def send(self, text: str) -> None:
        """Send one line. Raises `ConnectionLost`, whatever the cause; it is then tried a few times more."""
        ...
