"""Finds slots by the names of inputs, for nodes that do everything by themselves, without a sampler."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.ports import Graph
from app.workflows.api_graph import SEEDS, inputs
from app.workflows.discovery.candidates import Candidate, FoundBy
from app.workflows.discovery.value_source import held, literal, number, parts, text
from app.workflows.discovery.vocabulary import LYRICS, NEGATIVE_INPUTS, PROMPT_INPUTS
from app.workflows.model import Target
from app.workflows.node_definitions import Definition, Definitions

WORDS = {"prompt": PROMPT_INPUTS, "negative": NEGATIVE_INPUTS, "lyrics": (LYRICS,)}
"""The names that such nodes give to the texts that people write, by slot."""

SETTINGS = ("aspect_ratio", "resolution", "duration", "width", "height")
"""Other settings that people want to change, which have the same name in all such nodes."""

PLAIN = frozenset({"STRING", "INT", "FLOAT", "BOOLEAN", "*"})
"""Output types of a node that only holds a value: its slot is named after the input to which it is connected."""

BY_INPUT_NAME = FoundBy("input_name")


def by_input_name(graph: Graph, definitions: Definitions, flow: Sequence[str]) -> Iterator[Candidate]:
    """Yield candidates by name alone: multiline texts, seeds, and the usual settings of nodes that take a prompt."""
    for node in flow:
        node_inputs, definition = inputs(graph, node), definitions.get(str(graph[node].get("class_type")))
        lines = _lines(definition)
        takes_words = False
        if definition is not None and held(graph, node) and set(definition.outputs) <= PLAIN:
            continue
        for name, names in WORDS.items():
            input_name = next(
                (input_name for input_name in names if input_name in lines and input_name in node_inputs), ""
            )
            targets = _words(graph, node, input_name)
            takes_words |= name == "prompt" and bool(targets)
            for target in targets:
                yield Candidate(
                    name=name, targets=(target,), how=BY_INPUT_NAME, required=_is_needed(graph, name, target)
                )
        for seed in SEEDS & node_inputs.keys():
            if (target := number(graph, node, seed)) is not None:
                yield Candidate(name="seed", targets=(target,), how=BY_INPUT_NAME)
        for name in SETTINGS if takes_words else ():
            if (target := literal(graph, node, name)) is not None:
                yield Candidate(name=name, targets=(target,), how=BY_INPUT_NAME)


def _lines(definition: Definition | None) -> set[str]:
    """Return a node's multiline text inputs; empty if the server does not have the node's class."""
    known = definition.inputs.values() if definition is not None else ()
    return {field.name for field in known if field.type == "STRING" and field.options.get("multiline") is True}


def _words(graph: Graph, node: str, name: str) -> list[Target]:
    own = text(graph, node, name)
    return [own] if own is not None else parts(graph, node, name)


def _is_needed(graph: Graph, name: str, target: Target) -> bool:
    """Return whether the slot is required: a prompt is, unless the author left it empty, as for an upscaler."""
    return name == "prompt" and bool(str(inputs(graph, target.node)[target.input]).strip())
