"""Finds slots by the titles of nodes: `@prompt`, `@image:2`, `@strength.denoise`. Works in any ComfyUI."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.core.progress import title
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
        found = TITLE.fullmatch(title(graph, node).strip())
        if found is None or found["name"].lower() == OUTPUT:
            continue
        number = found["number"] or "1"
        name = slug(found["name"] + (number if int(number) != 1 else ""))
        free = [one for one, value in inputs(graph, node).items() if not isinstance(value, list)]
        told = found["input"]
        names = (told,) if told in free else () if told else _inputs(slug(found["name"]), free)
        if not names:
            problems.append(UnclearTitle(title(graph, node), name, tuple(free)))
            continue
        targets = tuple(Target(NodeId(node), one) for one in names)
        yield Candidate(name=name, targets=targets, how=FoundBy("title"), title=(found["rest"] or "").strip())


def outputs(graph: Graph) -> list[NodeId]:
    """Return the nodes titled `@output`."""
    found = ((node, TITLE.fullmatch(title(graph, node).strip())) for node in graph)
    return [NodeId(node) for node, named in found if named is not None and named["name"].lower() == OUTPUT]


def _inputs(name: str, free: list[str]) -> tuple[str, ...]:
    for one in (name, *INPUTS.get(name, ()), *VALUES, "image"):
        if one in free:
            return together(one, free)
    return (free[0],) if len(free) == 1 else ()
