"""Several candidates for one slot, where it is certain that all are meant: words and seeds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from app.core.progress import title
from app.ports import Graph
from app.workflows.api_graph import inputs
from app.workflows.discovery.by_input_name import HOW
from app.workflows.discovery.candidates import TITLES, Candidate, slug
from app.workflows.node_definitions import Definitions

WORDS = frozenset({"prompt", "negative"})


def separate(
    graph: Graph, definitions: Definitions, found: Sequence[Candidate], taken: Collection[str]
) -> list[Candidate]:
    """One slot for all that are one thing, or one for each; none if it is not certain that all are meant.

    All seeds get the same number, and texts that are the same now stay the same. Other prompts are told apart by the
    titles that their author gave them, else by number, and may be left out; none is called as one of those `taken`.
    """
    name = found[0].name
    if name == "seed" or (name in WORDS and len({_standing(graph, one) for one in found}) == 1):
        return [replace(found[0], targets=tuple(dict.fromkeys(each for one in found for each in one.targets)))]
    if name != "prompt" or any(_is_encoder(graph, one) for one in found):
        return []
    titles = [_title(graph, definitions, one) for one in found]
    apart: list[Candidate] = []
    number = 0
    for one, shown in zip(found, titles, strict=True):
        called = slug(shown)
        if not called or called in taken or [slug(other) for other in titles].count(called) > 1:
            number += 1
            called = f"{name}{number}" if number > 1 else name
            shown = f"{TITLES[name]} {number}" if number > 1 else ""
        apart.append(replace(one, name=called, title=shown, required=False))
    return apart


def _standing(graph: Graph, one: Candidate) -> str:
    return "\n".join(str(inputs(graph, target.node).get(target.input)) for target in one.targets)


def _is_encoder(graph: Graph, one: Candidate) -> bool:
    """Whether no sampler says that these words are wanted: they may be what is not."""
    return one.how == HOW and isinstance(inputs(graph, one.targets[0].node).get("clip"), list)


def _title(graph: Graph, definitions: Definitions, one: Candidate) -> str:
    """The title that its author gave a node; "" for none."""
    kind = str(graph[one.targets[0].node].get("class_type"))
    definition = definitions.get(kind)
    given = title(graph, one.targets[0].node).strip()
    return "" if given in {kind, definition.title if definition is not None else kind} else given
