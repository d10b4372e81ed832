"""What a job's message knows about the job, and how updates change it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from app.core.job import JobRequest
from app.discord.text import format_value
from app.discord.ui.components import Upload
from app.events import (
    AnyUpdate,
    Arrived,
    Cancelled,
    Edited,
    Failed,
    Finished,
    JobId,
    Lost,
    NotAccepted,
    Previewed,
    Progressed,
    Queued,
    Started,
    TerminalUpdate,
)
from app.ports import Json
from app.reasons.jobs import JobReason
from app.service.follow_ups import FollowUpAction
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED

STEADY = 5.0
"""Seconds by which an expected time must change before it is shown anew: Discord counts it down by itself."""


class Setting(Struct, frozen=True):
    """One value that was chosen, formatted for people."""

    title: str
    value: str


class JobView(Struct, kw_only=True):
    """The state of one job's message. `expected` is when the job starts or ends, in whole seconds since 1970."""

    job: JobId
    owner: str
    title: str
    prompt: str = ""
    settings: tuple[Setting, ...] = ()
    seed: int | None = None
    follow_up: tuple[FollowUpAction, ...] = ()
    spoiler: bool = False
    labelled: bool = False
    """Whether the result says in words that a machine made it."""
    mark_previews: bool = False
    """Whether previews carry the mark of `app.media_worker.mark`."""
    accepted: bool = False
    """Whether the journal has the job, so that it continues after a restart."""
    workflow: Workflow | None = None
    """The workflow, for values that change; None if it was removed."""
    waits_here: bool = False
    """Whether no server has the job, so that it may be edited."""
    position: int | None = None
    note: JobReason | None = None
    started: bool = False
    progress: Progressed | None = None
    preview: Previewed | None = None
    pictures: int = 1
    """How many jobs the request is, each with the next seed."""
    ready: int = 0
    """How many pictures have arrived while others have not."""
    arrived: tuple[Upload, ...] = ()
    """Small versions of these pictures."""
    expected: int | None = None
    terminal_update: TerminalUpdate | None = None
    farewell: str = ""
    """The sentence to show instead of all progress, once the bot no longer updates it."""

    def handle(self, update: AnyUpdate, now: float) -> None:
        """Apply an update. `now` is in seconds since 1970."""
        self.accepted = not isinstance(update, NotAccepted)
        match update:
            case Queued():
                self.position, self.note = update.position, update.note
                self.started, self.progress, self.preview = False, None, None
                self.waits_here = update.server is None
                self._expect(now, update.starts_in)
            case Edited():
                self.set_values(update.values, update.seed, update.pictures)
            case Started():
                self.started, self.note, self.expected = True, None, None
            case Progressed():
                self.started, self.progress, self.note = True, update, update.note
                self._expect(now, update.remaining)
            case Previewed():
                self.preview = update
            case Arrived():
                self.ready = len(update.files)
            case NotAccepted():
                # Nobody sees the message: the refusal is said elsewhere.
                pass
            case Finished() | Failed() | Cancelled() | Lost():
                self.terminal_update, self.preview, self.arrived = update, None, ()

    def set_values(self, values: Mapping[str, Json], seed: int | None, pictures: int) -> None:
        """Show these values of the request, by slot, its first seed, and how many jobs it is."""
        self.prompt = str(values.get("prompt", ""))
        self.settings = chosen(self.workflow, values) if self.workflow else ()
        self.seed = seed
        self.pictures = pictures

    @property
    def editable(self) -> bool:
        """Whether the request may be edited: the job waits here, and a form can ask for its values."""
        slots = self.workflow.slots if self.workflow is not None else ()
        return self.waits_here and not self.started and any(slot.kind not in UPLOADED | {"seed"} for slot in slots)

    def _expect(self, now: float, seconds: float | None) -> None:
        if not seconds:
            # Discord would soon show a time that is now as “a moment ago”.
            self.expected = None
        elif self.expected is None or abs(self.expected - (now + seconds)) > STEADY:
            self.expected = round(now + seconds)


def view_of(
    request: JobRequest, workflow: Workflow | None, follow_up: tuple[FollowUpAction, ...], *, spoiler: bool
) -> JobView:
    """The view of a request before any update. `workflow` is None if it was removed meanwhile."""
    view = JobView(
        job=request.job,
        owner=request.owner,
        title=workflow.title if workflow else request.workflow,
        follow_up=follow_up,
        spoiler=spoiler,
        workflow=workflow,
    )
    view.set_values(request.values, request.seed, request.pictures)
    return view


def chosen(workflow: Workflow, values: Mapping[str, Json]) -> tuple[Setting, ...]:
    """The values that differ from the defaults, formatted for people; no prompt, files or seed."""
    return tuple(
        Setting(slot.title, format_value(slot, values[slot.name]))
        for slot in workflow.slots
        if slot.name in values
        and slot.name != "prompt"
        and slot.kind not in UPLOADED | {"seed"}
        and values[slot.name] not in (None, "", slot.default)
    )
