"""What is known of a job that somebody watches, and how news change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from app.core.job import JobRequest
from app.discord.follow_ups import FollowUpAction
from app.discord.text import format_value
from app.events import (
    AnyUpdate,
    Cancelled,
    Failed,
    Finished,
    JobId,
    Lost,
    Previewed,
    Progressed,
    Queued,
    Started,
    TerminalUpdate,
)
from app.ports import Json
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED

STEADY = 5.0
"""Seconds by which an expected time must change before people see another: Discord counts it down by itself."""

Estimate = Callable[[int], "float | None"]
"""Seconds until a job at this position in the queue begins; None where nobody can know."""


class Setting(Struct, frozen=True):
    """One value that was chosen, as people read it."""

    title: str
    value: str


class JobView(Struct, kw_only=True):
    """One job's message. `expected` is when the next thing happens, in whole seconds since 1970."""

    job: JobId
    owner: str
    title: str
    prompt: str = ""
    settings: tuple[Setting, ...] = ()
    seed: int | None = None
    follow_up: tuple[FollowUpAction, ...] = ()
    spoiler: bool = False
    accepted: bool = False
    """Whether the journal has the job, so that the next life of the bot knows it."""
    position: int | None = None
    note: str = ""
    started: bool = False
    progress: Progressed | None = None
    preview: Previewed | None = None
    expected: int | None = None
    terminal_update: TerminalUpdate | None = None
    farewell: str = ""
    """What to say instead of all that moves, once nobody moves it any more."""

    def handle(self, update: AnyUpdate, now: float, estimate: Estimate) -> None:
        """Take in news, which there is only of what was accepted. `now` is in seconds since 1970."""
        self.accepted = True
        match update:
            case Queued(position=position, note=note):
                self.position, self.note = position, note
                self.started, self.progress, self.preview = False, None, None
                self._expect(now, estimate(position))
            case Started():
                self.started, self.note, self.expected = True, "", None
            case Progressed():
                self.started, self.progress, self.note = True, update, update.note
                self._expect(now, update.remaining)
            case Previewed():
                self.preview = update
            case Finished() | Failed() | Cancelled() | Lost():
                self.terminal_update, self.preview = update, None

    def _expect(self, now: float, seconds: float | None) -> None:
        if seconds is None:
            self.expected = None
        elif self.expected is None or abs(self.expected - (now + seconds)) > STEADY:
            self.expected = round(now + seconds)


def view_of(
    request: JobRequest, workflow: Workflow | None, follow_up: tuple[FollowUpAction, ...], *, spoiler: bool
) -> JobView:
    """What a wish shows before there is any news. `workflow` is None where it was removed meanwhile."""
    return JobView(
        job=request.job,
        owner=request.owner,
        title=workflow.title if workflow else request.workflow,
        prompt=str(request.values.get("prompt", "")),
        settings=chosen(workflow, request.values) if workflow else (),
        seed=request.seed,
        follow_up=follow_up,
        spoiler=spoiler,
    )


def chosen(workflow: Workflow, values: Mapping[str, Json]) -> tuple[Setting, ...]:
    """What differs from the defaults and is short enough to be told: no texts of their own line, no pictures."""
    return tuple(
        Setting(slot.title, format_value(slot, values[slot.name]))
        for slot in workflow.slots
        if slot.name in values
        and slot.name != "prompt"
        and slot.kind not in UPLOADED | {"seed"}
        and values[slot.name] not in (None, "", slot.default)
    )
