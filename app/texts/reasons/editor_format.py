"""The sentences for files in the editor's own format that cannot be converted."""

from __future__ import annotations

from typing import assert_never

from app.texts.wording import EXPORT, quoted, shortened
from app.workflows.reasons import editor_format

EXPORT_ANYWHERE = f"{EXPORT}, or “Save (API Format)” in older versions"
"""How to get a file in API format from any editor that wrote the file."""


def editor_format_text(reason: editor_format.EditorFormatReason) -> str:
    """Return the sentence for a file in the editor's own format."""
    match reason:
        case editor_format.NoListOfNodes():
            return "this is not a workflow: it has no list of nodes."
        case editor_format.DamagedNode():
            return "the file is damaged, because a node has no id or no type: save it again in ComfyUI."
        case editor_format.SameId(nodes=(first, second), id=id_):
            return f"{quoted(first)} and {quoted(second)} have the same id {shortened(id_)}: save it again in ComfyUI."
        case editor_format.NothingToRun():
            return "the workflow has no node that would run: all are switched off or exist only in the editor."
        case editor_format.GroupNode(node=node):
            return f"{quoted(node)} is a group node: turn it into a subgraph, or {EXPORT_ANYWHERE}."
        case editor_format.MissingSubgraph(node=node):
            return f"{quoted(node)} is a subgraph that the file does not have: {EXPORT_ANYWHERE}."
        case editor_format.UnknownClass(node=node, node_class=node_class, similar=similar):
            advice = f"install its nodes. If only the editor needs it, {EXPORT_ANYWHERE}"
            end = f"; did you mean {quoted(similar)}?" if similar else f": {advice}."
            return f"{quoted(node)} is of class {shortened(node_class)}, which the server does not have{end}"
        case editor_format.ValuesDoNotFit(node=node, input=field, value=value):
            problem = f"{quoted(field)} would be {quoted(value)}, probably because the server has another version of it"
            return f"the saved values of {quoted(node)} do not fit: {problem}. To solve this, {EXPORT_ANYWHERE}."
        case editor_format.TooManyNodes(most=most):
            return f"the workflow has more than {most} nodes with those in its subgraphs."
        case editor_format.NestedSubgraphs(node=node, deepest=deepest):
            return f"the subgraph {quoted(node)} contains itself, or more than {deepest} subgraphs within each other."
        case _:
            return _link_text(reason)


def _link_text(
    reason: editor_format.MadeInBrowser
    | editor_format.LinkLoop
    | editor_format.MissingOrigin
    | editor_format.MissingLink
    | editor_format.MissingSubgraphInput
    | editor_format.UnsetName,
) -> str:
    match reason:
        case editor_format.MadeInBrowser(node=node, input=field):
            return f"{_place(node, field)} is made in the browser, so no file has it: {EXPORT_ANYWHERE}."
        case editor_format.LinkLoop(node=node, input=field):
            return f"the links into {_place(node, field)} form a loop: connect it to another node."
        case editor_format.MissingOrigin(node=node, input=field):
            return f"{_place(node, field)} comes from a node that does not exist: {EXPORT_ANYWHERE}."
        case editor_format.MissingLink(node=node, input=field):
            return f"{_place(node, field)} has a link that the file does not have: {EXPORT_ANYWHERE}."
        case editor_format.MissingSubgraphInput(node=node, input=field):
            return f"{_place(node, field)} comes from an input that its subgraph does not have: {EXPORT_ANYWHERE}."
        case editor_format.UnsetName(node=node, name=name):
            return f"{quoted(node)} gets {quoted(name)}, which no node sets: {EXPORT_ANYWHERE}."
        case _:
            assert_never(reason)


def _place(node: str, field: str) -> str:
    return f"{quoted(field)} of {quoted(node)}"
