"""Slots: the named inputs of a workflow, and the values that each accepts."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from app.events import NodeId
from app.ports import Json
from app.reasons import Reason
from app.workflows.parsing import NotMeant, boolean, finite, sides, whole
from app.workflows.reasons.values import ConnectedInput, InvalidCharacters, NotAChoice, OutOfLimits, WrongType

Kind: TypeAlias = Literal[
    "text", "integer", "number", "boolean", "choice", "seed", "size", "image", "video", "audio", "model", "lora"
]

Result: TypeAlias = Literal["", "image", "video", "audio", "text"]
"""What a workflow makes; "" if that is not known."""

Show: TypeAlias = Literal["command", "modal", "settings"]
"""Where a person sees a slot: as an option of the command, in its form, or only among its settings."""

UPLOADED: frozenset[Kind] = frozenset({"image", "video", "audio"})
"""Kinds whose value is a local file, which is uploaded to the chosen server before the job."""

LARGEST_SEED = 2**53 - 1
"""The largest seed that is exact in programs that read JSON numbers as doubles, such as ComfyUI's editor."""


class WorkflowError(Exception):
    """A workflow or a value for it is wrong. `app.texts` renders the reason; `str(error)` is for logs only."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def check_text(name: str, value: Json) -> None:
    """Raise `WorkflowError` if a text contains surrogates, which neither the journal nor a server can store."""
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise WorkflowError(InvalidCharacters(name))


class Target(Struct, frozen=True):
    """One input of one node of the graph. The target of a LoRA slot is a whole loader, and its input is ""."""

    node: NodeId
    input: str


class Slot(Struct, frozen=True, kw_only=True):
    """A named input of a workflow. Without a default, the graph's own value is used.

    Limits that are whole numbers are ints, so that the largest seed is exact. A size has its targets in pairs: width,
    height.
    """

    name: str
    title: str
    kind: Kind
    targets: tuple[Target, ...]
    description: str = ""
    required: bool = False
    default: Json = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    step: int | float | None = None
    choices: tuple[str, ...] = ()
    """The allowed choices; empty for whatever the server lists."""
    show: Show = "command"

    def read(self, value: Json) -> Json:
        """Convert a person's value to the node's value; a size becomes [width, height]. Raises `WorkflowError`."""
        check_text(self.name, value)
        try:
            return self._read(value)
        except NotMeant as error:
            raise WorkflowError(WrongType(self.name, error.expected, str(value))) from None

    def _read(self, value: Json) -> Json:
        match self.kind:
            case "integer" | "seed":
                return self._limited(whole(value))
            case "number":
                return self._limited(finite(value))
            case "boolean":
                return boolean(value)
            case "size":
                return [self._limited(side) for side in sides(value)]
            case "choice":
                if self.choices and value not in self.choices:
                    raise WorkflowError(NotAChoice(self.name, str(value), self.choices))
                return value
            case "text" | "image" | "video" | "audio" | "model" | "lora":
                return value if isinstance(value, str) else str(value)

    def _limited(self, number: float) -> float:
        low, high = self.minimum, self.maximum
        if (low is not None and number < low) or (high is not None and number > high):
            raise WorkflowError(OutOfLimits(self.name, number, low, high))
        return number


def chosen_like(choice: Json, present: Json) -> Json:
    """Return a choice as a number if the input has one now: the lists of some nodes have numbers, people give texts."""
    if not isinstance(choice, str) or isinstance(present, bool) or not isinstance(present, (int, float)):
        return choice
    try:
        return whole(choice) if isinstance(present, int) else finite(choice)
    except NotMeant:
        return choice


def typed_like(where: str, text: str, present: Json) -> Json:
    """Parse a text as the type of the input's present value. Raises `WorkflowError`."""
    try:
        match present:
            case bool():
                return boolean(text)
            case int():
                return whole(text)
            case float():
                return finite(text)
            case list() | dict():
                raise WorkflowError(ConnectedInput(where))
            case _:
                return text
    except NotMeant as error:
        raise WorkflowError(WrongType(where, error.expected, text)) from None
