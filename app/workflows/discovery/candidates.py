"""Candidates for slots, from all the ways of finding them, and their conversion to slots."""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from app.core.jobs.progress import title
from app.ports import Graph, Json
from app.workflows.api_graph import SEEDS, inputs, known_input
from app.workflows.model import UPLOADED, Kind, Slot, Target
from app.workflows.nodes.definitions import Definitions, Input
from app.workflows.nodes.input_checks import is_model
from app.workflows.reasons.discovery import InputPlace

TITLES = {
    "prompt": "Prompt",
    "negative": "Negative prompt",
    "cfg": "Guidance",
    "image": "Picture",
    "video": "Video",
    "audio": "Sound",
    "denoise": "Strength",
    "lora": "LoRA",
    "lora_strength": "LoRA strength",
}
"""Slot titles for names that are technical terms; for other names, the name itself is the title."""

NEEDED = frozenset({"prompt", "image", "video", "audio"})
"""Slots that are required, because without them the workflow only repeats its author's result."""

EXACT = 2**53
"""Limits of this size or more mean “no limit”: a class without a limit gives the largest number that it can store."""

LONGEST = 32
"""Characters of a slot's name: Discord's limit for the name of an option."""


class FoundBy(Struct, frozen=True):
    """How a slot was found. `tool` is the name of the tool, for the input nodes of other tools."""

    way: Literal["app_mode", "title", "tool", "links", "node_class", "input_name"]
    tool: str = ""


class Candidate(Struct, frozen=True, kw_only=True):
    """Inputs that could be a slot."""

    name: str
    targets: tuple[Target, ...]
    how: FoundBy
    title: str = ""
    description: str = ""
    kind: Kind | None = None
    """Set by the finder; None to derive it from the server's definition of the input."""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    required: bool | None = None
    """None to derive it: required if the name is in `NEEDED`, or for a file that the server does not list."""


def slug(text: str, longest: int = LONGEST) -> str:
    """Convert a text to a slot's name: lowercase letters, digits, - and _; "" if nothing is left."""
    return re.sub(r"[^a-z0-9_-]+", "_", text.lower()).strip("_-")[:longest].strip("_-")


def places(graph: Graph, targets: tuple[Target, ...]) -> tuple[InputPlace, ...]:
    """Return inputs as people know them: by the titles of their nodes, with the id of a node whose title is shared."""
    names = [title(graph, node) for node in graph]
    input_places: list[InputPlace] = []
    for target in targets:
        name = title(graph, target.node)
        input_places.append(InputPlace(name, target.input, target.node if names.count(name) > 1 else ""))
    return tuple(input_places)


def slot(graph: Graph, definitions: Definitions, candidate: Candidate) -> Slot:
    """Convert a candidate to a slot. What the finder did not set is derived from the server's definition."""
    target = candidate.targets[0]
    kind_of_node = str(graph[target.node].get("class_type"))
    value = inputs(graph, target.node).get(target.input)
    known = known_input(graph, definitions, target)
    kind = candidate.kind or _kind(kind_of_node, known, target.input, value)
    choices = candidate.choices or _choices(graph, definitions, candidate.targets)
    if kind == "choice" and not choices:
        kind = "text"
    low, high = (
        _limits(graph, definitions, candidate.targets) if kind in {"integer", "number", "seed"} else (None, None)
    )
    # The author's file is not on the server, unless the server lists it.
    needed = candidate.name in NEEDED or (kind in UPLOADED and value not in choices)
    return Slot(
        name=candidate.name,
        title=candidate.title or TITLES.get(candidate.name, candidate.name.replace("_", " ").capitalize()),
        kind=kind,
        targets=candidate.targets,
        description=candidate.description,
        required=needed if candidate.required is None else candidate.required,
        # Without a default, a model slot would take the server's first model.
        default=value if kind == "model" and isinstance(value, str) else None,
        minimum=candidate.minimum if candidate.minimum is not None else _meant(low, kind),
        maximum=candidate.maximum if candidate.maximum is not None else _meant(high, kind),
        choices=choices if kind == "choice" else (),
    )


def _kind(kind_of_node: str, known: Input | None, name: str, value: Json) -> Kind:
    if name in SEEDS and (known is None or known.type == "INT"):
        return "seed"
    if known is not None and (kind_of_node == "LoadImage" and name == "image"):
        return "image"
    if known is not None and known.uploaded:
        return known.uploaded
    if known is not None and is_model(kind_of_node, known):
        return "model"
    kinds: dict[str, Kind] = {"INT": "integer", "FLOAT": "number", "BOOLEAN": "boolean", "COMBO": "choice"}
    if known is not None and known.widget_type in kinds:
        return kinds[known.widget_type]
    match value:
        case bool() if known is None:
            return "boolean"
        case int() if known is None:
            return "integer"
        case float() if known is None:
            return "number"
        case _:
            return "text"


def _limits(graph: Graph, definitions: Definitions, targets: tuple[Target, ...]) -> tuple[float | None, float | None]:
    """Return the limits that hold for all of the inputs, because they get the same number."""
    lows: list[float] = []
    highs: list[float] = []
    for target in targets:
        known = known_input(graph, definitions, target)
        for limits, limit in ((lows, "min"), (highs, "max")):
            if known is not None and (value := known.limit(limit)) is not None:
                limits.append(value)
    return max(lows, default=None), min(highs, default=None)


def _choices(graph: Graph, definitions: Definitions, targets: tuple[Target, ...]) -> tuple[str, ...]:
    """Return the choices that all of the inputs have which are lists; inputs of other types do not count."""
    lists: list[tuple[Json, ...]] = []
    for target in targets:
        known = known_input(graph, definitions, target)
        if known is not None and known.choices is not None:
            lists.append(known.choices)
    # Some lists have numbers; people see them as texts.
    return tuple(
        str(choice)
        for choice in (lists[0] if lists else ())
        if isinstance(choice, (str, int, float))
        and not isinstance(choice, bool)
        and all(choice in own for own in lists)
    )


def _meant(limit: float | None, kind: Kind) -> float | None:
    return limit if limit is not None and (kind == "seed" or abs(limit) < EXACT) else None
