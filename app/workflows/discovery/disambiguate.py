"""Resolves several candidates of one name, for prompts and seeds, where it is certain that all are meant."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from app.core.progress import title
from app.ports import Graph
from app.workflows.api_graph import inputs
from app.workflows.discovery.by_input_name import BY_INPUT_NAME
from app.workflows.discovery.candidates import TITLES, Candidate, slug
from app.workflows.node_definitions import Definitions

WORDS = frozenset({"prompt", "negative"})


def separate(
    graph: Graph, definitions: Definitions, found: Sequence[Candidate], taken: Collection[str]
) -> list[Candidate]:
    """Return one candidate for all, or one for each; an empty list if it is not certain that all are meant.

    All seeds share one candidate, and so do texts that are equal in the graph. Other prompts become optional
    candidates, named after the titles that the author gave their nodes, else numbered. A title that is in `taken` is
    not used as a name.
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
    """Return whether the text was found by its input's name in a text encoder: it may be a negative prompt."""
    return one.how == BY_INPUT_NAME and isinstance(inputs(graph, one.targets[0].node).get("clip"), list)


def _title(graph: Graph, definitions: Definitions, one: Candidate) -> str:
    """Return the title that the workflow's author gave the node; "" if it is still the class's own title."""
    kind = str(graph[one.targets[0].node].get("class_type"))
    definition = definitions.get(kind)
    given = title(graph, one.targets[0].node).strip()
    return "" if given in {kind, definition.title if definition is not None else kind} else given
