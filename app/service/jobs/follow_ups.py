"""Which workflows can use a job's results, or any file, as their input. Pure, except for looking for result files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath

from msgspec import Struct

from app.core.jobs.job import Job
from app.events import Finished
from app.ports import Json
from app.service.reasons import ResultNotKept, TakesNoResult
from app.workflows.files import is_file
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED, Slot, WorkflowError

SUFFIXES: dict[str, frozenset[str]] = {
    "image": frozenset({".png", ".jpg", ".jpeg", ".webp"}),
    "video": frozenset({".mp4", ".webm", ".mov", ".mkv", ".gif"}),
    "audio": frozenset({".mp3", ".wav", ".flac", ".ogg", ".opus", ".m4a"}),
}
"""File suffixes of results, by the kind of the slot that takes them."""


class FollowUpAction(Struct, frozen=True):
    """A follow-up: its workflow, the button's label, the slot that gets the result, and `values` for other slots.

    `takes` is the kind of results that it accepts; `number` counts the follow-ups into the same workflow, from 1. With
    `each`, every result has a button for it that starts at once.
    """

    workflow: str
    label: str
    slot: Slot
    takes: str
    values: dict[str, Json] = {}
    number: int = 1
    each: bool = False


def find_follow_up(workflow: Workflow) -> FollowUpAction | None:
    """The follow-up for a file without a slot: into the first required file slot, else the first optional one.

    None if the workflow has no file slot, or more than one that is required.
    """
    slots = sorted((slot for slot in workflow.slots if slot.kind in UPLOADED), key=lambda slot: not slot.required)
    if not slots or any(slot.required for slot in slots[1:]):
        return None
    return FollowUpAction(workflow.name, workflow.menu or workflow.title or workflow.name, slots[0], slots[0].kind)


def list_follow_ups(maker: Workflow | None, workflows: Mapping[str, Workflow]) -> list[FollowUpAction]:
    """The follow-ups on a workflow's results: those its manifest lists, else every workflow with a message menu."""
    if maker is None or not maker.follow_ups:
        takers = (workflow for workflow in workflows.values() if workflow.menu)
        return [action for taker in takers if (action := find_follow_up(taker)) is not None]
    actions: list[FollowUpAction] = []
    # Count in the manifest's own order: a button must keep its meaning when another workflow appears or disappears.
    counts = Counter[str]()
    for entry in maker.follow_ups:
        counts[entry.workflow] += 1
        taker = workflows.get(entry.workflow)
        slot = next((slot for slot in taker.slots if slot.name == entry.slot), None) if taker is not None else None
        if taker is not None and slot is not None:
            label = entry.title or taker.title or taker.name
            takes = entry.result or slot.kind
            number = counts[entry.workflow]
            actions.append(FollowUpAction(taker.name, label, slot, takes, entry.values, number, entry.each))
    return actions


def follow_up_of(job: Job, taker: Workflow, number: int, workflows: Mapping[str, Workflow]) -> FollowUpAction:
    """The follow-up that puts a job's results into `taker`; a message may offer one that the manifest no longer has.

    Raises `WorkflowError`.
    """
    actions = [
        action
        for action in list_follow_ups(workflows.get(job.request.workflow), workflows)
        if action.workflow == taker.name
    ]
    numbered = next((action for action in actions if action.number == number), None)
    action = numbered or (actions[0] if actions else find_follow_up(taker))
    if action is None:
        raise WorkflowError(TakesNoResult(taker.title))
    return action


def inherited_values(job: Job, maker: Workflow | None, taker: Workflow, action: FollowUpAction) -> dict[str, Json]:
    """The values of a follow-up that starts without a form: those of the job, where both workflows have a slot of the
    same name and kind that accepts them, and those of the follow-up. No file and no seed is taken over.
    """
    kinds = {slot.name: slot.kind for slot in maker.slots} if maker is not None else {}
    values: dict[str, Json] = {}
    for slot in taker.slots:
        if slot.name in job.request.values and kinds.get(slot.name) == slot.kind not in UPLOADED | {"seed"}:
            # The limits of the other workflow may differ.
            with suppress(WorkflowError):
                values[slot.name] = slot.read(job.request.values[slot.name])
    return {**values, **action.values}


def results(finished: Finished, action: FollowUpAction) -> Sequence[str]:
    """The results that this follow-up can use: texts, or paths of files."""
    if "text" in {action.takes, action.slot.kind}:
        return finished.texts if action.takes == action.slot.kind else ()
    return files_of(finished, action.takes)


def files_of(finished: Finished, kind: str) -> list[str]:
    """The paths of the results that a slot of this kind takes."""
    return [file for file in finished.files if PurePath(file).suffix.lower() in SUFFIXES.get(kind, frozenset())]


def kept_results(job: Job, action: FollowUpAction) -> Sequence[str]:
    """The results of a job that this follow-up can use: texts, or files that still exist. Raises `WorkflowError`."""
    usable = results(job.terminal_update, action) if isinstance(job.terminal_update, Finished) else ()
    available = [result for result in usable if action.slot.kind == "text" or is_kept(result)]
    if not available:
        raise WorkflowError(ResultNotKept())
    return available


def is_kept(path: Json) -> bool:
    """Whether a result, or a file that a job was made from, is still on our disk."""
    return is_file(Path(str(path)))
