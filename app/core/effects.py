"""The effects that the core asks for, and their results: the messages between the registry and the effect runner.

They exist only in memory, in one process. Each result carries its effect, which names the attempt (or the versions of
the jobs) it was sent for, so that the core can tell stale results from current ones.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from app.core.jobs.job import JobRequest
from app.events import ChosenModel, FileRef, JobId, PromptId, ServerName
from app.ports import History, Queue, Ticket
from app.reasons.jobs import InternalError, JobReason
from app.reasons.power import CommandReason
from app.reasons.servers import NetworkReason, ServerReason

Expected: TypeAlias = Literal["on", "starting", "off"]
"""What the connection of a server should expect."""


class SubmitPrompt(Struct, frozen=True):
    """Upload the input files, then POST /prompt."""

    job: JobId
    prompt: PromptId
    server: ServerName
    request: JobRequest


class QueryServer(Struct, frozen=True):
    """GET /queue, then the history of each prompt that is not in it.

    `asked` maps each prompt to the version of its job.
    """

    server: ServerName
    asked: dict[PromptId, int]


class ReadHistory(Struct, frozen=True):
    """Read the history of a prompt that ended."""

    job: JobId
    prompt: PromptId
    server: ServerName


class CancelPrompt(Struct, frozen=True):
    """Ask the server to drop exactly this prompt."""

    job: JobId
    prompt: PromptId
    server: ServerName


class FetchFile(Struct, frozen=True):
    """Download a result file to `path`."""

    job: JobId
    prompt: PromptId
    server: ServerName
    file: FileRef
    path: str


class SaveImage(Struct, frozen=True):
    """Write an image that arrived over the websocket to `path`, after `pause` seconds; `tries` were made before."""

    job: JobId
    prompt: PromptId
    image: bytes
    path: str
    pause: float = 0.0
    tries: int = 0


class Reconnect(Struct, frozen=True):
    """Close this server's websocket and open a new one, because this one seems to have stopped delivering frames."""

    server: ServerName


class DiscardFiles(Struct, frozen=True):
    """Delete result files that nobody will get: those of an attempt that was given up."""

    paths: tuple[str, ...]


class RunCommand(Struct, frozen=True):
    """Run the command that starts or stops a server. One that has prompts, of whomever, is not stopped."""

    server: ServerName
    action: Literal["start", "stop"]
    command: tuple[str, ...]


class ExpectServer(Struct, frozen=True):
    """Tell the connection of a server whether the server is on, is being started, or is off on purpose."""

    server: ServerName
    expected: Expected


JobEffect: TypeAlias = SubmitPrompt | ReadHistory | CancelPrompt | FetchFile | SaveImage
"""An effect for one job."""

Effect: TypeAlias = JobEffect | QueryServer | Reconnect | DiscardFiles | RunCommand | ExpectServer


class PromptSubmitted(Struct, frozen=True):
    """The server accepted the prompt; `chosen` is what it got for the inputs that the request left open."""

    effect: SubmitPrompt
    ticket: Ticket
    chosen: tuple[ChosenModel, ...] = ()


class PromptRefused(Struct, frozen=True):
    """The server refused the prompt.

    `certain` is False after a 5xx, when the server may have queued it anyway. If not `sent`, something before it was
    refused.
    """

    effect: SubmitPrompt
    reason: JobReason
    certain: bool
    sent: bool = True


class SubmitUncertain(Struct, frozen=True):
    """The connection was lost before the POST was answered, or, if not `sent`, before the prompt was sent."""

    effect: SubmitPrompt
    reason: NetworkReason
    sent: bool = True


class ServerQueried(Struct, frozen=True):
    """The state of a server: its queue, then the histories. Only this order misses nothing.

    `unread` are the prompts whose history could not be read this time; nothing is known about them. `failures` maps a
    prompt to the reason to fail its job if reading its history raised an unexpected exception.
    """

    effect: QueryServer
    queue: Queue
    histories: dict[PromptId, History]
    failures: dict[PromptId, JobReason] = {}
    unread: frozenset[PromptId] = frozenset()


class Unreachable(Struct, frozen=True):
    """The server did not answer a query, or its queue cannot be read.

    `histories` are those that could be read all the same.
    """

    effect: QueryServer
    reason: ServerReason | InternalError
    histories: dict[PromptId, History] = {}


class HistoryRead(Struct, frozen=True):
    """The history of a prompt that ended; None if there is none, or if the server cannot be reached."""

    effect: ReadHistory
    history: History | None


class PromptCancelled(Struct, frozen=True):
    """The result of a cancel request.

    `acknowledged` is False if the server could not be reached or refused. Even True does not prove that the prompt was
    dropped; only what the server reports next does.
    """

    effect: CancelPrompt
    acknowledged: bool


class FileFetched(Struct, frozen=True):
    """The file is at the effect's path, or will never be there, for the reason in `problem`."""

    effect: FetchFile
    problem: JobReason | None = None


class FetchInterrupted(Struct, frozen=True):
    """The file has not arrived, and another try may succeed.

    `disk_full` is True if our disk is full, and the server is not to blame.
    """

    effect: FetchFile
    reason: ServerReason | None = None
    disk_full: bool = False


class ImageSaved(Struct, frozen=True):
    """The streamed image is at the effect's path, or could not be written, for the reason in `problem`."""

    effect: SaveImage
    problem: JobReason | None = None


class SaveInterrupted(Struct, frozen=True):
    """The streamed image could not be written because the disk is full; another try may succeed."""

    effect: SaveImage
    problem: JobReason


class EffectFailed(Struct, frozen=True):
    """A job's effect raised an unexpected exception."""

    effect: JobEffect
    reason: JobReason


class CommandEnded(Struct, frozen=True):
    """A command has ended, as it should if there is no `problem`. If the server was `busy`, it was not run."""

    effect: RunCommand
    problem: CommandReason | None = None
    busy: bool = False


class Tick(Struct, frozen=True):
    """Time has passed: check for servers that are silent."""


EffectResult: TypeAlias = (
    PromptSubmitted
    | PromptRefused
    | SubmitUncertain
    | ServerQueried
    | Unreachable
    | HistoryRead
    | PromptCancelled
    | FileFetched
    | FetchInterrupted
    | ImageSaved
    | SaveInterrupted
    | EffectFailed
    | CommandEnded
    | Tick
)
