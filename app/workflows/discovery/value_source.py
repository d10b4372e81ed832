"""Finds where a value is stored: in the input, in a node that only holds it, or in the parts of a computed text."""

from __future__ import annotations

from app.core.progress import title
from app.events import NodeId
from app.ports import Graph
from app.workflows.api_graph import inputs, sources
from app.workflows.discovery.candidates import slug
from app.workflows.discovery.vocabulary import PROMPT_INPUTS
from app.workflows.model import Target

VALUES = ("value", "text", "string", "prompt", "seed", "noise_seed", "int", "float", "number")
"""The input names that nodes which only hold a value give to it."""

PROMPT_TITLES = frozenset({"prompt", "user_prompt", "positive_prompt", "positive", "negative", "negative_prompt"})
"""Titles that mark one text among several as the one that people write."""


def held(graph: Graph, node: str) -> str:
    """Return the input of a node that does nothing but hold a value; "" if it does more.

    A node with a second text, or with another input that is connected, does not count: it combines the two.
    """
    node_inputs = inputs(graph, node)
    names = [name for name in VALUES if name in node_inputs]
    if len(names) != 1:
        return ""
    others = [value for name, value in node_inputs.items() if name != names[0]]
    is_text = isinstance(node_inputs[names[0]], (str, list))
    if any(isinstance(value, (list, dict)) or (is_text and isinstance(value, str)) for value in others):
        return ""
    return names[0]


def literal(graph: Graph, node: str, name: str) -> Target | None:
    """Return the input that stores a value: this one, or that of the node which holds it. None if it is computed."""
    seen: set[str] = set()
    while node in graph and node not in seen:
        seen.add(node)
        match inputs(graph, node).get(name):
            case [str() as source, int()] if source in graph:
                if not (name := held(graph, source)):
                    return None
                node = source
            case None | list() | dict():
                return None
            case _:
                return Target(NodeId(node), name)
    return None


def text(graph: Graph, node: str, name: str) -> Target | None:
    """Return the input that stores a text; None if the value is computed or not a text."""
    target = literal(graph, node, name)
    return target if target is not None and isinstance(inputs(graph, target.node).get(target.input), str) else None


def number(graph: Graph, node: str, name: str) -> Target | None:
    """Return the input that stores a number; None if the value is computed or not a number."""
    target = literal(graph, node, name)
    value = inputs(graph, target.node).get(target.input) if target is not None else None
    return target if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def parts(graph: Graph, node: str, name: str) -> list[Target]:
    """Return the stored texts of which a computed text is made: in nodes that only hold a text or have a prompt input.

    If exactly one has a title that says it is the prompt, return only that one: the others are templates around it.
    """
    link = inputs(graph, node).get(name)
    waiting = [str(link[0])] if isinstance(link, list) and link else []
    targets: list[Target] = []
    seen: set[str] = set()
    while waiting:
        if (at := waiting.pop(0)) in seen or at not in graph:
            continue
        seen.add(at)
        node_inputs = inputs(graph, at)
        own = next(
            (
                input_name
                for input_name in (held(graph, at), *PROMPT_INPUTS)
                if isinstance(node_inputs.get(input_name), str)
            ),
            "",
        )
        if own:
            targets.append(Target(NodeId(at), own))
        else:
            waiting += sources(graph, at)
    prompts = [target for target in targets if slug(title(graph, target.node)) in PROMPT_TITLES]
    return prompts if len(prompts) == 1 else targets
