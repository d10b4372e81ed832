"""The pictures, films and sounds that a graph begins with: each loader is a slot of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from app.ports import Graph
from app.progress import title
from app.workflows.definitions import Definitions, Uploaded
from app.workflows.found.candidates import Candidate, literal, slug
from app.workflows.graph import inputs
from app.workflows.slots import Kind, Target

HOW = "the class of the node"


class _Loaded(Struct, frozen=True):
    """One file that is loaded, under the name that it has where it is the only one."""

    node: str
    target: Target
    kind: Kind
    name: str


def uploads(graph: Graph, definitions: Definitions) -> Iterator[Candidate]:
    """One candidate for each file. Several of a kind are told apart by title, by where they go, or by number."""
    groups: dict[str, list[_Loaded]] = {}
    for one in _loaded(graph, definitions):
        groups.setdefault(one.name, []).append(one)
    for name, group in groups.items():
        for one, called in zip(group, _names(graph, name, group), strict=True):
            yield Candidate(name=called, targets=(one.target,), how=HOW, kind=one.kind)


def _names(graph: Graph, name: str, group: Sequence[_Loaded]) -> list[str]:
    numbered = [name, *(f"{name}{number}" for number in range(2, len(group) + 1))]
    titled = [slug(title(graph, one.node).lower().removeprefix("load ")) for one in group]
    leading = [_leads(graph, one.node) for one in group]
    for names in (titled, leading) if len(group) > 1 else ():
        if all(names) and len(set(names)) == len(group):
            return names
    return numbered


def _leads(graph: Graph, node: str) -> str:
    """What the only input is called into which a loader's file goes, "" if there are several. Masks do not count."""
    ways = {
        name
        for other in graph
        for name, value in inputs(graph, other).items()
        if isinstance(value, list) and value == [node, 0]
    }
    return slug(ways.pop()) if len(ways) == 1 else ""


def _loaded(graph: Graph, definitions: Definitions) -> Iterator[_Loaded]:
    for node, entry in graph.items():
        kind = str(entry.get("class_type"))
        definition = definitions.get(kind)
        fields: dict[str, Uploaded] = {"image": "image"} if kind == "LoadImage" else {}
        if definition is not None and not fields:
            fields = {one.name: one.uploaded for one in definition.inputs.values()}
        for field, uploaded in fields.items():
            if uploaded and (target := literal(graph, node, field)) is not None:
                yield _Loaded(node, target, uploaded, "mask" if kind == "LoadImageMask" else uploaded)
