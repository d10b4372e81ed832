"""Why a ComfyUI server cannot be reached, or what it refused and why, as data.

The journal stores some of these: see `app.reasons.jobs`. Messages are in the words of the server, of the system or of a
library. Which server it was is not part of a reason: whoever asked it knows.
"""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason

# Why a server cannot be reached.


class RefusedConnection(Reason, frozen=True):
    """Nothing listens at the server's address."""


class UnknownHost(Reason, frozen=True):
    """The name in the server's address cannot be looked up."""


class OutOfReach(Reason, frozen=True):
    """Another network error; `message` is the system's."""

    message: str


class NoAnswer(Reason, frozen=True):
    """The server did not accept the connection, or not answer, within `seconds`."""

    seconds: float


class SaysNothing(Reason, frozen=True):
    """The server accepted a request, and then sent no byte for `seconds`."""

    seconds: float


class TooSlow(Reason, frozen=True):
    """The server sends, but too slowly; `seconds` is how long it had for all of it, 0 if that was not the limit."""

    seconds: float = 0.0


class TooManyRequests(Reason, frozen=True):
    """All of our connections to the server are in use."""


class HungUp(Reason, frozen=True):
    """The server closed the connection; `code` is that of the websocket's close frame, 0 if there was none."""

    code: int = 0


class CutShort(Reason, frozen=True):
    """A file has another length, in bytes, than was announced."""

    received: int
    expected: int


class NoPong(Reason, frozen=True):
    """The server no longer answers the websocket's pings."""


class SocketDeaf(Reason, frozen=True):
    """The websocket is open, but no longer delivers what the server sends."""


class UntrustedCertificate(Reason, frozen=True):
    """The server's certificate is not valid for us; `message` is OpenSSL's."""

    message: str


class TlsFailed(Reason, frozen=True):
    """TLS could not be set up; `message` is OpenSSL's name for the reason."""

    message: str


class CaFileUnreadable(Reason, frozen=True):
    """The CA file of the configuration cannot be read; `message` is the system's."""

    message: str


class NotHttp(Reason, frozen=True):
    """The server's answer is not HTTP."""


class ProxyError(Reason, frozen=True):
    """A reverse proxy answers that it does not reach the server."""

    status: int


class HandshakeRefused(Reason, frozen=True):
    """The server answers the websocket's handshake with an HTTP status."""

    status: int


class HandshakeInvalid(Reason, frozen=True):
    """The server's answer to the websocket's handshake is invalid."""


class FrameInvalid(Reason, frozen=True):
    """A frame of the websocket is invalid; `message` is the library's."""

    message: str


class FrameTooLarge(Reason, frozen=True):
    """A message of the websocket has more than `limit` bytes."""

    limit: int


class LibraryError(Reason, frozen=True):
    """The library for websockets, or our own code, raised an unexpected exception of this class."""

    exception: str


class NotComfyUI(Reason, frozen=True):
    """Something else than ComfyUI answers at this address. `sent` is the media type of its answer, "" if unknown."""

    sent: str = ""


class WorkerAway(Reason, frozen=True):
    """The worker through which the server is reached has lost its lease: it ended, hangs, or is cut off."""


class EngineAway(Reason, frozen=True):
    """The engine, Valkey or Redis, cannot be reached; `message` is the system's or the library's."""

    message: str


class EngineRefuses(Reason, frozen=True):
    """The engine does not do what it is asked, or does not accept the login; `message` is the engine's."""

    message: str


NetworkReason: TypeAlias = (
    RefusedConnection
    | UnknownHost
    | OutOfReach
    | NoAnswer
    | SaysNothing
    | TooSlow
    | TooManyRequests
    | HungUp
    | CutShort
    | NoPong
    | SocketDeaf
    | UntrustedCertificate
    | TlsFailed
    | CaFileUnreadable
    | NotHttp
    | ProxyError
    | HandshakeRefused
    | HandshakeInvalid
    | FrameInvalid
    | FrameTooLarge
    | LibraryError
    | NotComfyUI
    | WorkerAway
    | EngineAway
    | EngineRefuses
)
"""Why a connection is lost or cannot be made: another attempt may help."""


# What is wrong with a node of a workflow, according to the server. `node` is its title.


class ValueNotListed(Reason, frozen=True):
    """The value is not among those that the server lists. `choices` is None if they are unknown or too many to read."""

    node: str
    input: str
    value: str
    choices: tuple[str, ...] | None = None


