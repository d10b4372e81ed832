"""Why a graph in API format is refused, or a name in it does not lead to a node or an input."""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason


class NotAWorkflow(Reason, frozen=True):
    """The file contains no graph at all."""

    file: str


class NotANode(Reason, frozen=True):
    """An entry of the file is not a node; `node` is its id."""

    file: str
    node: str


class InputsNotATable(Reason, frozen=True):
    """The inputs of a node are not a table."""

    file: str
    node: str


class DanglingLink(Reason, frozen=True):
    """An input is connected to a node that does not exist."""

    file: str
    node: str
    input: str


class AmbiguousNode(Reason, frozen=True):
    """Several nodes have the title or the class; `nodes` are their ids."""

    given: str
    nodes: tuple[str, ...]


class UnknownNode(Reason, frozen=True):
    """No node has that id, title or class; `known` are the titles of the graph's nodes."""

    given: str
    known: tuple[str, ...]


class UnknownInput(Reason, frozen=True):
    """The node has no input of that name."""

    node: str
    input: str
    known: tuple[str, ...]


GraphReason: TypeAlias = (
    NotAWorkflow | NotANode | InputsNotATable | DanglingLink | AmbiguousNode | UnknownNode | UnknownInput
)
