"""Guessing from what inputs are called, where no sampler leads to them: nodes that do everything by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.ports import Graph
from app.workflows.api_graph import SEEDS, inputs
from app.workflows.discovery.candidates import Candidate
from app.workflows.discovery.value_source import held, literal, number, parts, text
from app.workflows.discovery.vocabulary import AGAINST, LYRICS, SAID
from app.workflows.model import Target
from app.workflows.node_definitions import Definition, Definitions

WORDS = {"prompt": SAID, "negative": AGAINST, "lyrics": (LYRICS,)}
"""What such nodes call the words that are meant for people."""

SETTINGS = ("aspect_ratio", "resolution", "duration", "width", "height")
"""What people want to say besides, and everybody calls the same."""

PLAIN = frozenset({"STRING", "INT", "FLOAT", "BOOLEAN", "*"})
"""What comes out of a node that only holds a value: it is told by the name of the input into which it goes."""

HOW = "the name of the input"


def by_input_name(graph: Graph, definitions: Definitions, flow: Sequence[str]) -> Iterator[Candidate]:
    """Candidates by name alone: words of several lines, seeds, and the usual settings of the nodes that take words."""
    for node in flow:
        given, definition = inputs(graph, node), definitions.get(str(graph[node].get("class_type")))
        lines = _lines(definition)
        takes_words = False
        if definition is not None and held(graph, node) and set(definition.outputs) <= PLAIN:
            continue
        for name, called in WORDS.items():
            told = next((one for one in called if one in lines and one in given), "")
            found = _words(graph, node, told)
            takes_words |= name == "prompt" and bool(found)
            for target in found:
                yield Candidate(name=name, targets=(target,), how=HOW, required=_is_needed(graph, name, target))
        for seed in SEEDS & given.keys():
            if (target := number(graph, node, seed)) is not None:
                yield Candidate(name="seed", targets=(target,), how=HOW)
        for name in SETTINGS if takes_words else ():
            if (target := literal(graph, node, name)) is not None:
                yield Candidate(name=name, targets=(target,), how=HOW)


def _lines(definition: Definition | None) -> set[str]:
    """The inputs of a node that take words of several lines; on a server that does not know it, none."""
    known = definition.inputs.values() if definition is not None else ()
    return {one.name for one in known if one.type == "STRING" and one.options.get("multiline") is True}


def _words(graph: Graph, node: str, name: str) -> list[Target]:
    own = text(graph, node, name)
    return [own] if own is not None else parts(graph, node, name)


def _is_needed(graph: Graph, name: str, target: Target) -> bool:
    """What the author of such a node left empty, such as an upscaler's prompt, may stay so."""
    return name == "prompt" and bool(str(inputs(graph, target.node)[target.input]).strip())
