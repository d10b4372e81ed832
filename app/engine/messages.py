"""What fronts and workers send each other. All of it is MessagePack, except the registration, which people read.

A worker gets graphs, ids of prompts and input files, and nothing about the people who asked for them.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar, cast

import msgspec
from msgspec import Raw, Struct

from app.events import FileRef, Json, NodeId, PromptId, ServerEvent
from app.reasons.servers import NetworkReason, RefusalReason

T = TypeVar("T")

PROTOCOL = 1
"""The version of these messages. A front and a worker of different versions do not work together."""

CHUNK = 256 * 2**10
"""Bytes of one chunk of a file."""

INLINE = 2**20
"""Bytes of the largest value that is part of a message; a larger one travels in chunks."""

MESSAGE = 16 * 2**20
"""Bytes of the largest message that is read; ComfyUI's graphs have up to 500 kB."""


class InvalidMessage(Exception):
    """What was read is not a message that we know. Its text is for the log."""


class OfferedServer(Struct, frozen=True, kw_only=True):
    """One ComfyUI of a worker. `label` tells it from the worker's others, "" if it is the only one.

    `workflows` are those that it may run now, None for all.
    """

    label: str = ""
    workflows: tuple[str, ...] | None = None
    weight: float = 1.0


class Registration(Struct, frozen=True, kw_only=True):
    """What a worker says of itself for as long as it holds its name.

    `hours` are the minutes of the day from and to which it takes jobs, None for always. `ahead` is by how many seconds
    its clock is ahead of the engine's.
    """

    session: str
    protocol: int = PROTOCOL
    program: str = ""
    servers: tuple[OfferedServer, ...] = ()
    hours: tuple[int, int] | None = None
    ahead: int = 0


# Calls: what a front asks of a worker.


class Call(Struct, frozen=True, tag=True):
    """Something to do for one server of a worker."""


class Submit(Call, frozen=True):
    """`Comfy.submit`."""

    prompt: PromptId
    graph: dict[str, dict[str, Json]]


class ReadQueue(Call, frozen=True):
    """`Comfy.queue`."""


class ReadHistory(Call, frozen=True):
    """`Comfy.history`."""

    prompt: PromptId


class ReadNewest(Call, frozen=True):
    """`Comfy.newest`."""

    count: int


class Cancel(Call, frozen=True):
    """`Comfy.cancel`."""

    prompt: PromptId


class ReadNode(Call, frozen=True):
    """`Comfy.node`."""

    class_type: str


class ReadNodes(Call, frozen=True):
    """`Comfy.nodes`."""


class ReadReplacements(Call, frozen=True):
    """`Comfy.replacements`."""


class ReadStats(Call, frozen=True):
    """`Comfy.stats`."""


class Fetch(Call, frozen=True):
    """Fetch a file from ComfyUI and hold it ready; the answer is `Large`."""

    file: FileRef


class Upload(Call, frozen=True):
    """`Comfy.upload` of what was put in chunks."""

    content: Large
    name: str


class GetChunk(Call, frozen=True):
    """Put one chunk of what is held ready into the engine."""

    transfer: str
    number: int


class PutChunk(Call, frozen=True):
    """Take one chunk out of the engine."""

    transfer: str
    number: int


class Release(Call, frozen=True):
    """A transfer is over; forget it."""

    transfer: str


class Listen(Call, frozen=True):
    """Open a websocket, and send what it receives to the stream of this subscription."""

    subscription: str


class KeepListening(Call, frozen=True):
    """Go on with a subscription, which ends if nobody asks for this."""

    subscription: str


class StopListening(Call, frozen=True):
    """End a subscription."""

    subscription: str


AnyCall: TypeAlias = (
    Submit
    | ReadQueue
    | ReadHistory
    | ReadNewest
    | Cancel
    | ReadNode
    | ReadNodes
    | ReadReplacements
    | ReadStats
    | Fetch
    | Upload
    | GetChunk
    | PutChunk
    | Release
    | Listen
    | KeepListening
    | StopListening
)


class Request(Struct, frozen=True, kw_only=True):
    """A call by `front` to the server with this label. It must begin within so many seconds, by the engine's clock.

    `client` is the id by which ComfyUI knows the front.
    """

    number: int
    front: str
    client: str
    server: str
    within: float
    call: AnyCall


# Answers: what came of it.


class Large(Struct, frozen=True):
    """A value of so many bytes that is transferred in chunks; `digest` is its SHA-256 in hexadecimal digits.

    The first `ready` chunks are in the engine already. `content` is all of a small value, which has no chunks.
    """

    transfer: str
    size: int
    digest: str
    ready: int = 0
    content: bytes = b""

    @property
    def is_complete(self) -> bool:
        """Whether `content` is the whole value, so that its sender is asked for nothing and keeps nothing."""
        return len(self.content) == self.size


class Done(Struct, frozen=True, tag=True):
    """The value that the method returned, in MessagePack."""

    value: Raw


class DoneLarge(Struct, frozen=True, tag=True):
    """The same for a value that is too large for a message."""

    value: Large


class Lost(Struct, frozen=True, tag=True):
    """`ConnectionLost`."""

    reason: NetworkReason


class NotDone(Struct, frozen=True, tag=True):
    """`Refused`."""

    reason: RefusalReason
    certain: bool = True
    missing: tuple[tuple[NodeId, str], ...] = ()
    unusable: tuple[tuple[NodeId, str], ...] = ()


Answer: TypeAlias = Done | DoneLarge | Lost | NotDone


class Reply(Struct, frozen=True):
    """What came of the request with this number."""

    number: int
    answer: Answer


# Events: what a websocket receives.


class Events(Struct, frozen=True, tag=True):
    """Events in their order. `number` is one more than that of the message before, from 1."""

    number: int
    events: tuple[ServerEvent, ...]


class LargeEvents(Struct, frozen=True, tag=True):
    """The same for events that are too large for a message, such as a picture that a node sends."""

    number: int
    events: Large


class ListeningEnded(Struct, frozen=True, tag=True):
    """The websocket is gone. The last message of a subscription."""

    number: int
    reason: NetworkReason


EventMessage: TypeAlias = Events | LargeEvents | ListeningEnded

_encoder = msgspec.msgpack.Encoder()


def encode(message: object) -> bytes:
    """Write a message. Raises `ValueError` or `RecursionError` for what cannot be written."""
    return _encoder.encode(message)


def decode(data: bytes, shape: type[T]) -> T:
    """Read a message. Raises `InvalidMessage`."""
    if len(data) > MESSAGE:
        raise InvalidMessage(f"{len(data)} bytes")
    return decode_value(data, shape)


def decode_value(data: bytes | Raw, shape: type[T]) -> T:
    """Read a value, of any size. Raises `InvalidMessage`."""
    try:
        return msgspec.msgpack.decode(data, type=shape)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidMessage(str(error)) from error


def decode_events(data: bytes) -> EventMessage:
    """Read a message about a websocket. Raises `InvalidMessage`."""
    return decode(data, cast("type[EventMessage]", EventMessage))


def read_registration(data: bytes) -> Registration:
    """Read a registration. Raises `InvalidMessage`."""
    try:
        return msgspec.json.decode(data, type=Registration)
    except msgspec.DecodeError as error:
        raise InvalidMessage(str(error)) from error
