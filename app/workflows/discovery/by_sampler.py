"""Finds slots by following the links into samplers, which show what each node is for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.core.jobs.progress import title
from app.events import NodeId
from app.ports import Graph
from app.workflows.api_graph import SEEDS, inputs
from app.workflows.discovery.candidates import Candidate, FoundBy
from app.workflows.discovery.value_source import chosen, literal, number, numbers, parts, text
from app.workflows.discovery.vocabulary import ENCODED
from app.workflows.model import Target
from app.workflows.nodes.definitions import Definitions
from app.workflows.nodes.input_checks import folder_of

PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "seed": ("noise", ("seed", "noise_seed")),
    "steps": ("sigmas", ("steps",)),
    "cfg": ("guider", ("cfg",)),
    "sampler": ("sampler", ("sampler_name",)),
    "scheduler": ("sigmas", ("scheduler",)),
}
"""Settings of a sampler or of the node before it: the sampler's input that leads there, and the setting's names."""

MODELS = frozenset({"checkpoints", "diffusion_models"})
"""The folders of the models that a sampler runs."""


def by_sampler(graph: Graph, definitions: Definitions, flow: Sequence[str]) -> Iterator[Candidate]:
    """Yield candidates from the links of the samplers in `flow`; several samplers may give several of one name."""
    for sampler in _samplers(graph, flow):
        for name, targets in _around(graph, definitions, sampler):
            yield Candidate(name=name, targets=targets, how=FoundBy("links"))


def _samplers(graph: Graph, flow: Sequence[str]) -> list[str]:
    """Return the nodes that turn one latent into another, guided by conditionings.

    If there are none, return the nodes that do everything in one: they have both texts connected, and a seed.
    """
    inputs_by_node = {node: inputs(graph, node) for node in flow}
    samplers = [
        node
        for node, node_inputs in inputs_by_node.items()
        if isinstance(node_inputs.get("latent_image"), list) and ("positive" in node_inputs or "guider" in node_inputs)
    ]
    return samplers or [
        node
        for node, node_inputs in inputs_by_node.items()
        if isinstance(node_inputs.get("positive"), list)
        and isinstance(node_inputs.get("negative"), list)
        and SEEDS & node_inputs.keys()
    ]


def _around(graph: Graph, definitions: Definitions, sampler: str) -> Iterator[tuple[str, tuple[Target, ...]]]:
    sampler_inputs = inputs(graph, sampler)
    guider = _source(graph, sampler, "guider") or (sampler, 0)
    prompts = list(_texts(graph, definitions, sampler, "positive"))
    for way in ("positive", "conditioning", "cond1"):
        prompts += _texts(graph, definitions, guider[0], way) if guider[0] != sampler else ()
    negatives = [
        targets
        for start in dict.fromkeys((sampler, guider[0]))
        for way in ("negative", "cond2")
        for targets in _texts(graph, definitions, start, way)
        if targets not in prompts
    ]
    yield from (("prompt", targets) for targets in dict.fromkeys(prompts))
    yield from (("negative", targets) for targets in dict.fromkeys(negatives))
    for name, (way, names) in PARTS.items():
        if name == "seed" and sampler_inputs.get("add_noise") == "disable":
            # The seed of a later sampler that adds no noise has no effect.
            continue
        if (target := _near(graph, sampler, way, names)) is not None:
            yield name, (target,)
    sized = False
    for name, target in _size(graph, sampler):
        sized = True
        yield name, (target,)
    if not sized and (target := _near(graph, sampler, "sigmas", ("denoise",))) is not None:
        yield "denoise", (target,)
    for start in (sampler, guider[0]):
        if (target := _model(graph, start)) is not None:
            yield "checkpoint", (target,)
            break


def _source(graph: Graph, node: str, name: str) -> tuple[str, int] | None:
    match inputs(graph, node).get(name):
        case [str() as source, int() as slot] if source in graph:
            return source, slot
        case _:
            return None


def _near(graph: Graph, node: str, way: str, names: tuple[str, ...]) -> Target | None:
    before = _source(graph, node, way)
    for at in (node, *([before[0]] if before is not None else [])):
        for name in names:
            if (target := literal(graph, at, name)) is not None:
                return target
    return None


def _texts(graph: Graph, definitions: Definitions, node: str, way: str) -> Iterator[tuple[Target, ...]]:
    """Yield the texts that reach a conditioning, following the links past nodes that change the conditioning."""
    start = _source(graph, node, way)
    waiting, seen = [start] if start is not None else [], set[tuple[str, int]]()
    while waiting:
        if (place := waiting.pop(0)) in seen:
            continue
        seen.add(place)
        at, slot = place
        node_inputs = inputs(graph, at)
        words = next((group for group in ENCODED if any(name in node_inputs for name in group)), ())
        targets = tuple(dict.fromkeys(target for name in words if (target := text(graph, at, name)) is not None))
        if targets:
            yield targets
        elif words:
            yield from (
                (target,) for target in dict.fromkeys(part for name in words for part in parts(graph, at, name))
            )
        if words:
            continue
        ways = _ways(definitions, graph, at, slot)
        waiting += [source for input_name in ways if (source := _source(graph, at, input_name)) is not None]


def _ways(definitions: Definitions, graph: Graph, node: str, slot: int) -> list[str]:
    """Return the inputs from which a node's conditioning comes.

    A node with `positive` and `negative` inputs has its conditionings in the same order, perhaps after other outputs.
    """
    node_inputs = inputs(graph, node)
    definition = definitions.get(str(graph[node].get("class_type")))
    if {"positive", "negative"} <= node_inputs.keys():
        before = definition.outputs[:slot] if definition is not None else ("CONDITIONING",) * slot
        number = before.count("CONDITIONING")
        return ["positive", "negative"][number : number + 1]
    if branch := chosen(graph, node):
        return [branch]
    types = {field.name: field.type for field in definition.inputs.values()} if definition is not None else {}
    return [
        input_name
        for input_name in node_inputs
        if types.get(input_name) == "CONDITIONING" or input_name.startswith(("conditioning", "positive"))
    ]


def _size(graph: Graph, sampler: str) -> Iterator[tuple[str, Target]]:
    """Yield width, height, count and frames, or the seconds of a sound, from the node that creates the latent."""
    node, seen = sampler, set[str]()
    while node not in seen:
        seen.add(node)
        if {"width", "height"} <= inputs(graph, node).keys():
            yield from _sides(graph, node)
            if (target := number(graph, node, "batch_size")) is not None:
                yield "count", target
            yield from _length(graph, node)
            return
        if (target := number(graph, node, "seconds")) is not None:
            yield "seconds", target
            return
        names = (chosen(graph, node), "latent_image", "samples", "latent", "video_latent", "av_latent")
        ways = (_source(graph, node, way) for way in names if way)
        node = next((way[0] for way in ways if way is not None), node)


def _sides(graph: Graph, node: str) -> Iterator[tuple[str, Target]]:
    """Yield width and height, also if they are computed; else the settings of the node that computes both."""
    sides = [(name, _titled(graph, node, name, (name,))) for name in ("width", "height")]
    if all(target is not None for _, target in sides):
        yield from ((name, target) for name, target in sides if target is not None)
        return
    source = _source(graph, node, "width")
    for name in ("aspect_ratio", "megapixels"):
        if source is not None and (target := literal(graph, source[0], name)) is not None:
            yield name, target


def _length(graph: Graph, node: str) -> Iterator[tuple[str, Target]]:
    """Yield the number of frames, or the seconds from which it is computed."""
    if (target := number(graph, node, "length")) is not None:
        yield "frames", target
    elif (target := _titled(graph, node, "length", ("duration", "second"))) is not None:
        yield "seconds", target
    elif (target := _titled(graph, node, "length", ("length", "frames"))) is not None:
        yield "frames", target


def _titled(graph: Graph, node: str, name: str, words: tuple[str, ...]) -> Target | None:
    """Return a stored number; of several from which it is computed, the one whose node's title has one of the words."""
    if (target := number(graph, node, name)) is not None:
        return target
    return next(
        (
            target
            for target in numbers(graph, node, name)
            if any(word in f"{title(graph, target.node)} {target.input}".lower() for word in words)
        ),
        None,
    )


def _model(graph: Graph, start: str) -> Target | None:
    """Return the loader's model input, following the links past LoRAs and patches; None if there is none."""
    node, seen = start, set[str]()
    while node not in seen:
        seen.add(node)
        for name in inputs(graph, node):
            if folder_of(str(graph[node].get("class_type")), name) in MODELS and literal(graph, node, name) is not None:
                return Target(NodeId(node), name)
        way = _source(graph, node, "model")
        node = way[0] if way is not None else node
    return None
