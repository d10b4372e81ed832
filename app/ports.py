"""What the house needs of the world, in the house's own words. Adapters translate, errors included."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, TypeVarTuple, Unpack

from msgspec import Struct

from app.events import AnyUpdate, FileRef, NodeId, NodeOutput, PromptId, ServerEvent

Ts = TypeVarTuple("Ts")
T = TypeVar("T")

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
    """Any JSON value."""
else:
    # msgspec reads types at run time, and has no recursive ones.
    Json = Any

Graph: TypeAlias = dict[str, dict[str, Json]]
"""A workflow in API format: {node id: {"class_type": ..., "inputs": {...}, "_meta": {"title": ...}}}."""

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncIterator[ServerEvent]]]
"""Open one websocket for the length of a block, say hello, and iterate what the server says.

The iteration never ends by itself. Entering and iterating raise `ConnectionLost`, whatever the cause: a
refused connection, a 502, a bad certificate, a peer that hung up or no longer answers pings.
"""


class RunSync(Protocol):
    """Run a blocking function without blocking the loop: a thread, or on the spot where time is virtual."""

    def __call__(self, function: Callable[[Unpack[Ts]], T], /, *args: *Ts) -> Awaitable[T]:
        """Return what the function returns, or raise what it raises."""
        ...


class ConnectionLost(Exception):
    """The other side is away: expected, and worth another try. The text is a sentence for the log."""


class Refused(Exception):
    """The server understood and said no. `reason` is one sentence for a person, with node titles.

    `certain` is False for a 5xx: the server may have taken the prompt all the same (measured, T19), so look
    into queue and history before asking again. `missing` are inputs that the server's nodes need and the prompt
    does not have, if nothing else is wrong with it.
    """

    def __init__(self, reason: str, *, certain: bool = True, missing: Sequence[tuple[NodeId, str]] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.certain = certain
        self.missing = missing


class Ticket(Struct, frozen=True):
    """The server took a prompt. `prompt` is the id it uses, which an old one chose itself.

    `dropped` are sentences about outputs that did not pass validation and will not run.
    """

    prompt: PromptId
    dropped: tuple[str, ...] = ()


class Queue(Struct, frozen=True):
    """GET /queue: the ids running, and those pending in the order in which they will run."""

    running: tuple[PromptId, ...] = ()
    pending: tuple[PromptId, ...] = ()


class History(Struct, frozen=True):
    """GET /history/{id} of a prompt that ended. `outcome` is "success", "failed" or "interrupted"."""

    outcome: str
    outputs: tuple[NodeOutput, ...] = ()
    node: str = ""
    error: str = ""
    error_kind: str = ""
    cached: frozenset[str] = frozenset()


class Stats(Struct, frozen=True):
    """GET /system_stats, the part that people ask for. Memory in bytes."""

    version: str
    devices: tuple[str, ...] = ()
    memory_total: int = 0
    memory_free: int = 0


class Comfy(Protocol):
    """One ComfyUI over HTTP. Every verb may raise `ConnectionLost`."""

    async def submit(self, prompt: PromptId, graph: Graph) -> Ticket:
        """POST /prompt under our id and our client id. Raises `Refused`."""
        ...

    async def queue(self) -> Queue:
        """GET /queue."""
        ...

    async def history(self, prompt: PromptId) -> History | None:
        """GET /history/{id}; None while it waits, runs, or is unknown."""
        ...

    async def newest(self, count: int) -> Mapping[PromptId, History]:
        """GET /history?max_items: the `count` prompts, anybody's, that ended last; fewer if there are no more."""
        ...

    async def cancel(self, prompt: PromptId) -> None:
        """Ask the server to drop exactly this prompt, pending or running; no proof that it did."""
        ...

    async def fetch(self, file: FileRef, to: Path) -> None:
        """GET /view, streamed to disk; `to` appears whole or not at all. Raises `Refused` if it is gone."""
        ...

    async def upload(self, file: Path) -> str:
        """POST /upload/image under a name of our own; the answer is what a LoadImage node wants to hear.

        Raises `Refused`.
        """
        ...

    async def choices(self, class_type: str, input_name: str) -> Sequence[str]:
        """What the server's /object_info lists for one input of one node class; empty if it lists nothing."""
        ...

    async def default(self, class_type: str, input_name: str) -> Json:
        """What the server's /object_info puts into an input of a new node; None if nothing."""
        ...

    async def nodes(self) -> dict[str, Json]:
        """GET /object_info, whole: every node class of the server, as it describes them; a few MB."""
        ...

    async def stats(self) -> Stats:
        """GET /system_stats. Raises `Refused` where something answers that is no ComfyUI."""
        ...


class WebSocket(Protocol):
    """One open websocket, whoever speaks it: trio-websocket, aiohttp or the simulator in memory.

    Every verb raises `ConnectionLost` once the peer is gone. Pings are the opener's business.
    """

    async def send(self, message: str) -> None:
        """Send one text frame."""
        ...

    async def receive(self) -> str | bytes:
        """Wait for the next text or binary frame."""
        ...


OpenWebSocket: TypeAlias = Callable[[], AbstractAsyncContextManager[WebSocket]]
"""Open one websocket for the length of a block; raises `ConnectionLost` where that fails."""


class Reply(Protocol):
    """The one place where a person watches their job: a message, a line of a table."""

    @property
    def pause(self) -> float:
        """Seconds to leave between two words, unless the second is the last; 0 shows everything."""
        ...

    @property
    def receipt(self) -> str:
        """What proves, after the last word, that it was shown; "" where nothing can."""
        ...

    async def show(self, update: AnyUpdate) -> None:
        """Make the place say this now. Raises `ConnectionLost` where it is out of reach for the moment."""
        ...
