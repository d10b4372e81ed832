"""What Discord demands of the workflows that are offered in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.discord.ui.menus import unlisted
from app.reasons import Reason
from app.service.reasons import NameTooLong, NotAnId
from app.workflows.load import Workflow

LONGEST_WORKFLOW = 52
"""Characters. With a verb, two numbers and a job's id the name must fit into a custom id's hundred characters."""


def name_problem(name: str) -> Reason | None:
    """Why a workflow of this name cannot be offered in Discord; None if it can."""
    return NameTooLong(name, LONGEST_WORKFLOW) if len(name) > LONGEST_WORKFLOW else None


def warnings(workflows: Sequence[Workflow]) -> Iterator[Reason]:
    """Yield a reason for each thing in the manifests that Discord cannot show or understand."""
    yield from unlisted(workflows)
    for workflow in workflows:
        for person in (*workflow.users, *workflow.roles):
            if not person.isdecimal():
                yield NotAnId(workflow.name, person)
