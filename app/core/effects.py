"""What the ledger wants done, and what comes back: the words between the registry and its helpers.

Memory only, one process: an errand may name what it needs, and its answer always says for which attempt
and at which version it was sent, so that the ledger can tell stale news from fresh.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from app.core.job import Wish
from app.events import FileRef, JobId, PromptId, ServerName
from app.ports import History, Queue, Ticket


class Post(Struct, frozen=True):
    """Upload what must be uploaded, then POST /prompt."""

    job: JobId
    prompt: PromptId
    server: ServerName
    wish: Wish


class Look(Struct, frozen=True):
    """GET /queue, then the history of those that are not in it. `asked` maps prompts to versions."""

    server: ServerName
    asked: dict[PromptId, int]


class Read(Struct, frozen=True):
    """Read the history of a prompt that ended."""

    job: JobId
    prompt: PromptId
    server: ServerName


class Withdraw(Struct, frozen=True):
    """Ask the server to drop exactly this prompt."""

    job: JobId
    prompt: PromptId
    server: ServerName


class Fetch(Struct, frozen=True):
    """Bring a result file to our disk."""

    job: JobId
    prompt: PromptId
    server: ServerName
    file: FileRef
    path: str


class Keep(Struct, frozen=True):
    """Write a picture that came through the websocket to our disk."""

    job: JobId
    prompt: PromptId
    image: bytes
    path: str


class Redial(Struct, frozen=True):
    """Close this server's websocket and open a new one: it seems to be deaf."""

    server: ServerName


JobErrand: TypeAlias = Post | Read | Withdraw | Fetch | Keep
"""What is done for one job. All else is done for a server."""

Errand: TypeAlias = JobErrand | Look | Redial


class Posted(Struct, frozen=True):
    """The server took it."""

    errand: Post
    ticket: Ticket


class PostRefused(Struct, frozen=True):
    """The server said no; not `certain` after a 5xx, when it may have taken it all the same."""

    errand: Post
    reason: str
    certain: bool


class PostUnsure(Struct, frozen=True):
    """The connection went before the answer came."""

    errand: Post
    reason: str


class Looked(Struct, frozen=True):
    """What the server has, read in the only safe order: the queue, then the histories.

    `failures` are sentences about histories whose reading raised an exception that nobody expected.
    """

    errand: Look
    queue: Queue
    histories: dict[PromptId, History]
    failures: dict[PromptId, str] = {}


class Unreachable(Struct, frozen=True):
    """The server did not answer a look."""

    errand: Look
    reason: str


class ReadDone(Struct, frozen=True):
    """The history of a prompt that ended; None if there is none, or the server is away."""

    errand: Read
    history: History | None


class Withdrawn(Struct, frozen=True):
    """The server heard the request (or was away), which proves nothing; what happens next does."""

    errand: Withdraw
    heard: bool


class Fetched(Struct, frozen=True):
    """The file lies at the errand's path, or it is gone, for the reason in `problem`."""

    errand: Fetch
    problem: str = ""


class Kept(Struct, frozen=True):
    """The streamed picture lies at the errand's path, or could not be written, as `problem` says."""

    errand: Keep
    problem: str = ""


class EffectFailed(Struct, frozen=True):
    """A job's effect raised an exception that nobody expected. `reason` is the sentence for its person."""

    errand: JobErrand
    reason: str


class Tick(Struct, frozen=True):
    """Time has passed: look at who is silent."""


Answer: TypeAlias = (
    Posted
    | PostRefused
    | PostUnsure
    | Looked
    | Unreachable
    | ReadDone
    | Withdrawn
    | Fetched
    | Kept
    | EffectFailed
    | Tick
)
