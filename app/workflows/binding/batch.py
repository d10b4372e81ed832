"""Turns a request for several pictures into several requests for one, so that several servers can make them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from app.core.jobs.job import Batch, JobRequest, SeedInput
from app.ports import Graph
from app.workflows.api_graph import copied, inputs, seeds, sources
from app.workflows.model import LARGEST_SEED, Slot, Target

COUNT = "count"
"""The name of the slot that holds the number of pictures."""

MOST = 16
"""Pictures of one request that are made one by one; more are made by one server together."""

ONE_BY_ONE = frozenset(
    {
        "ImageScale",
        "ImageScaleBy",
        "ImageScaleToTotalPixels",
        "ImageUpscaleWithModel",
        "KSampler",
        "KSamplerAdvanced",
        "LatentUpscale",
        "LatentUpscaleBy",
        "PreviewImage",
        "RepeatLatentBatch",
        "SamplerCustom",
        "SamplerCustomAdvanced",
        "SaveImage",
        "SaveImageWebsocket",
        "VAEDecode",
        "VAEDecodeTiled",
        "VAEEncode",
    }
)
"""Classes of nodes that do with each picture of a batch what they would do with it alone. Others may arrange the
pictures in a grid or in a video, for example."""


def as_batch(request: JobRequest, slots: Sequence[Slot]) -> JobRequest:
    """The request as the first of a batch, if it is for several pictures that can be made one by one; else unchanged.

    The picture with the number n, counted from 0, has the seed plus n.
    """
    graph = request.graph
    targets = [target for slot in slots if slot.name == COUNT for target in slot.targets if target.node in graph]
    counts = {_whole(inputs(graph, target.node).get(target.input)) for target in targets}
    size = counts.pop() if len(counts) == 1 else 0
    if not 1 < size <= MOST or not _one_by_one(graph, targets):
        return request
    batch = repeated(request, slots, size)
    if batch is request:
        return request
    graph = copied(graph)
    for target in targets:
        inputs(graph, target.node)[target.input] = 1
    return replace(batch, graph=graph)


def repeated(request: JobRequest, slots: Sequence[Slot], size: int) -> JobRequest:
    """The request, whose graph makes one picture, as the first of a batch of this size; unchanged if it cannot be."""
    seeded = list(seeds(request.graph))
    if not 1 < size <= MOST or not seeded:
        return request
    highest = max(_whole(inputs(request.graph, seed.node)[seed.input]) for seed in seeded)
    limits = [slot.maximum for slot in slots if slot.kind == "seed" and slot.maximum is not None]
    if highest + size - 1 > min([LARGEST_SEED, *limits]):
        return request
    return replace(request, batch=Batch(size, tuple(SeedInput(seed.node, seed.input) for seed in seeded)))


def _one_by_one(graph: Graph, targets: Iterable[Target]) -> bool:
    """Whether everything that depends on these nodes handles each picture by itself."""
    reached = {str(target.node) for target in targets}
    waiting = list(reached)
    while waiting:
        source = waiting.pop()
        for node, entry in graph.items():
            if node not in reached and source in sources(graph, node):
                if entry.get("class_type") not in ONE_BY_ONE:
                    return False
                reached.add(node)
                waiting.append(node)
    return True


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
