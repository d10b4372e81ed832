"""What a server objects to in a workflow. `node` is the title of a node; `given` is a value as a text."""

from __future__ import annotations

from typing import Literal, TypeAlias

from app.reasons import Reason
from app.workflows.parsing import Expected


class MissingClass(Reason, frozen=True):
    """The server has no such class; `similar` is the most similar class that it has, "" if none is."""

    node: str
    node_class: str
    similar: str


class IgnoredInput(Reason, frozen=True):
    """The class has no such input; `known` are the inputs that could be meant."""

    node: str
    input: str
    known: tuple[str, ...]


class ServerDefault(Reason, frozen=True):
    """The graph has no value for a required input, which the server refuses; the bot then sends its default."""

    node: str
    input: str
    default: str


class MissingInput(Reason, frozen=True):
    """The graph has no value for a required input; `socket` is the type of a connection, "" for a field."""

    node: str
    input: str
    socket: str


class ValueInSocket(Reason, frozen=True):
    """The input must be connected to an output of the type `socket`, but has a value."""

    node: str
    input: str
    socket: str


class NotAConnection(Reason, frozen=True):
    """The value is a list, but not of the form [node, output]."""

    node: str
    input: str


class MissingSource(Reason, frozen=True):
    """The input is connected to a node that does not exist; `source` is its id."""

    node: str
    input: str
    source: str


class MissingOutput(Reason, frozen=True):
    """The input is connected to an output that the node does not have: it has `count`, counted from 0."""

    node: str
    input: str
    source: str
    output: int
    count: int


class WrongOutputType(Reason, frozen=True):
    """The input is connected to an output of the wrong type."""

    node: str
    input: str
    expected: str
    source: str
    output: int
    given: str


class WrongInputType(Reason, frozen=True):
    """The value of an input has the wrong type."""

    node: str
    input: str
    expected: Expected
    given: str


class InputOutOfLimits(Reason, frozen=True):
    """The number in an input is too small or too large; at least one limit is given."""

    node: str
    input: str
    given: str
    minimum: int | float | None
    maximum: int | float | None


class MissingModel(Reason, frozen=True):
    """The server does not have a model's file; `folder` is where under `models` it belongs, "" if not known."""

    node: str
    input: str
    model: str
    folder: str


class MissingServerFile(Reason, frozen=True):
    """The server's input folder does not have a file."""

    node: str
    input: str
    file: str


class NotListed(Reason, frozen=True):
    """The value is not in the server's list for the input."""

    node: str
    input: str
    given: str
    choices: tuple[str, ...]


class LimitBeyondNode(Reason, frozen=True):
    """A slot allows numbers that its input does not: its limit is `allowed`, that of the input `accepted`."""

    slot: str
    limit: Literal["minimum", "maximum"]
    allowed: int | float
    node: str
    input: str
    accepted: int | float


class ChoicesBeyondNode(Reason, frozen=True):
    """A slot offers choices that its input does not have."""

    slot: str
    choices: tuple[str, ...]
    node: str
    input: str


class SharedTitle(Reason, frozen=True):
    """A slot finds its node by a title that several nodes have; `nodes` are their ids."""

    slot: str
    node: str
    nodes: tuple[str, ...]


class NoOutputNode(Reason, frozen=True):
    """No node of the graph is an output."""


class NodeLoop(Reason, frozen=True):
    """The nodes depend on each other in a loop."""

    nodes: tuple[str, ...]


InputCheckReason: TypeAlias = WrongInputType | InputOutOfLimits | MissingModel | MissingServerFile | NotListed
"""Why a server refuses the value of an input."""


class PaidNode(Reason, frozen=True):
    """The node calls a service that bills for it, which nobody has allowed on this server."""

    node: str


class UnpricedNode(Reason, frozen=True):
    """The node calls a service that bills for it, and the manifest does not say what a run costs.

    `price` is what the server says that the node costs, in US dollars; None if that depends on something.
    """

    node: str
    price: float | None = None


LinkReason: TypeAlias = NotAConnection | MissingSource | MissingOutput | WrongOutputType
"""Why a server refuses the connection of an input."""

AuditReason: TypeAlias = (
    MissingClass
    | IgnoredInput
    | ServerDefault
    | MissingInput
    | ValueInSocket
    | LimitBeyondNode
    | ChoicesBeyondNode
    | SharedTitle
    | NoOutputNode
    | NodeLoop
    | PaidNode
    | UnpricedNode
)
"""Everything else about nodes, slots and the whole graph."""
