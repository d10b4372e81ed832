"""Why a workflow of the folder is not offered, and where workflows do not fit together."""

from __future__ import annotations

from typing import Literal, TypeAlias

from app.reasons import Reason


class SameCommand(Reason, frozen=True):
    """Two workflows have the same command or the same menu entry."""

    workflows: tuple[str, str]
    what: Literal["command", "menu"]
    name: str


class TaskHasCommand(Reason, frozen=True):
    """The command of a workflow is that of a task, so the workflow has another one."""

    workflow: str
    command: str
    other: str


class UnknownFollowUpSlot(Reason, frozen=True):
    """A follow-up sets a slot that the workflow it starts does not have."""

    workflow: str
    follow_up: str
    slot: str
    known: tuple[str, ...]


class MissingFollowUps(Reason, frozen=True):
    """The folder does not have workflows that are follow-ups of another; `known` are the names that it has."""

    workflow: str
    missing: tuple[str, ...]
    known: tuple[str, ...]


AvailabilityReason: TypeAlias = SameCommand | TaskHasCommand | UnknownFollowUpSlot | MissingFollowUps
