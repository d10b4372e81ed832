"""Who may press which button and use which workflow."""

from __future__ import annotations

from collections.abc import Collection

from app.discord.user_request import Caller
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError

GUARDED = frozenset({"cancel", "delete"})
"""Verbs that take something away from somebody."""


def permitted(verb: str, *, person: str, owner: str, moderator: bool, guarded: frozenset[str] = GUARDED) -> bool:
    """Whether this person may do this to this owner's job.

    Owners may do everything to their own jobs. Moderators may do everything to everybody's jobs; others only what is
    not in `guarded`. A moderator is a person who may manage the messages of the channel.
    """
    return person == owner or moderator or verb not in guarded


def refusal(verb: str) -> str:
    """The sentence for a person who may not do this."""
    done = {"cancel": "cancel it", "delete": "delete it"}.get(verb, "do that")
    return f"Only whoever asked for this, or a moderator, may {done}."


def can_use(workflow: Workflow, *, person: str, roles: Collection[str]) -> bool:
    """Whether this person, with these role ids, may use a workflow: everybody may, unless its manifest names some."""
    named = workflow.users or workflow.roles
    return not named or person in workflow.users or not set(workflow.roles).isdisjoint(roles)


def check_can_use(workflow: Workflow, caller: Caller) -> None:
    """Raise `WorkflowError` if the caller may not use the workflow."""
    if not can_use(workflow, person=caller.user, roles=caller.roles):
        raise WorkflowError(f"“{workflow.title}” is only for some people here: ask whoever runs this server.")
