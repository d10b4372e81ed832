"""The sentences for workflows that do not fit together."""

from __future__ import annotations

from typing import assert_never

from app.texts.wording import quoted, suggest
from app.workflows.reasons import availability

WHAT = {"command": "command", "menu": "menu entry"}


def availability_text(reason: availability.AvailabilityReason) -> str:
    """Return the sentence about the workflows of a folder."""
    match reason:
        case availability.SameCommand(workflows=(first, second), what=what, name=name):
            names = f"{quoted(first)} and {quoted(second)}"
            return f"The workflows {names} have the same {WHAT[what]} {quoted(name)}: change one."
        case availability.TaskHasCommand(workflow=workflow, command=command, other=other):
            names = f"/{command} offers all models, so {quoted(workflow)} has the command /{other}"
            return f"{names}: write another “command” into its manifest."
        case availability.UnknownFollowUpSlot(workflow=workflow, follow_up=follow_up, slot=slot, known=known):
            names = f"{quoted(slot)} of {quoted(follow_up)}"
            return f"{quoted(workflow)} sets {names}, which is not a slot there{suggest(slot, known)}"
        case availability.MissingFollowUps(workflow=workflow, missing=missing, known=known):
            names = " and ".join(quoted(name) for name in missing[:6])
            end = suggest(missing[0], known) if len(missing) == 1 else "."
            return f"{quoted(workflow)} has follow-ups that this folder does not have: {names}{end}"
        case _:
            assert_never(reason)
