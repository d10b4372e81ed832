"""Why a manifest is refused, and what its author is told about it.

`key` is the path of a key through the tables of the file, such as `slots.steps.kind`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from app.reasons import Reason

KeyType: TypeAlias = Literal["number", "integer", "id", "text", "boolean", "list", "table", "nothing", "other"]
"""The type that the value of a key must have; "id" is a number or a name."""

Comparison: TypeAlias = Literal["at_least", "more_than", "at_most", "less_than"]


class NotACommand(Reason, frozen=True):
    """Discord does not accept the name of the command."""

    command: str


class BuiltInCommand(Reason, frozen=True):
    """The bot itself has a command of that name."""

    command: str


class FollowUpWithCommand(Reason, frozen=True):
    """A workflow that only follows another's result has a command or a menu entry."""


class TaskNeedsSlot(Reason, frozen=True):
    """The manifest names a task for which the workflow lacks a slot: a text slot `prompt`, or one for a picture."""

    task: str
    slot: Literal["prompt", "image"]


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


class FileVanished(Reason, frozen=True):
    """The file was there a moment ago, and does not exist any more."""


class UnknownKey(Reason, frozen=True):
    """A table has a key that means nothing; `known` are the keys that it could have and does not."""

    key: str
    known: tuple[str, ...]


class NotTables(Reason, frozen=True):
    """A key that must hold tables holds something else."""

    key: str


class NotATable(Reason, frozen=True):
    """A key that must be a table is something else."""

    key: str


class NotAName(Reason, frozen=True):
    """A table under `key` has a name that cannot be the name of a slot or a preset."""

    key: str
    name: str


class MissingKey(Reason, frozen=True):
    """The table at `key` lacks a required key."""

    key: str
    missing: str


class WrongKeyType(Reason, frozen=True):
    """The value of a key has the wrong type."""

    key: str
    expected: KeyType


class NotAllowed(Reason, frozen=True):
    """The value of a key is none of those that are allowed."""

    key: str
    given: str
    allowed: tuple[str, ...]


class KeyOutOfLimits(Reason, frozen=True):
    """The number of a key, or the length of its text in characters, is out of limits."""

    key: str
    comparison: Comparison
    limit: float
    is_length: bool = False


class InvalidKey(Reason, frozen=True):
    """The value of a key is wrong; `key` is "" if it is not known where."""

    key: str


class NodeAndTargets(Reason, frozen=True):
    """A slot has both a node and targets."""

    slot: str


class SeveralLoraNodes(Reason, frozen=True):
    """A LoRA slot has several nodes."""

    slot: str


class UnpairedSize(Reason, frozen=True):
    """The targets of a size are not pairs of width and height."""

    slot: str


class NoInputNamed(Reason, frozen=True):
    """A slot names a node, but none of its `inputs`."""

    slot: str
    node: str
    inputs: tuple[str, ...]


class NoNodeNamed(Reason, frozen=True):
    """A slot names no node, and none was found for it."""

    slot: str


class LimitNotFinite(Reason, frozen=True):
    """A limit of a slot is infinite, NaN, or larger than any floating-point number."""

    slot: str
    limit: Literal["minimum", "maximum", "step"]


class LimitsReversed(Reason, frozen=True):
    """The minimum of a slot is more than its maximum."""

    slot: str


class StepNotPositive(Reason, frozen=True):
    """The step of a slot is 0 or less."""

    slot: str


KeyReason: TypeAlias = (
    FileVanished
    | UnknownKey
    | NotTables
    | NotATable
    | NotAName
    | MissingKey
    | WrongKeyType
    | NotAllowed
    | KeyOutOfLimits
    | InvalidKey
)
"""What is wrong with a file as such, whatever its slots mean."""

ManifestReason: TypeAlias = (
    NotACommand
    | BuiltInCommand
    | FollowUpWithCommand
    | TaskNeedsSlot
    | UnknownPresetSlot
    | MovedToForm
    | NodeAndTargets
    | SeveralLoraNodes
    | UnpairedSize
    | NoInputNamed
    | NoNodeNamed
    | LimitNotFinite
    | LimitsReversed
    | StepNotPositive
)
"""What is wrong with the meaning of a manifest."""
