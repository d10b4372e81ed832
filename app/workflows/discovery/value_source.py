"""Finds where a value is stored: in the input, in a node that only holds it, or in the parts of a computed text."""

from __future__ import annotations

from app.core.progress import title
from app.events import NodeId
from app.ports import Graph
from app.workflows.api_graph import inputs, sources
from app.workflows.discovery.candidates import slug
from app.workflows.discovery.vocabulary import SAID
from app.workflows.model import Target

VALUES = ("value", "text", "string", "prompt", "seed", "noise_seed", "int", "float", "number")
"""The input names that nodes which only hold a value give to it."""

CALLED = frozenset({"prompt", "user_prompt", "positive_prompt", "positive", "negative", "negative_prompt"})
"""Titles that mark one text among several as the one that people write."""


def held(graph: Graph, node: str) -> str:
    """Return the input of a node that does nothing but hold a value; "" if it does more.

    A node with a second text, or with another input that is connected, does not count: it combines the two.
    """
    given = inputs(graph, node)
    names = [one for one in VALUES if one in given]
    if len(names) != 1:
        return ""
    others = [value for name, value in given.items() if name != names[0]]
    is_text = isinstance(given[names[0]], (str, list))
    if any(isinstance(one, (list, dict)) or (is_text and isinstance(one, str)) for one in others):
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
    found = literal(graph, node, name)
    return found if found is not None and isinstance(inputs(graph, found.node).get(found.input), str) else None


def number(graph: Graph, node: str, name: str) -> Target | None:
    """Return the input that stores a number; None if the value is computed or not a number."""
    found = literal(graph, node, name)
    value = inputs(graph, found.node).get(found.input) if found is not None else None
    return found if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def parts(graph: Graph, node: str, name: str) -> list[Target]:
    """Return the stored texts of which a computed text is made: in nodes that only hold a text or have a prompt input.

    If exactly one has a title that says it is the prompt, return only that one: the others are templates around it.
    """
    link = inputs(graph, node).get(name)
    waiting = [str(link[0])] if isinstance(link, list) and link else []
    found: list[Target] = []
    seen: set[str] = set()
    while waiting:
        if (at := waiting.pop(0)) in seen or at not in graph:
            continue
        seen.add(at)
        given = inputs(graph, at)
        own = next((one for one in (held(graph, at), *SAID) if isinstance(given.get(one), str)), "")
        if own:
            found.append(Target(NodeId(at), own))
        else:
            waiting += sources(graph, at)
    called = [one for one in found if slug(title(graph, one.node)) in CALLED]
    return called if len(called) == 1 else found
