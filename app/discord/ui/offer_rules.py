"""What Discord demands of the workflows that are offered in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.discord.ui.menus import unlisted
from app.workflows.load import Workflow

LONGEST_WORKFLOW = 56
"""Characters. With a verb and a job's id the name must fit into a custom id's hundred characters."""


def name_problem(name: str) -> str:
    """Why a workflow of this name cannot be offered in Discord; "" if it can."""
    if len(name) <= LONGEST_WORKFLOW:
        return ""
    return f"“{name}” is too long a name for Discord's buttons: {LONGEST_WORKFLOW} letters are the most."


def warnings(workflows: Sequence[Workflow]) -> Iterator[str]:
    """Yield a sentence for each thing in the manifests that Discord cannot show or understand."""
    yield from unlisted(workflows)
    for workflow in workflows:
        for person in (*workflow.users, *workflow.roles):
            if not person.isdecimal():
                yield f"{workflow.name}: “{person}” is no id; copy that of the person or the role in Discord."
