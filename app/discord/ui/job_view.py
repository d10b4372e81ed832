"""What a job's message knows about the job, and how updates change it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from app.core.gallery import prompt_of
from app.core.jobs.job import JobRequest
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
    ServerName,
    Started,
    TerminalUpdate,
)
from app.ports import Json
from app.reasons.jobs import JobReason
from app.service.job_settings import changed_picture
from app.service.jobs.follow_ups import FollowUpAction
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED, Slot
from app.workflows.variations.derive import Change

STEADY = 5.0
"""Seconds by which an expected time must change before it is shown anew: Discord counts it down by itself."""


class JobView(Struct, kw_only=True):
    """The state of one job's message. `expected` is when the job starts or ends, in whole seconds since 1970."""

    job: JobId
    owner: str
    title: str
    prompt: str = ""
    model: str = ""
    """The file of the model that was chosen; "" if that is left to the server."""
    change: str = ""
    """What is done to a picture, by the name of the change; "" if the workflow's own graph runs."""
    before: str = ""
    """The picture that is changed, as a path; "" if none is."""
    seed: int | None = None
    follow_up: tuple[FollowUpAction, ...] = ()
    changes: frozenset[Change] = frozenset()
    """What can be done to each picture of the result."""
    spoiler: bool = False
    hinted: bool = False
    """Whether the result says what can be done with a first picture."""
    labelled: bool = False
    """Whether the result says in words that a machine made it."""
    outside: bool = False
    """Whether the message can be edited only while the interaction's token is valid."""
    from_page: bool = False
    """Whether it was asked for on the page, so that nothing beside the message says who asked."""
    mark_previews: bool = False
    """Whether previews carry the mark of `app.media_worker.mark`."""
    accepted: bool = False
    """Whether the journal has the job, so that it continues after a restart."""
    workflow: Workflow | None = None
    """The workflow, for values that change; None if it was removed."""
    waits_here: bool = False
    """Whether no server has the job, so that it may be edited."""
    position: int | None = None
    server: ServerName | None = None
    """The server that has the job, None if none has."""
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
                self.server, self.waits_here = update.server, update.server is None
                self._expect(now, update.starts_in)
            case Edited():
                self.set_values(update.values, update.seed, update.pictures)
            case Started():
                self.started, self.note, self.expected = True, None, None
                self.server = update.server
            case Progressed():
                self.started, self.progress, self.note = True, update, update.note
                self._expect(now, update.remaining)
            case Previewed():
                self.preview = update
            case Arrived():
                # The preview is that of a picture that may be among them.
                self.ready, self.preview = len(update.files), None
            case NotAccepted():
                # Nobody sees the message: the refusal is said elsewhere.
                pass
            case Finished() | Failed() | Cancelled() | Lost():
                self.terminal_update, self.preview, self.arrived = update, None, ()

    def set_values(self, values: Mapping[str, Json], seed: int | None, pictures: int) -> None:
        """Show these values of the request, by slot, its first seed, and how many jobs it is."""
        self.prompt = prompt_of(values)
        self.model = _model(self.workflow, values)
        self.seed = seed
        self.pictures = pictures

    @property
    def headline(self) -> str:
        """What it is about, on one line: the prompt, or the title of the workflow."""
        return " ".join(self.prompt.split()) or self.title

    @property
    def made_with(self) -> str:
        """The file of the model that made the result, as far as that is known; "" if the workflow leaves no choice."""
        update, slot = self.terminal_update, _model_slot(self.workflow)
        if self.model or slot is None or not isinstance(update, Finished):
            return self.model
        targets = {(target.node, target.input) for target in slot.targets}
        return next((model.value for model in update.chosen if (model.node, model.input) in targets), "")

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
    view.change = request.variation.change if request.variation is not None else ""
    view.before = changed_picture(request.variation, request.values, workflow)
    return view


def _model_slot(workflow: Workflow | None) -> Slot | None:
    """The slot for the workflow's main model: its first one."""
    return next((slot for slot in workflow.slots if slot.kind == "model"), None) if workflow is not None else None


def _model(workflow: Workflow | None, values: Mapping[str, Json]) -> str:
    """The file of the main model that these values or the workflow's defaults name; "" if they name none."""
    slot = _model_slot(workflow)
    value = values.get(slot.name, slot.default) if slot is not None else None
    return value if isinstance(value, str) else ""
