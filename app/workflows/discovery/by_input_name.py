"""Finds slots by the names of inputs, for nodes that do everything by themselves, without a sampler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from app.ports import Graph, Json
from app.workflows.api_graph import SEEDS, inputs
from app.workflows.discovery.candidates import Candidate, FoundBy
from app.workflows.discovery.value_source import held, literal, number, parts, text
from app.workflows.discovery.vocabulary import LYRICS, NEGATIVE_INPUTS, NUMBERED_PROMPTS, PROMPT_INPUTS
from app.workflows.model import Target
from app.workflows.nodes.definitions import Definitions, Input

WORDS = {"prompt": PROMPT_INPUTS, "negative": NEGATIVE_INPUTS, "lyrics": (LYRICS,)}
"""The names that such nodes give to the texts that people write, by slot."""

SETTINGS = {
    "aspect_ratio": ("aspect_ratio", "ratio"),
    "resolution": ("resolution",),
    "duration": ("duration",),
    "width": ("width",),
    "height": ("height",),
}
"""The names that such nodes give to other settings that people want to change, by slot."""

PLAIN = frozenset({"STRING", "INT", "FLOAT", "BOOLEAN", "*"})
"""Output types of a node that only holds a value: its slot is named after the input to which it is connected."""

BY_INPUT_NAME = FoundBy("input_name")


def by_input_name(graph: Graph, definitions: Definitions, flow: Sequence[str]) -> Iterator[Candidate]:
    """Yield candidates by name alone: multiline texts, seeds, and the usual settings of nodes that take a prompt.

    The inputs that a choice brings count by the last part of their names: `model.prompt` is a prompt.
    """
    for node in flow:
        node_inputs, definition = inputs(graph, node), definitions.get(str(graph[node].get("class_type")))
        if definition is not None and held(graph, node) and set(definition.outputs) <= PLAIN:
            continue
        live = definition.live(node_inputs) if definition is not None else {}
        takes_words = False
        for name, names in WORDS.items():
            fields = _texts(node_inputs, live, names) or (_numbered(node_inputs, live) if name == "prompt" else [])
            for target in [target for field in fields for target in _words(graph, node, field)]:
                takes_words |= name == "prompt"
                yield Candidate(
                    name=name, targets=(target,), how=BY_INPUT_NAME, required=_is_needed(graph, name, target)
                )
        for seed in sorted(field for field in node_inputs if _last(field) in SEEDS):
            if (target := number(graph, node, seed)) is not None:
                yield Candidate(name="seed", targets=(target,), how=BY_INPUT_NAME)
        for name, names in SETTINGS.items() if takes_words else ():
            for field in [field for field in node_inputs if _last(field) in names][:1]:
                if (target := literal(graph, node, field)) is not None:
                    yield Candidate(name=name, targets=(target,), how=BY_INPUT_NAME)


def _last(field: str) -> str:
    return field.rpartition(".")[2]


def _texts(node_inputs: Mapping[str, Json], live: Mapping[str, Input], names: Sequence[str]) -> list[str]:
    """Return the first of the names that a node has as a text of several lines; with a choice, the last part counts."""
    fields = {_last(field): field for field in node_inputs if field in live and _is_text(live[field])}
    return [fields[name] for name in names if name in fields][:1]


def _numbered(node_inputs: Mapping[str, Json], live: Mapping[str, Input]) -> list[str]:
    return [
        field
        for field in node_inputs
        if field in live and live[field].type == "STRING" and NUMBERED_PROMPTS.fullmatch(_last(field))
    ]


def _is_text(known: Input) -> bool:
    return known.type == "STRING" and known.options.get("multiline") is True


def _words(graph: Graph, node: str, name: str) -> list[Target]:
    own = text(graph, node, name)
    return [own] if own is not None else parts(graph, node, name)


def _is_needed(graph: Graph, name: str, target: Target) -> bool:
    """Return whether the slot is required: a prompt is, unless the author left it empty, as for an upscaler."""
    return name == "prompt" and bool(str(inputs(graph, target.node)[target.input]).strip())
