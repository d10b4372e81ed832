"""Finds slots by the titles of nodes: `@prompt`, `@image:2`, `@strength.denoise`. Works in any ComfyUI."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.core.jobs.progress import title
from app.events import NodeId
from app.ports import Graph
from app.workflows.api_graph import inputs
from app.workflows.discovery.candidates import Candidate, FoundBy, slug
from app.workflows.discovery.value_source import VALUES
from app.workflows.discovery.vocabulary import together
from app.workflows.model import Target
from app.workflows.reasons.discovery import DiscoveryReason, UnclearTitle

TITLE = re.compile(r"@(?P<name>[A-Za-z][\w-]*)(?::(?P<number>\d{1,3}))?(?:\.(?P<input>[^\s]+))?(?:\s+(?P<rest>.*))?")
"""`@name`, then optionally `:number`, `.input` and a title for people."""

OUTPUT = "output"
"""The name that marks the node whose results are used."""

INPUTS: dict[str, tuple[str, ...]] = {
    "prompt": ("text", "prompt", "text_g", "clip_l"),
    "negative": ("text", "prompt", "text_g", "clip_l"),
    "seed": ("seed", "noise_seed"),
    "cfg": ("cfg", "guidance"),
    "guidance": ("guidance", "cfg"),
    "checkpoint": ("ckpt_name", "unet_name"),
    "model": ("ckpt_name", "unet_name"),
    "lora": ("lora_name",),
    "sampler": ("sampler_name",),
    "count": ("batch_size", "amount"),
    "strength": ("denoise", "strength", "strength_model"),
    "mask": ("image", "mask"),
}
"""The inputs that a slot's name stands for, where the node has no input of that name; the first that exists counts."""


def by_title(graph: Graph, problems: list[DiscoveryReason]) -> Iterator[Candidate]:
    """Yield the candidates that titles name; add to `problems` each title that leaves the input unclear."""
    for node in graph:
        match = TITLE.fullmatch(title(graph, node).strip())
        if match is None or match["name"].lower() == OUTPUT:
            continue
        number = match["number"] or "1"
        name = slug(match["name"] + (number if int(number) != 1 else ""))
        free = [input_name for input_name, value in inputs(graph, node).items() if not isinstance(value, list)]
        input_name = match["input"]
        names = (input_name,) if input_name in free else () if input_name else _inputs(slug(match["name"]), free)
        if not names:
            problems.append(UnclearTitle(title(graph, node), name, tuple(free)))
            continue
        targets = tuple(Target(NodeId(node), input_name) for input_name in names)
        yield Candidate(name=name, targets=targets, how=FoundBy("title"), title=(match["rest"] or "").strip())


def outputs(graph: Graph) -> list[NodeId]:
    """Return the nodes titled `@output`."""
    matches = ((node, TITLE.fullmatch(title(graph, node).strip())) for node in graph)
    return [NodeId(node) for node, match in matches if match is not None and match["name"].lower() == OUTPUT]


def _inputs(name: str, free: list[str]) -> tuple[str, ...]:
    for input_name in (name, *INPUTS.get(name, ()), *VALUES, "image"):
        if input_name in free:
            return together(input_name, free)
    return (free[0],) if len(free) == 1 else ()
