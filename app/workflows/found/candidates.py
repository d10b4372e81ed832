"""A candidate for a slot, whatever found it; and the slot that it becomes on a server's nodes."""

from __future__ import annotations

import re

from msgspec import Struct

from app.events import NodeId
from app.ports import Graph, Json
from app.progress import title
from app.workflows.definitions import Definitions, Input
from app.workflows.fields import is_model
from app.workflows.graph import SEEDS, inputs
from app.workflows.slots import UPLOADED, Kind, Slot, Target

TITLES = {
    "prompt": "Prompt",
    "negative": "Negative prompt",
    "cfg": "Guidance",
    "image": "Picture",
    "video": "Video",
    "audio": "Sound",
    "denoise": "Strength",
}
"""What people read for the names that mean more to the field than to them; else the name itself."""

NEEDED = frozenset({"prompt", "image", "video", "audio"})
"""Slots without which the workflow would make what its author made, not what was asked for."""

EXACT = 2**53
"""Limits beyond this say “no limit”; classes without one give the largest number that they can store."""

VALUES = ("value", "text", "string", "prompt", "seed", "noise_seed", "int", "float", "number", "image")
"""What nodes that only hold a value call it."""

LONGEST = 32
"""Characters of a slot's name; Discord allows no longer ones for an option."""


class Candidate(Struct, frozen=True, kw_only=True):
    """Inputs that could be a slot. `how` ends the sentence “Found by …”."""

    name: str
    targets: tuple[Target, ...]
    how: str
    title: str = ""
    description: str = ""
    kind: Kind | None = None
    """Told by the finder; None for what the server says of the input."""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


def slug(told: str) -> str:
    """A name for a slot: small letters, digits, - and _; "" if nothing is left."""
    return re.sub(r"[^a-z0-9_-]+", "_", told.lower()).strip("_-")[:LONGEST].strip("_-")


def literal(graph: Graph, node: str, name: str) -> Target | None:
    """The place where an input's value stands: there, or in the node that holds it. None if it is computed."""
    seen: set[str] = set()
    while node in graph and node not in seen:
        seen.add(node)
        match inputs(graph, node).get(name):
            case [str() as source, int()] if source in graph:
                held = [one for one in VALUES if one in inputs(graph, source)]
                if len(held) != 1:
                    return None
                node, name = source, held[0]
            case None | list() | dict():
                return None
            case _:
                return Target(NodeId(node), name)
    return None


def where(graph: Graph, targets: tuple[Target, ...]) -> str:
    """Inputs as people name them: “Sampler”.seed, with the id where the title is not unique."""
    names = [title(graph, node) for node in graph]
    shown: list[str] = []
    for target in targets:
        name = title(graph, target.node)
        number = f" (node {target.node})" if names.count(name) > 1 else ""
        shown.append(f"“{name}”.{target.input}{number}")
    return " and ".join(shown)


def slot(graph: Graph, definitions: Definitions, found: Candidate) -> Slot:
    """The slot of a candidate. What the finder did not tell is read from the server's definition."""
    target = found.targets[0]
    kind_of_node = str(graph[target.node].get("class_type"))
    value = inputs(graph, target.node).get(target.input)
    definition = definitions.get(kind_of_node)
    known = definition.inputs.get(target.input) if definition is not None else None
    kind = found.kind or _kind(kind_of_node, known, target.input, value)
    choices = found.choices or _choices(known)
    if kind == "choice" and not choices:
        kind = "text"
    is_number = kind in {"integer", "number", "seed"}
    low, high = (known.limit("min"), known.limit("max")) if known is not None and is_number else (None, None)
    return Slot(
        name=found.name,
        title=found.title or TITLES.get(found.name, found.name.replace("_", " ").capitalize()),
        kind=kind,
        targets=found.targets,
        description=found.description,
        # The file that its author had is nowhere else, unless the server says so.
        required=found.name in NEEDED or (kind in UPLOADED and value not in choices),
        # Without a default, a slot of this kind would take the server's first model.
        default=value if kind == "model" and isinstance(value, str) else None,
        minimum=found.minimum if found.minimum is not None else _meant(low, kind),
        maximum=found.maximum if found.maximum is not None else _meant(high, kind),
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


def _choices(known: Input | None) -> tuple[str, ...]:
    return tuple(one for one in (known.choices if known is not None else None) or () if isinstance(one, str))


def _meant(limit: float | None, kind: Kind) -> float | None:
    return limit if limit is not None and (kind == "seed" or abs(limit) < EXACT) else None
