"""Which workflow shows people what they can make: the cheapest that makes a picture of words alone."""

from __future__ import annotations

from collections.abc import Iterable

from app.service.people.permissions import can_use
from app.service.requests import Person
from app.service.values import missing_slots
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED

PROMPT = "prompt"


def example_workflow(workflows: Iterable[Workflow], person: Person | None = None) -> Workflow | None:
    """The workflow for examples, as far as the person may use it; without a person, as far as everybody may.

    None if there is none.
    """
    suitable = [workflow for workflow in workflows if _is_suitable(workflow) and _may_use(workflow, person)]
    return min(suitable, key=lambda workflow: (workflow.cost, len(workflow.graph)), default=None)


def _may_use(workflow: Workflow, person: Person | None) -> bool:
    return can_use(workflow, person) if person is not None else not (workflow.users or workflow.roles)


def _is_suitable(workflow: Workflow) -> bool:
    """Whether a prompt is enough to make a picture of it, at no price."""
    has_prompt = any(slot.name == PROMPT and slot.kind == "text" for slot in workflow.slots)
    needs_file = any(slot.required and slot.kind in UPLOADED for slot in workflow.slots)
    is_offered = workflow.command or workflow.task
    if not is_offered or workflow.result not in {"", "image"} or workflow.price is not None or needs_file:
        return False
    return has_prompt and not missing_slots(workflow, {PROMPT: PROMPT})
