"""Who may press what, and use which workflow: one rule each, in one place."""

from __future__ import annotations

from collections.abc import Collection

from app.discord.user_request import Caller
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError

GUARDED = frozenset({"cancel", "delete"})
"""What takes something away from somebody."""


def permitted(verb: str, *, person: str, owner: str, moderator: bool, guarded: frozenset[str] = GUARDED) -> bool:
    """Whether this person may do this to this owner's job.

    Owners may do all to what is theirs; moderators, and where `guarded` does not name the verb everybody,
    may do it to everybody's. A moderator is who may manage the messages of the channel.
    """
    return person == owner or moderator or verb not in guarded


def refusal(verb: str) -> str:
    """What to tell whoever may not."""
    done = {"cancel": "cancel it", "delete": "delete it"}.get(verb, "do that")
    return f"Only whoever asked for this, or a moderator, may {done}."


def can_use(workflow: Workflow, *, person: str, roles: Collection[str]) -> bool:
    """Whether this person, with these roles' ids, may use a workflow: everybody, unless its manifest names some."""
    named = workflow.users or workflow.roles
    return not named or person in workflow.users or not set(workflow.roles).isdisjoint(roles)


def check_can_use(workflow: Workflow, caller: Caller) -> None:
    """Raises `WorkflowError` for whoever may not use a workflow."""
    if not can_use(workflow, person=caller.user, roles=caller.roles):
        raise WorkflowError(f"“{workflow.title}” is only for some people here: ask whoever runs this server.")
