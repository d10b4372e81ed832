"""A slot: a named input of a workflow, and what may stand in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, TypeAlias

from msgspec import Struct

from app.events import NodeId
from app.ports import Json

Kind: TypeAlias = Literal["text", "integer", "number", "boolean", "choice", "seed", "image", "model"]

LARGEST_SEED = 2**53 - 1
"""Drawn seeds stay exact in every program that reads JSON numbers as doubles, ComfyUI's editor among them."""


class WorkflowError(Exception):
    """A workflow, or what was put into it, is wrong; the text is a sentence that says what to do."""


class Target(Struct, frozen=True):
    """One input of one node of the graph."""

    node: NodeId
    input: str


class Slot(Struct, frozen=True, kw_only=True):
    """A named input. Without a default, the graph's own value stands."""

    name: str
    title: str
    kind: Kind
    targets: tuple[Target, ...]
    description: str = ""
    required: bool = False
    default: Json = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()

    def read(self, value: Json) -> Json:
        """Turn what a person gave into what the node wants. Raises `WorkflowError`."""
        match self.kind:
            case "integer" | "seed":
                return self._limited(_integer(self.name, value))
            case "number":
                return self._limited(_number(self.name, value))
            case "boolean":
                return _boolean(self.name, value)
            case "choice":
                if value not in self.choices:
                    raise WorkflowError(f"{self.name} cannot be “{value}”{suggest(str(value), self.choices)}")
                return value
            case "text" | "image" | "model":
                return value if isinstance(value, str) else str(value)

    def _limited(self, number: float) -> float:
        low, high = self.minimum, self.maximum
        if (low is not None and number < low) or (high is not None and number > high):
            limits = f"{low:g} to {high:g}" if low is not None and high is not None else f"{low or high:g}"
            raise WorkflowError(f"{self.name} is {number:g}, but must be within {limits}.")
        return number


def suggest(told: str, known: Iterable[str]) -> str:
    """The end of a sentence: what was perhaps meant, and what there is."""
    names = list(known)
    close = difflib.get_close_matches(told, names, 1)
    listing = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"; did you mean “{close[0]}”?" if close else f": choose from {listing}." if names else "."


def typed_like(where: str, told: str, present: Json) -> Json:
    """Read a text as the type of what stands there now. Raises `WorkflowError`."""
    match present:
        case bool():
            return _boolean(where, told)
        case int():
            return _integer(where, told)
        case float():
            return _number(where, told)
        case list() | dict():
            raise WorkflowError(f"{where} is connected to another node, so no value can be put there.")
        case _:
            return told


def _integer(where: str, value: Json) -> int:
    try:
        if isinstance(value, str):
            return int(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise WorkflowError(f"{where} must be a whole number, not “{value}”.")


def _number(where: str, value: Json) -> float:
    try:
        if isinstance(value, (str, int, float)) and abs(number := float(value)) < float("inf"):
            return number
    except ValueError:
        pass
    raise WorkflowError(f"{where} must be a number, not “{value}”.")


def _boolean(where: str, value: Json) -> bool:
    match str(value).lower():
        case "true" | "yes" | "on" | "1":
            return True
        case "false" | "no" | "off" | "0":
            return False
        case _:
            raise WorkflowError(f"{where} must be true or false, not “{value}”.")
