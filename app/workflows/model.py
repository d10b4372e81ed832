"""A slot: a named input of a workflow, and what may stand in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, TypeAlias

from msgspec import Struct

from app.events import NodeId
from app.ports import Json
from app.workflows.parsing import NotMeant, boolean, finite, plain, sides, span, whole

Kind: TypeAlias = Literal[
    "text", "integer", "number", "boolean", "choice", "seed", "size", "image", "video", "audio", "model", "lora"
]

Show: TypeAlias = Literal["command", "modal", "settings"]
"""Where a person meets a slot: as an option of the command, in its form, or only among its settings."""

UPLOADED: frozenset[Kind] = frozenset({"image", "video", "audio"})
"""Kinds whose value is a file of ours, which the chosen server gets before the job."""

LARGEST_SEED = 2**53 - 1
"""Drawn seeds stay exact in every program that reads JSON numbers as doubles, ComfyUI's editor among them."""


LONGEST_SENTENCE = 600
"""Characters. Titles and values from files stand in sentences, and may be as long as a file."""

LONGEST_NAME = 60
"""Characters of a name among several in a sentence."""


class WorkflowError(Exception):
    """A workflow, or what was put into it, is wrong; the text is a sentence that says what to do, on one line."""

    def __init__(self, sentence: str) -> None:
        super().__init__(shortened(" ".join(sentence.split()), LONGEST_SENTENCE))


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and "…" where it has more characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def check_text(name: str, value: Json) -> None:
    """Refuse half characters, which neither the journal nor a server can store. Raises `WorkflowError`."""
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise WorkflowError(f"{name} has characters that are not valid: type them again.")


class Target(Struct, frozen=True):
    """One input of one node of the graph. A LoRA's target is a loader as such, and its input is ""."""

    node: NodeId
    input: str


class Slot(Struct, frozen=True, kw_only=True):
    """A named input. Without a default, the graph's own value stands.

    Whole limits are ints, so that the largest seed is exact. A size has its targets in pairs, width and height.
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
    """What may be chosen; empty for whatever the server lists."""
    show: Show = "command"

    def read(self, value: Json) -> Json:
        """Turn what a person gave into what the node wants; a size into [width, height]. Raises `WorkflowError`."""
        check_text(self.name, value)
        try:
            return self._read(value)
        except NotMeant as error:
            raise WorkflowError(f"{self.name} must be {error}, not “{value}”.") from None

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
                    raise WorkflowError(f"{self.name} cannot be “{value}”{suggest(str(value), self.choices)}")
                return value
            case "text" | "image" | "video" | "audio" | "model" | "lora":
                return value if isinstance(value, str) else str(value)

    def _limited(self, number: float) -> float:
        low, high = self.minimum, self.maximum
        if (low is not None and number < low) or (high is not None and number > high):
            raise WorkflowError(f"{self.name} is {plain(number)}, but must be {span(low, high)}.")
        return number


def suggest(told: str, known: Iterable[str]) -> str:
    """The end of a sentence: what was perhaps meant, and what there is."""
    names = list(known)
    close = difflib.get_close_matches(told, names, 1)
    listing = ", ".join(shortened(name, LONGEST_NAME) for name in names[:12]) + (", …" if len(names) > 12 else "")
    return f"; did you mean “{close[0]}”?" if close else f": choose from {listing}." if names else "."


def typed_like(where: str, told: str, present: Json) -> Json:
    """Read a text as the type of what stands there now. Raises `WorkflowError`."""
    try:
        match present:
            case bool():
                return boolean(told)
            case int():
                return whole(told)
            case float():
                return finite(told)
            case list() | dict():
                raise WorkflowError(f"{where} is connected to another node, so no value can be put there.")
            case _:
                return told
    except NotMeant as error:
        raise WorkflowError(f"{where} must be {error}, not “{told}”.") from None
