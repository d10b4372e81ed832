"""Why a job waits, failed, was cancelled or is lost, and what is unusual about its result, as data.

The journal stores these reasons. A class that is renamed keeps its old tag, and a field that is added has a default.
Names of nodes are their titles. Numbers of seconds and bytes are exact; `app.texts` rounds them.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec.structs import asdict

from app.reasons import Reason
from app.reasons.servers import RefusalReason, ServerReason

# Why a job waits, or seems to.


class ServersOffline(Reason, frozen=True):
    """No server can be reached."""

    servers: tuple[str, ...]


class ServersDrained(Reason, frozen=True):
    """Each server that can run the job takes no new ones, because an operator drained it."""

    servers: tuple[str, ...]


class ServersStarting(Reason, frozen=True):
    """The servers that can run the job are off, and these are being started."""

    servers: tuple[str, ...]


class ServersOff(Reason, frozen=True):
    """The servers that can run the job are off, and these will be started, but not yet."""

    servers: tuple[str, ...]


class HoursUsedUp(Reason, frozen=True):
    """The servers that can run the job have been on for as many hours of the last day as they may."""

    servers: tuple[str, ...]


class NoRoom(Reason, frozen=True):
    """The disk for the results is full, so nothing is sent to a server until it has room."""


class SentAgain(Reason, frozen=True):
    """A server no longer had the job, so it is submitted again."""


class NoProgress(Reason, frozen=True):
    """The server is running the job, and has sent nothing for `seconds`. `stuck` if its worker may have died."""

    server: str
    seconds: float
    stuck: bool = False


# Why a job failed, was cancelled or is lost.


class NodeFailed(Reason, frozen=True):
    """A node raised an exception: the server's `message` and its Python class. `node` is "" if none is named."""

    node: str
    message: str = ""
    exception: str = ""


class OutOfMemory(Reason, frozen=True):
    """The server ran out of memory. `node` is "" if none is named."""

    node: str


class HistoryUnreadable(Reason, frozen=True):
    """The server ended the job, and its record of the job cannot be read."""


class InputUnreadable(Reason, frozen=True):
    """A file that the job needs cannot be read from our disk; `message` is the system's."""

    message: str


class InternalError(Reason, frozen=True):
    """An unexpected exception, which is logged under this id."""

    id: str


class StoppedOnServer(Reason, frozen=True):
    """Somebody interrupted the job on the server."""


class TimeLimitReached(Reason, frozen=True):
    """The time that the operator allowed for all jobs together was over."""

    seconds: float


class CancelUnconfirmed(Reason, frozen=True):
    """The server did not confirm in time that it dropped the job. `after` is the reason for cancelling, if any."""

    after: TimeLimitReached | None = None


class NeverKept(Reason, frozen=True):
    """The job was submitted `tries` times, and no server kept it."""

    tries: int


class PromptIdRepeated(Reason, frozen=True):
    """An old server chose an id for the job that is already another job's, so it cannot be followed."""

    server: str


class ForgottenByServer(Reason, frozen=True):
    """The server forgot the job `times` times while running it."""

    server: str
    times: int


class PaidRunLost(Reason, frozen=True):
    """The server lost track of a job that may have been paid for, so it is not sent again."""

    server: str


# What is unusual about a result.


class NodeBlocked(Reason, frozen=True):
    """A node was blocked, so the nodes that depend on it did not run."""

    node: str


class PictureMissed(Reason, frozen=True):
    """A picture that was sent only through a websocket was lost."""


class NothingProduced(Reason, frozen=True):
    """The workflow succeeded without a file and without a text."""


class NothingChanged(Reason, frozen=True):
    """Every node was cached, so the result is that of an earlier run."""


class ResultNotFetched(Reason, frozen=True):
    """A file is on the server, but could not be downloaded; `cause` is why the last try failed."""

    name: str
    cause: ServerReason | None = None


class ResultsMissing(Reason, frozen=True):
    """Only `arrived` of `total` results could be downloaded; the others are still on the server."""

    arrived: int
    total: int


class BatchIncomplete(Reason, frozen=True):
    """Only `made` of the `total` pictures of a request were made; `cancelled` says that the others were cancelled."""

    made: int
    total: int
    cancelled: bool = False


class TooManyResults(Reason, frozen=True):
    """The workflow produced `total` files, of which only the first `kept` were downloaded."""

    total: int
    kept: int


class ResultUnwritable(Reason, frozen=True):
    """A result cannot be written to our disk; `message` is the system's. `name` is that of the file."""

    message: str
    name: str = ""


JobReason: TypeAlias = (
    ServersOffline
    | ServersDrained
    | ServersStarting
    | ServersOff
    | HoursUsedUp
    | NoRoom
    | SentAgain
    | NoProgress
    | NodeFailed
    | OutOfMemory
    | HistoryUnreadable
    | InputUnreadable
    | InternalError
    | StoppedOnServer
    | TimeLimitReached
    | CancelUnconfirmed
    | ForgottenByServer
    | NeverKept
    | PromptIdRepeated
    | PaidRunLost
    | NodeBlocked
    | PictureMissed
    | NothingProduced
    | NothingChanged
    | ResultNotFetched
    | ResultsMissing
    | BatchIncomplete
    | TooManyResults
    | ResultUnwritable
    | RefusalReason
)


def kind_of(reason: Reason) -> str:
    """The tag under which a reason is stored, which never changes."""
    return str(reason.__struct_config__.tag)


def log_fields(reason: Reason) -> dict[str, object]:
    """The fields of a log line about a reason: its kind, and its data under names that begin with `reason_`."""
    data: dict[str, object] = asdict(reason)
    return {"reason": kind_of(reason)} | {f"reason_{name}": value for name, value in data.items()}
