"""What is taken from a job of before for the next: what was given for it, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from app.discord.custom_id import Press
from app.discord.onward import Onward, results, way, ways
from app.events import Finished
from app.jobs import Job, Wish
from app.ports import Json
from app.workflows.load import Workflow
from app.workflows.slots import WorkflowError


def given(wish: Wish, workflow: Workflow, *, seed: bool) -> dict[str, Json]:
    """What was given, as far as the workflow still has slots for it; with the seed it had, or without any."""
    kinds = {slot.name: slot.kind for slot in workflow.slots}
    values = {name: value for name, value in wish.values.items() if name in kinds and kinds[name] != "seed"}
    if seed and wish.seed is not None:
        values.update({name: wish.seed for name, kind in kinds.items() if kind == "seed"})
    return values


def onward_of(press: Press, job: Job, workflow: Workflow, workflows: Mapping[str, Workflow]) -> Onward:
    """How a job's results go into this workflow; old buttons may lead where the manifest no longer does.

    Raises `WorkflowError`.
    """
    named = [one for one in ways(workflows.get(job.wish.workflow), workflows) if one.workflow == workflow.name]
    found = next((one for one in named if one.number == press.number), named[0] if named else way(workflow))
    if found is None:
        raise WorkflowError(f"“{workflow.title}” takes no result any more.")
    return found


def results_of(job: Job, onward: Onward) -> Sequence[str]:
    """What a job has that can go this way: texts, or files that are still there. Raises `WorkflowError`."""
    found = results(job.last_word, onward) if isinstance(job.last_word, Finished) else ()
    found = [one for one in found if onward.slot.kind == "text" or Path(one).is_file()]
    if not found:
        raise WorkflowError("The result is no longer kept: make it again first.")
    return found
