"""Why a value does not fit a slot or an input. `name` is the name of the slot, or `NODE.INPUT`."""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason
from app.workflows.parsing import Expected


class InvalidCharacters(Reason, frozen=True):
    """The value contains surrogates, which neither the journal nor a server can store."""

    name: str


class WrongType(Reason, frozen=True):
    """The value cannot be parsed as the expected type."""

    name: str
    expected: Expected
    given: str


class NotAChoice(Reason, frozen=True):
    """The value is none of the slot's choices."""

    name: str
    given: str
    choices: tuple[str, ...]


class OutOfLimits(Reason, frozen=True):
    """The number is smaller than the minimum or larger than the maximum, of which at least one is given."""

    name: str
    number: int | float
    minimum: int | float | None
    maximum: int | float | None


class ConnectedInput(Reason, frozen=True):
    """The input takes its value from another node."""

    name: str


ValueReason: TypeAlias = InvalidCharacters | WrongType | NotAChoice | OutOfLimits | ConnectedInput
