"""Puts any number of LoRAs into a graph: adds or removes loaders in the chain between a model and its users."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct, structs

from app.core.jobs.progress import title
from app.events import NodeId
from app.ports import Graph, Json
from app.workflows.api_graph import copied, inputs
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import Definitions
from app.workflows.nodes.input_checks import MODEL_FILES
from app.workflows.reasons.binding import (
    AmbiguousLora,
    LoraNotParsed,
    LoraWeightOutOfLimits,
    NoModelInput,
    NoModelOutput,
    SeveralChains,
    UnknownLora,
)

LOADER, MODEL_ONLY = "LoraLoader", "LoraLoaderModelOnly"
"""ComfyUI's own loaders: the first for a model with its text encoder, the second for a model alone."""

CORE: dict[str, Json] = {
    "CheckpointLoaderSimple": {"output": ["MODEL", "CLIP", "VAE"]},
    "CheckpointLoader": {"output": ["MODEL", "CLIP", "VAE"]},
    "ImageOnlyCheckpointLoader": {"output": ["MODEL", "CLIP_VISION", "VAE"]},
    "UNETLoader": {"output": ["MODEL"]},
}
"""The outputs of ComfyUI's own model loaders, for use without a server's node definitions."""

STRONGEST = 100.0
"""The largest weight that the loaders accept, positive or negative."""

Output = tuple[str, int]
"""An output: the node's id and the number of the output, counted from 0."""


class Lora(Struct, frozen=True):
    """A LoRA and its weight; the text encoder's weight is the same unless `clip_weight` is given."""

    name: str
    weight: float = 1.0
    clip_weight: float | None = None


class Chain(Struct, frozen=True, kw_only=True):
    """The place for LoRAs in a graph: the outputs that give the model and the text encoder, and the current loaders."""

    model: Output
    clip: Output | None = None
    loaders: tuple[NodeId, ...] = ()


def read_loras(text: str) -> tuple[Lora, ...]:
    """Parse a list such as `name:0.8, other.safetensors`; the default weight is 1. Raises `WorkflowError`."""
    loras: list[Lora] = []
    for part in (entry.strip() for entry in text.split(",")):
        name, colon, weight = part.rpartition(":")
        if not colon:
            loras += [Lora(part)] if part else []
            continue
        try:
            loras.append(Lora(name.strip(), float(weight)))
        except ValueError:
            raise WorkflowError(LoraNotParsed(part, name)) from None
    return tuple(loras)


def called(loras: tuple[Lora, ...], listed: Sequence[str]) -> tuple[Lora, ...]:
    """Replace short names of LoRAs by their full names in a server's list; people leave out folder and file ending.

    Names stay as they are if the list is empty. Raises `WorkflowError` if the list has no or several LoRAs of a name.
    """
    return tuple(structs.replace(lora, name=_whole_name(lora.name, listed)) for lora in loras) if listed else loras