class ValueTooSmall(Reason, frozen=True):
    """The value is below the limit."""

    node: str
    input: str
    value: str
    limit: str


class ValueTooLarge(Reason, frozen=True):
    """The value is above the limit."""

    node: str
    input: str
    value: str
    limit: str


class ValueInvalid(Reason, frozen=True):
    """The value is of the wrong type."""

    node: str
    input: str
    value: str


class InputMissing(Reason, frozen=True):
    """A required input has no value and no connection."""

    node: str
    input: str


class LinkBroken(Reason, frozen=True):
    """An input is connected to a node or an output that does not exist."""

    node: str


class LinkMismatch(Reason, frozen=True):
    """An input is connected to an output of another type."""

    node: str
    input: str


class LinksCircular(Reason, frozen=True):
    """The node waits for its own result."""

    node: str


class NodeInvalid(Reason, frozen=True):
    """Any other problem; `message` is the server's."""

    node: str
    message: str


NodeProblem: TypeAlias = (
    ValueNotListed
    | ValueTooSmall
    | ValueTooLarge
    | ValueInvalid
    | InputMissing
    | LinkBroken
    | LinkMismatch
    | LinksCircular
    | NodeInvalid
)


# What a server refused, and why.


class NodesInvalid(Reason, frozen=True):
    """The server refused the workflow for these problems, and for `more` others."""

    problems: tuple[NodeProblem, ...] = ()
    more: int = 0


class PartDropped(Reason, frozen=True):
    """The server accepted the workflow without the parts that have these problems, and `more` others."""

    problems: tuple[NodeProblem, ...] = ()
    more: int = 0


class NoOutput(Reason, frozen=True):
    """The workflow has no node that saves or shows something."""


class UnknownNodeClass(Reason, frozen=True):
    """The server does not have the class of a node; `node` is the node's title."""

    node: str
    class_type: str


class NotApiFormat(Reason, frozen=True):
    """The workflow is not in API format."""


class WorkflowRefused(Reason, frozen=True):
    """The server refused the workflow for another reason; `message` is the server's, "" if it does not say why."""

    message: str = ""


class WorkflowTooLarge(Reason, frozen=True):
    """The workflow has more bytes than the server accepts."""


class WorkflowUnsendable(Reason, frozen=True):
    """The workflow cannot be written as JSON: an unpaired surrogate, or too many levels."""


class NodeDamaged(Reason, frozen=True):
    """The inputs of a node, which is named by its id, are not a table."""

    node: str


class NoChoices(Reason, frozen=True):
    """The server lists no value for an input of a node class, such as a model."""

    input: str
    class_type: str


class UploadTooLarge(Reason, frozen=True):
    """The server does not accept an input file of this many bytes."""

    size: int


class UploadRefused(Reason, frozen=True):
    """The server does not accept an input file."""


class ResultGone(Reason, frozen=True):
    """The server no longer has a result file; `name` is its own."""

    name: str


class ResultTooLarge(Reason, frozen=True):
    """A result file has more than `limit` bytes; `name` is the server's."""

    name: str
    limit: int


class CredentialsRefused(Reason, frozen=True):
    """The server, or a proxy in front of it, does not accept our credentials."""


class ServerError(Reason, frozen=True):
    """The server failed on a request, with an HTTP status of 500 or above."""

    status: int


class UnexpectedStatus(Reason, frozen=True):
    """The server answers with an HTTP status that ComfyUI does not send here."""

    status: int


class AnswerTooLarge(Reason, frozen=True):
    """The server's answer has more than `limit` bytes."""

    limit: int


class AnswerInvalid(Reason, frozen=True):
    """The server's answer cannot be read; `message` is the library's."""

    message: str


RefusalReason: TypeAlias = (
    NodesInvalid
    | PartDropped
    | NoOutput
    | UnknownNodeClass
    | NotApiFormat
    | WorkflowRefused
    | WorkflowTooLarge
    | WorkflowUnsendable
    | NodeDamaged
    | NoChoices
    | UploadTooLarge
    | UploadRefused
    | ResultGone
    | ResultTooLarge
    | CredentialsRefused
    | ServerError
    | UnexpectedStatus
    | AnswerTooLarge
    | AnswerInvalid
    | NotComfyUI
)
"""Why a server does not do what it is asked: another attempt would not help. It may be the reason of a job."""

ServerReason: TypeAlias = NetworkReason | RefusalReason
