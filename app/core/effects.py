"""What the ledger wants done, and what comes back: the words between the registry and its helpers.

Memory only, one process: an errand may name what it needs, and its answer always says for which attempt
and at which version it was sent, so that the ledger can tell stale news from fresh.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from app.core.job import JobRequest
from app.events import FileRef, JobId, PromptId, ServerName
from app.ports import History, Queue, Ticket


class SubmitPrompt(Struct, frozen=True):
    """Upload what must be uploaded, then POST /prompt."""

    job: JobId
    prompt: PromptId
    server: ServerName
    request: JobRequest


class QueryServer(Struct, frozen=True):
    """GET /queue, then the history of those that are not in it. `asked` maps prompts to versions."""

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
    """Bring a result file to our disk."""

    job: JobId
    prompt: PromptId
    server: ServerName
    file: FileRef
    path: str


class SaveImage(Struct, frozen=True):
    """Write a picture that came through the websocket to our disk."""

    job: JobId
    prompt: PromptId
    image: bytes
    path: str


class Reconnect(Struct, frozen=True):
    """Close this server's websocket and open a new one: it seems to be deaf."""

    server: ServerName


JobErrand: TypeAlias = SubmitPrompt | ReadHistory | CancelPrompt | FetchFile | SaveImage
"""What is done for one job. All else is done for a server."""

Effect: TypeAlias = JobErrand | QueryServer | Reconnect


class PromptSubmitted(Struct, frozen=True):
    """The server took it."""

    effect: SubmitPrompt
    ticket: Ticket


class PromptRefused(Struct, frozen=True):
    """The server said no; not `certain` after a 5xx, when it may have taken it all the same."""

    effect: SubmitPrompt
    reason: str
    certain: bool


class SubmitUncertain(Struct, frozen=True):
    """The connection went before the answer came."""

    effect: SubmitPrompt
    reason: str


class ServerQueried(Struct, frozen=True):
    """What the server has, read in the only safe order: the queue, then the histories.

    `failures` are sentences about histories whose reading raised an exception that nobody expected.
    """

    effect: QueryServer
    queue: Queue
    histories: dict[PromptId, History]
    failures: dict[PromptId, str] = {}


class Unreachable(Struct, frozen=True):
    """The server did not answer a look."""

    effect: QueryServer
    reason: str


class HistoryRead(Struct, frozen=True):
    """The history of a prompt that ended; None if there is none, or the server is away."""

    effect: ReadHistory
    history: History | None


class PromptCancelled(Struct, frozen=True):
    """The server heard the request (or was away), which proves nothing; what happens next does."""

    effect: CancelPrompt
    acknowledged: bool


class FileFetched(Struct, frozen=True):
    """The file lies at the errand's path, or it is gone, for the reason in `problem`."""

    effect: FetchFile
    problem: str = ""


class ImageSaved(Struct, frozen=True):
    """The streamed picture lies at the errand's path, or could not be written, as `problem` says."""

    effect: SaveImage
    problem: str = ""


class EffectFailed(Struct, frozen=True):
    """A job's effect raised an exception that nobody expected. `reason` is the sentence for its person."""

    effect: JobErrand
    reason: str


class Tick(Struct, frozen=True):
    """Time has passed: look at who is silent."""


EffectResult: TypeAlias = (
    PromptSubmitted
    | PromptRefused
    | SubmitUncertain
    | ServerQueried
    | Unreachable
    | HistoryRead
    | PromptCancelled
    | FileFetched
    | ImageSaved
    | EffectFailed
    | Tick
)
