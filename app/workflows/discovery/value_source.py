"""Finds where a value is stored: in the input, in a node that only holds it, or in the parts of a computed text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.core.jobs.progress import title
from app.events import NodeId
from app.ports import Graph
from app.workflows.api_graph import inputs, sources
from app.workflows.discovery.candidates import slug
from app.workflows.discovery.vocabulary import PROMPT_INPUTS
from app.workflows.model import Target

VALUES = ("value", "text", "string", "prompt", "seed", "noise_seed", "int", "float", "number")
"""The input names that nodes which only hold a value give to it."""

SWITCH = "ComfySwitchNode"
"""A node that passes on one of its two inputs."""

SYSTEM_TITLE = re.compile(r"system")
"""Part of the titles of texts that tell a language model what to do; they are not for people."""

AROUND_TITLE = re.compile(r"template|rewrite|instruction|trigger")
"""Part of the titles of texts that are joined with the one that people write."""

JOINED = {"StringConcatenate": ("string_a", "string_b"), "StringReplace": ("string",)}
"""Nodes that join texts or put one into another, and their inputs that may hold a text of their own."""

SEARCHED = {"RegexExtract": ("string",), "RegexReplace": ("string", "replace")}
"""Nodes that search a text for a pattern, and their inputs that have texts."""

MEASURED = "GetImageSize"
"""A node whose outputs are the width and the height of a picture."""

CALCULATORS = frozenset({"ComfyMathExpression", "MathExpression|pysssss", "SimpleMath+"})
"""Nodes that compute a number from others."""

PROMPT_TITLE = re.compile(r"(?:.*_)?prompt(?:_.*)?")
"""A title that has the word “prompt”."""

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


def chosen(graph: Graph, node: str) -> str:
    """Return the input that a switch passes on as it is set; "" if the node is no switch, or the graph computes it."""
    if graph[node].get("class_type") != SWITCH:
        return ""
    target = literal(graph, node, "switch")
    value = inputs(graph, target.node)[target.input] if target is not None else None
    return ("on_true" if value else "on_false") if isinstance(value, bool) else ""


def literal(graph: Graph, node: str, name: str) -> Target | None:
    """Return the input that stores a value: this one, or that of the node which holds it. None if it is computed."""
    seen: set[str] = set()
    while node in graph and node not in seen:
        seen.add(node)
        match inputs(graph, node).get(name):
            case [str() as source, int()] if source in graph:
                if not (name := held(graph, source) or chosen(graph, source)):
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

    If there are none, return the texts that the joining nodes themselves hold. A switch has only the text that it
    passes on. System prompts are left out. If exactly one text has a title that says it is the prompt, return only that
    one: the others are templates around it.
    """
    link = inputs(graph, node).get(name)
    waiting = [str(link[0])] if isinstance(link, list) and link else []
    targets: list[Target] = []
    joined: list[Target] = []
    seen: set[str] = set()
    while waiting:
        if (at := waiting.pop(0)) in seen or at not in graph:
            continue
        seen.add(at)
        node_inputs = inputs(graph, at)
        joined += [
            Target(NodeId(at), own)
            for own in JOINED.get(str(graph[at].get("class_type")), ())
            if isinstance(value := node_inputs.get(own), str) and value.strip()
        ]
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
        elif branch := chosen(graph, at):
            source = node_inputs.get(branch)
            waiting += [str(source[0])] if isinstance(source, list) and source else []
        elif searched := SEARCHED.get(str(graph[at].get("class_type"))):
            links = (node_inputs.get(field) for field in searched)
            waiting += [str(link[0]) for link in links if isinstance(link, list) and link]
        else:
            waiting += sources(graph, at)
    return _written(graph, targets or joined)


def _resized(graph: Graph, node: str, slot: int) -> Iterator[tuple[str, str]]:
    """Yield the input that sets a side of the picture whose size a node measures."""
    side = ("width", "height")[slot] if slot in {0, 1} else ""
    match inputs(graph, node).get("image"):
        case [str() as source, int()] if side and source in graph:
            yield from ((source, name) for name in inputs(graph, source) if name in {side, f"resize_type.{side}"})
        case _:
            return


def numbers(graph: Graph, node: str, name: str) -> Iterator[Target]:
    """Yield the stored numbers from which a number is computed."""
    waiting, seen = [(node, name)], set[tuple[str, str]]()
    while waiting:
        if (place := waiting.pop(0)) in seen:
            continue
        seen.add(place)
        if (target := number(graph, *place)) is not None:
            yield target
            continue
        match inputs(graph, place[0]).get(place[1]):
            case [str() as source, int() as slot] if source in graph:
                if graph[source].get("class_type") == MEASURED:
                    waiting += _resized(graph, source, slot)
                    continue
                names = inputs(graph, source) if graph[source].get("class_type") in CALCULATORS else ()
                follow = names or [own for own in (held(graph, source), chosen(graph, source)) if own]
                waiting += [(source, own) for own in follow]
            case _:
                continue


def _written(graph: Graph, targets: list[Target]) -> list[Target]:
    """Return those texts of several that people write, as far as the titles of their nodes say so."""
    titles = {target: slug(title(graph, target.node)) for target in targets}
    targets = [target for target in targets if not SYSTEM_TITLE.search(titles[target])]
    targets = [target for target in targets if not AROUND_TITLE.search(titles[target])] or targets
    for prompts in (
        [target for target in targets if titles[target] in PROMPT_TITLES],
        [target for target in targets if PROMPT_TITLE.fullmatch(titles[target])],
    ):
        if len(prompts) == 1:
            return prompts
    return targets