def _whole_name(short_name: str, listed: Sequence[str]) -> str:
    if short_name in listed:
        return short_name
    keys, sought = {name: _key(name) for name in listed}, _key(short_name)
    for matches in (
        [name for name, key in keys.items() if key == sought],
        [name for name, key in keys.items() if key.split("/")[-1] == sought],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise WorkflowError(AmbiguousLora(short_name, tuple(matches)))
    raise WorkflowError(UnknownLora(short_name, sought, tuple(key.split("/")[-1] for key in keys.values())))


def _key(name: str) -> str:
    path = name.strip().replace("\\", "/").lower()
    return next((path.removesuffix(end) for end in MODEL_FILES if path.endswith(end)), path)


def find_chain(graph: Graph, node: str, definitions: Definitions) -> Chain:
    """Find the chain that a node belongs to; the node is one of its LoRA loaders, or the loader of the model.

    Raises `WorkflowError` if the node outputs no model, if several chains begin at it, or if no model comes before the
    chain.
    """
    if not _is_loader(graph, node):
        definition = definitions.get(str(graph.get(node, {}).get("class_type")))
        kinds = definition.outputs if definition is not None else ()
        if "MODEL" not in kinds:
            raise WorkflowError(NoModelOutput(title(graph, node)))
        model = (node, kinds.index("MODEL"))
        after = [user for user, name in _users(graph, model) if name == "model" and _is_loader(graph, user)]
        if len(after) > 1:
            raise WorkflowError(SeveralChains(title(graph, node), tuple(title(graph, loader) for loader in after)))
        if not after:
            return Chain(model=model, clip=(node, kinds.index("CLIP")) if "CLIP" in kinds else None)
        node = after[0]
    row = [NodeId(node)]
    while (before := _link(graph, row[0], "model")) and _is_loader(graph, before[0]) and before[0] not in row:
        row.insert(0, NodeId(before[0]))
    while True:
        after = [user for user, name in _users(graph, (row[-1], 0)) if name == "model" and _is_loader(graph, user)]
        if len(after) != 1 or after[0] in row:
            break
        row.append(NodeId(after[0]))
    model = _link(graph, row[0], "model")
    if model is None:
        raise WorkflowError(NoModelInput(title(graph, row[0])))
    clips = (_link(graph, loader, "clip") for loader in row)
    return Chain(model=model, clip=next((clip for clip in clips if clip is not None), None), loaders=tuple(row))


def fill_loras(graph: Graph, chain: Chain, loras: tuple[Lora, ...]) -> Graph:
    """Return a copy of the graph with exactly these LoRAs in the chain, in this order; no LoRAs removes all loaders.

    Every input that took the model or text encoder from the chain's loaders (or from the chain's source, if it had no
    loaders) then takes it from the new end of the chain. Raises `WorkflowError` if a weight is out of range.
    """
    filled = copied(graph)
    model_users, clip_users = _all_users(filled, chain)
    spare = [loader for loader in chain.loaders if loader in filled]
    model, clip = chain.model, chain.clip
    for number, lora in enumerate(loras, 1):
        weight = _weight(lora.name, lora.weight)
        node = spare.pop(0) if spare else _new_loader(filled, number, is_double=clip is not None)
        node_inputs = inputs(filled, node)
        node_inputs.update({"model": list[Json](model), "lora_name": lora.name, "strength_model": weight})
        model = (node, 0)
        if clip is not None and ("clip" in node_inputs or filled[node]["class_type"] == LOADER):
            clip_weight = weight if lora.clip_weight is None else _weight(lora.name, lora.clip_weight)
            node_inputs.update({"clip": list[Json](clip), "strength_clip": clip_weight})
            clip = (node, 1)
    for node in spare:
        del filled[node]
    for users, end in ((model_users, model), (clip_users, clip)):
        for user, name in users:
            if user in filled and end is not None:
                inputs(filled, user)[name] = list[Json](end)
    return filled


def _all_users(graph: Graph, chain: Chain) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the inputs outside the chain that take its model, and those that take its text encoder."""
    models = [(loader, 0) for loader in chain.loaders] or [chain.model]
    clips = [(loader, 1) for loader in chain.loaders] or ([chain.clip] if chain.clip is not None else [])
    return (
        [use for output in models for use in _users(graph, output) if use[0] not in chain.loaders],
        [use for output in clips for use in _users(graph, output) if use[0] not in chain.loaders],
    )


def _new_loader(graph: Graph, number: int, *, is_double: bool) -> str:
    """Add a loader to the graph under an unused id, and return the id."""
    parts = (part for node_id in graph for part in node_id.split(":"))
    # The editor's ids have fewer digits, and Python refuses to parse very long numbers.
    whole = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 16]
    node = str(max(whole, default=0) + 1)
    kind = LOADER if is_double else MODEL_ONLY
    graph[node] = {"class_type": kind, "inputs": {}, "_meta": {"title": f"LoRA {number}"}}
    return node


def _weight(name: str, weight: float) -> float:
    if not math.isfinite(weight) or abs(weight) > STRONGEST:
        raise WorkflowError(LoraWeightOutOfLimits(name, weight, STRONGEST))
    return weight


def _is_loader(graph: Graph, node: str) -> bool:
    return node in graph and {"model", "lora_name", "strength_model"} <= inputs(graph, node).keys()


def _link(graph: Graph, node: str, name: str) -> Output | None:
    match inputs(graph, node).get(name):
        case [str() as source, int() as slot]:
            return source, slot
        case _:
            return None


def _users(graph: Graph, output: Output) -> list[tuple[str, str]]:
    return [(node, name) for node in graph for name in inputs(graph, node) if _link(graph, node, name) == output]
