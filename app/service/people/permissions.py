"""Who may press which button and use which workflow."""

from __future__ import annotations

from app.service.reasons import NotAModerator, NotForYou, NotYours
from app.service.requests import Person
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError

GUARDED = frozenset({"cancel", "delete", "edit"})
"""Actions that take something away from somebody, or change what somebody asked for."""


def permitted(action: str, person: Person, owner: str, guarded: frozenset[str] = GUARDED) -> bool:
    """Whether a person may do this to the owner's job.

    Owners may do everything to their own jobs. Moderators may do everything to everybody's jobs; others only what is
    not in `guarded`.
    """
    return person.user == owner or person.moderator or action not in guarded


def check_permitted(action: str, person: Person, owner: str, guarded: frozenset[str] = GUARDED) -> None:
    """Raise `WorkflowError` if the person may not do this to the owner's job."""
    if not permitted(action, person, owner, guarded):
        raise WorkflowError(NotYours(action))


def check_moderator(person: Person, guild: str) -> None:
    """Raise `WorkflowError` if the person does not moderate this Discord server, from within it."""
    if not guild or person.guild != guild or not person.moderator:
        raise WorkflowError(NotAModerator())


def can_use(workflow: Workflow, person: Person) -> bool:
    """Whether a person may use a workflow: everybody may, unless its manifest names people or roles."""
    named = workflow.users or workflow.roles
    return not named or person.user in workflow.users or not person.roles.isdisjoint(workflow.roles)


def check_can_use(workflow: Workflow, person: Person) -> None:
    """Raise `WorkflowError` if the person may not use the workflow."""
    if not can_use(workflow, person):
        raise WorkflowError(NotForYou(workflow.title))
