"""Finds the name and the strength of the LoRA in a graph that has one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from app.ports import Graph
from app.workflows.api_graph import inputs
from app.workflows.discovery.candidates import Candidate, FoundBy
from app.workflows.discovery.value_source import literal
from app.workflows.lora import LOADER, MODEL_ONLY

STRENGTHS = ("strength_model", "strength_clip")

FEWER_STEPS = re.compile(
    r"lightning|lightx2v|causvid|turbo|hyper|lcm|distill|accelerat|dmd|\d+[-_ ]?steps?", re.IGNORECASE
)
"""Names of LoRAs that make a model faster. With another one, the steps of the workflow would not fit any more."""

BY_NODE_CLASS = FoundBy("node_class")


def by_lora(graph: Graph, flow: Sequence[str]) -> Iterator[Candidate]:
    """Yield the LoRA of a graph and its strength, if there is exactly one that people may want to replace.

    Of several LoRAs it is not known which one is a matter of taste.
    """
    loaders = [node for node in flow if graph[node].get("class_type") in {LOADER, MODEL_ONLY}]
    if len(loaders) != 1:
        return
    node = loaders[0]
    name = literal(graph, node, "lora_name")
    if name is None or FEWER_STEPS.search(str(inputs(graph, name.node).get(name.input))):
        return
    yield Candidate(name="lora", targets=(name,), how=BY_NODE_CLASS, kind="model")
    strengths = [literal(graph, node, field) for field in STRENGTHS if field in inputs(graph, node)]
    targets = tuple(target for target in strengths if target is not None)
    values = [inputs(graph, target.node).get(target.input) for target in targets]
    if len(targets) == len(strengths) and values and values.count(values[0]) == len(values):
        yield Candidate(name="lora_strength", targets=targets, how=BY_NODE_CLASS)
