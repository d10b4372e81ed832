"""The sentences for what a server objects to in a workflow."""

from __future__ import annotations

from typing import assert_never

from app.texts.wording import EXPECTED, limits_text, listed, number_text, quoted, shortened, suggest
from app.workflows.reasons import checks

MOST_CHOICES = 8
"""The number of a server's choices that a sentence lists."""


def input_check_text(reason: checks.InputCheckReason) -> str:
    """Return the sentence for a value that a server refuses."""
    place = _place(reason.node, reason.input)
    match reason:
        case checks.WrongInputType(expected=expected, given=given):
            return f"{place} must be {EXPECTED[expected]}, not {quoted(given)}."
        case checks.InputOutOfLimits(given=given, minimum=minimum, maximum=maximum):
            return f"{place} is {shortened(given)}, but must be {limits_text(minimum, maximum)}."
        case checks.MissingModel(model=model, folder=folder):
            where = f"models/{folder}" if folder else "the matching folder under models"
            return f"{place} is {shortened(model)}, a model that the server does not have: put its file in {where}."
        case checks.MissingServerFile(file=file):
            return f"{place} is {shortened(file)}, a file that the server's input folder does not have."
        case checks.NotListed(given=given, choices=choices):
            names = listed(choices, MOST_CHOICES) if choices else "nothing"
            return f"{place} cannot be {quoted(given)}; the server has {names}."
        case _:
            assert_never(reason)


def link_text(reason: checks.LinkReason) -> str:
    """Return the sentence for a connection that a server refuses."""
    place = _place(reason.node, reason.input)
    match reason:
        case checks.NotAConnection():
            return f"{place} is a list, but not a connection [node, output]."
        case checks.MissingSource(source=source):
            return f"{place} comes from node {shortened(source)}, which does not exist: export the workflow again."
        case checks.MissingOutput(source=source, output=output, count=count):
            origin = f"output {number_text(output)} of {quoted(source)}"
            return f"{place} takes {origin}, which has only {number_text(count)}, counted from 0."
        case checks.WrongOutputType(expected=expected, source=source, output=output, given=given):
            origin = f"output {number_text(output)} of {quoted(source)} gives {shortened(given)}"
            return f"{place} needs {shortened(expected)}, but {origin}."
        case _:
            assert_never(reason)


def audit_text(reason: checks.AuditReason) -> str:
    """Return the sentence about a node, a slot or a whole workflow."""
    match reason:
        case checks.MissingClass(node=node, node_class=node_class, similar=similar):
            end = f"; did you mean {quoted(similar)}?" if similar else ": install its nodes, or use another server."
            return f"{quoted(node)} is of class {shortened(node_class)}, which the server does not have{end}"
        case checks.IgnoredInput(node=node, input=field, known=known):
            return f"{quoted(node)} has no input {quoted(field)}, so the server ignores it{suggest(field, known)}"
        case checks.ServerDefault(node=node, input=field, default=default):
            return f"{_place(node, field)} has no value, so the bot sends the default of the server, {quoted(default)}."
        case checks.MissingInput(node=node, input=field, socket=socket):
            needs = f"a connection of type {shortened(socket)}" if socket else "a value"
            return f"{_place(node, field)} needs {needs}."
        case checks.ValueInSocket(node=node, input=field, socket=socket):
            return f"{_place(node, field)} needs a connection of type {shortened(socket)}, not a value."
        case checks.LimitBeyondNode(slot=slot, limit=limit, allowed=allowed, node=node, input=field, accepted=accepted):
            limits = limits_text(accepted, None) if limit == "minimum" else limits_text(None, accepted)
            return f"{shortened(slot)} allows {number_text(allowed)}, but {_place(node, field)} must be {limits}."
        case checks.ChoicesBeyondNode(slot=slot, choices=choices, node=node, input=field):
            names = listed(choices, 5)
            return f"{shortened(slot)} offers {names}, which {_place(node, field)} does not have on this server."
        case checks.SharedTitle(slot=slot, node=node, nodes=nodes):
            shared = f"{len(nodes)} nodes have that title ({listed(nodes)})"
            return (
                f"{shortened(slot)} goes to {quoted(node)}, but {shared}: give each its own, so that a new export fits."
            )
        case checks.PaidNode(node=node):
            what = f"{quoted(node)} calls a service that bills for each run"
            return f"{what}: remove it, or set a key, a budget and a server for it ([paid_nodes] in atelier.toml)."
        case checks.UnpricedNode(node=node, price=price):
            example = "the most that a run costs in US dollars" if price is None else f"{price:g}"
            return f"{quoted(node)} calls a service that bills for each run: add price = {example} to the manifest."
        case checks.NoOutputNode():
            return "The workflow has no output: add a node such as Save Image."
        case checks.NodeLoop(nodes=nodes):
            names = " → ".join(quoted(node) for node in nodes[:6]) + (" → …" if len(nodes) > 6 else "")
            return f"The nodes {names} depend on each other in a loop."
        case _:
            assert_never(reason)


def _place(node: str, field: str) -> str:
    return f"{quoted(field)} of {quoted(node)}"
