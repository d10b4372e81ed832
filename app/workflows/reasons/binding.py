"""Why the values that were given cannot be put into a workflow's graph."""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason
from app.workflows.model import Kind


class UnknownPreset(Reason, frozen=True):
    """The workflow has no preset of that name."""

    workflow: str
    preset: str
    known: tuple[str, ...]


class UnknownSlot(Reason, frozen=True):
    """The workflow has no slot of that name."""

    workflow: str
    slot: str
    known: tuple[str, ...]


class MissingValue(Reason, frozen=True):
    """A required slot got no value."""

    workflow: str
    slot: str
    kind: Kind


class NotAnAddress(Reason, frozen=True):
    """A text does not name an input as `NODE.INPUT`; `node` is the title of a node of the graph."""

    given: str
    node: str


class NotAPair(Reason, frozen=True):
    """An argument of the command line is not a name and a value; `form` shows how both are written."""

    argument: str
    form: str


class MissingUpload(Reason, frozen=True):
    """The file that was given for a slot does not exist."""

    slot: str
    path: str


class LoraNotParsed(Reason, frozen=True):
    """One part of a list of LoRAs is not `NAME:WEIGHT`; `name` is what stands before the colon."""

    given: str
    name: str


class UnknownLora(Reason, frozen=True):
    """The server has no LoRA of that name. `sought` is the name in the form in which the `known` names are."""

    given: str
    sought: str
    known: tuple[str, ...]


class AmbiguousLora(Reason, frozen=True):
    """The server has several LoRAs of that name."""

    given: str
    files: tuple[str, ...]


class LoraWeightOutOfLimits(Reason, frozen=True):
    """The weight of a LoRA is not a number from -`limit` to `limit`."""

    lora: str
    weight: float
    limit: float


class NoModelOutput(Reason, frozen=True):
    """The node of a LoRA slot outputs no model."""

    node: str


class SeveralChains(Reason, frozen=True):
    """Several chains of LoRA loaders begin at the node of a LoRA slot."""

    node: str
    loaders: tuple[str, ...]


class NoModelInput(Reason, frozen=True):
    """The first loader of a chain of LoRAs gets no model."""

    node: str


BindingReason: TypeAlias = (
    UnknownPreset
    | UnknownSlot
    | MissingValue
    | NotAnAddress
    | NotAPair
    | MissingUpload
    | LoraNotParsed
    | UnknownLora
    | AmbiguousLora
    | LoraWeightOutOfLimits
    | NoModelOutput
    | SeveralChains
    | NoModelInput
)
