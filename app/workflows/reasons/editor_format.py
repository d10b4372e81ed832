"""Why a file in the editor's own format cannot be converted. `node` is the title of a node, else its class."""

from __future__ import annotations

from typing import TypeAlias

from app.reasons import Reason


class NoListOfNodes(Reason, frozen=True):
    """The file has no list of nodes."""


class DamagedNode(Reason, frozen=True):
    """A node has no id or no type."""


class SameId(Reason, frozen=True):
    """Two nodes have the same id."""

    nodes: tuple[str, str]
    id: str


class NothingToRun(Reason, frozen=True):
    """All nodes are switched off, or exist only in the editor."""


class GroupNode(Reason, frozen=True):
    """The node is a group node, the predecessor of subgraphs."""

    node: str


class MissingSubgraph(Reason, frozen=True):
    """The node stands for a subgraph that the file does not contain."""

    node: str


class UnknownClass(Reason, frozen=True):
    """The server has no such class; `similar` is the most similar class that it has, "" if none is."""

    node: str
    node_class: str
    similar: str


class MadeInBrowser(Reason, frozen=True):
    """The browser creates the value of the input when it sends the workflow."""

    node: str
    input: str


class LinkLoop(Reason, frozen=True):
    """The links that lead to the input form a loop."""

    node: str
    input: str


class MissingOrigin(Reason, frozen=True):
    """The input is connected to a node that does not exist."""

    node: str
    input: str


class MissingLink(Reason, frozen=True):
    """The input names a link that the file does not contain."""

    node: str
    input: str


class MissingSubgraphInput(Reason, frozen=True):
    """The input is connected to an input that its subgraph does not have."""

    node: str
    input: str


class UnsetName(Reason, frozen=True):
    """A getter takes a value by name, but no setter has that name."""

    node: str
    name: str


class TooManyNodes(Reason, frozen=True):
    """The workflow has more than `most` nodes once its subgraphs are expanded."""

    most: int


class NestedSubgraphs(Reason, frozen=True):
    """A subgraph contains itself, or subgraphs are nested more than `deepest` times."""

    node: str
    deepest: int


class ValuesDoNotFit(Reason, frozen=True):
    """The saved values of a node do not fit its fields on the server: the input would get `value`."""

    node: str
    input: str
    value: str


EditorFormatReason: TypeAlias = (
    NoListOfNodes
    | DamagedNode
    | SameId
    | NothingToRun
    | GroupNode
    | MissingSubgraph
    | UnknownClass
    | MadeInBrowser
    | LinkLoop
    | MissingOrigin
    | MissingLink
    | MissingSubgraphInput
    | UnsetName
    | TooManyNodes
    | NestedSubgraphs
    | ValuesDoNotFit
)
