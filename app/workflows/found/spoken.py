"""Guessing from what inputs are called, where no sampler leads to them: nodes that do everything by themselves."""

from __future__ import annotations

from collections.abc import Iterator

from app.ports import Graph
from app.workflows.definitions import Definitions
from app.workflows.found.candidates import Candidate, literal
from app.workflows.graph import SEEDS, inputs
from app.workflows.slots import Target

WORDS = {
    "prompt": ("prompt", "prompt_text", "positive_prompt", "positive", "text", "text_input", "user_prompt"),
    "negative": ("negative_prompt", "negative_prompt_text", "negative", "negative_text"),
}
"""What such nodes call the words that are meant for people."""

SETTINGS = ("aspect_ratio", "resolution", "duration", "width", "height")
"""What people want to say besides, and everybody calls the same."""

HOW = "the name of the input"


def spoken(graph: Graph, definitions: Definitions) -> Iterator[Candidate]:
    """Candidates by name alone: words of several lines, seeds, and the usual settings of the nodes that take words."""
    for node in graph:
        given, lines = inputs(graph, node), _lines(graph, definitions, node)
        takes_words = False
        for name, called in WORDS.items():
            told = next((one for one in called if one in lines and one in given), None)
            if told is not None and (target := _words(graph, node, told)) is not None:
                takes_words |= name == "prompt"
                yield Candidate(name=name, targets=(target,), how=HOW)
        for seed in SEEDS & given.keys():
            if (target := literal(graph, node, seed)) is not None and _number(graph, target):
                yield Candidate(name="seed", targets=(target,), how=HOW)
        for name in SETTINGS if takes_words else ():
            if (target := literal(graph, node, name)) is not None:
                yield Candidate(name=name, targets=(target,), how=HOW)


def _lines(graph: Graph, definitions: Definitions, node: str) -> set[str]:
    """The inputs of a node that take words of several lines; on a server that does not know it, none."""
    definition = definitions.get(str(graph[node].get("class_type")))
    known = definition.inputs.values() if definition is not None else ()
    return {one.name for one in known if one.type == "STRING" and one.options.get("multiline") is True}


def _words(graph: Graph, node: str, name: str) -> Target | None:
    target = literal(graph, node, name)
    return target if target is not None and isinstance(inputs(graph, target.node).get(target.input), str) else None


def _number(graph: Graph, target: Target) -> bool:
    value = inputs(graph, target.node).get(target.input)
    return isinstance(value, int) and not isinstance(value, bool)
