"""Resolves several candidates of one name, for prompts and seeds, where it is certain that all are meant."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from app.core.jobs.progress import title
from app.ports import Graph
from app.workflows.api_graph import inputs
from app.workflows.discovery.by_input_name import BY_INPUT_NAME
from app.workflows.discovery.candidates import TITLES, Candidate, slug
from app.workflows.nodes.definitions import Definitions

LONGEST_TITLE = 24
"""Characters of a title that becomes the name of a slot; people would not type a longer one."""

SHARED = frozenset(
    [
        *("prompt", "negative", "sampler", "scheduler", "cfg", "aspect_ratio", "resolution"),
        *("duration", "width", "height", "frames", "seconds", "count"),
    ]
)
"""Slots that several nodes may share, if they have the same value in all of them."""


def separate(
    graph: Graph, definitions: Definitions, candidates: Sequence[Candidate], taken: Collection[str]
) -> list[Candidate]:
    """Return one candidate for all, or one for each; an empty list if it is not certain that all are meant.

    All seeds share one candidate, and so do texts and settings that are equal in the graph. Other prompts become
    optional candidates, named after the titles that the author gave their nodes, else numbered; one is `prompt`.
    A title that is in `taken` is not used as a name.
    """
    name = candidates[0].name
    if name == "seed" or (name in SHARED and len({_standing(graph, candidate) for candidate in candidates}) == 1):
        return [
            replace(
                candidates[0],
                targets=tuple(dict.fromkeys(target for candidate in candidates for target in candidate.targets)),
            )
        ]
    if name != "prompt" or any(_is_encoder(graph, candidate) for candidate in candidates):
        return []
    titles = [_title(graph, definitions, candidate) for candidate in candidates]
    apart: list[Candidate] = []
    number = 0
    for candidate, node_title in zip(candidates, titles, strict=True):
        slot_name = slug(node_title)
        if (
            not 0 < len(slot_name) <= LONGEST_TITLE
            or slot_name in taken
            or [slug(other) for other in titles].count(slot_name) > 1
        ):
            number += 1
            slot_name = f"{name}{number}" if number > 1 else name
            node_title = node_title or (f"{TITLES[name]} {number}" if number > 1 else "")
        apart.append(replace(candidate, name=slot_name, title=node_title, required=False))
    if name not in {candidate.name for candidate in apart}:
        apart[0] = replace(apart[0], name=name)
    return apart


def _standing(graph: Graph, candidate: Candidate) -> str:
    return "\n".join(str(inputs(graph, target.node).get(target.input)) for target in candidate.targets)


def _is_encoder(graph: Graph, candidate: Candidate) -> bool:
    """Return whether the text was found by its input's name in a text encoder: it may be a negative prompt."""
    return candidate.how == BY_INPUT_NAME and isinstance(inputs(graph, candidate.targets[0].node).get("clip"), list)


def _title(graph: Graph, definitions: Definitions, candidate: Candidate) -> str:
    """Return the title that the workflow's author gave the node; "" if it is still the class's own title."""
    kind = str(graph[candidate.targets[0].node].get("class_type"))
    definition = definitions.get(kind)
    node_title = title(graph, candidate.targets[0].node).strip()
    return "" if node_title in {kind, definition.title if definition is not None else kind} else node_title
