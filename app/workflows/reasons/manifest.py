"""Why a manifest is refused, and what its author is told about it."""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason


class NotACommand(Reason, frozen=True):
    """Discord does not accept the name of the command."""

    command: str


class BuiltInCommand(Reason, frozen=True):
    """The bot itself has a command of that name."""

    command: str


class FollowUpWithCommand(Reason, frozen=True):
    """A workflow that only follows another's result has a command or a menu entry."""


class UnknownPresetSlot(Reason, frozen=True):
    """A preset has a value for a slot that does not exist."""

    preset: str
    slot: str
    known: tuple[str, ...]


class MovedToForm(Reason, frozen=True):
    """A note: a command has room for `room` options, so some slots are only in its form."""

    room: int
    options: int
    slots: tuple[str, ...]


ManifestReason: TypeAlias = NotACommand | BuiltInCommand | FollowUpWithCommand | UnknownPresetSlot | MovedToForm
