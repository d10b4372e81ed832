"""The pictures, films and sounds that a graph begins with: each loader is a slot of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from app.core.progress import title
from app.ports import Graph, Json
from app.workflows.api_graph import inputs
from app.workflows.discovery.candidates import Candidate, slug
from app.workflows.discovery.value_source import literal
from app.workflows.model import Kind, Target
from app.workflows.node_definitions import Definitions, Uploaded

HOW = "the class of the node"

SILENT = re.compile(r"(?:.*\.)?(?:image|images|pixels|video|audio|input)_?\d*")
"""Inputs whose names say nothing of what a file is for."""

FARTHEST = 3
"""So many nodes away a picture may have been scaled and joined; farther, it has become something else."""


class _Loaded(Struct, frozen=True):
    """One file that is loaded, under the name that it has where it is the only one."""

    node: str
    target: Target
    kind: Kind
    name: str


def uploads(graph: Graph, definitions: Definitions, flow: Sequence[str]) -> Iterator[Candidate]:
    """One candidate for each file in `flow`. Several of a kind are told apart by title, use, or number."""
    groups: dict[str, list[_Loaded]] = {}
    for one in _loaded(graph, definitions, flow):
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
    """What the input is called into which a loader's file goes, "" if there are several. Masks do not count.

    Where it says nothing, such as `image`, the next one does, into which the node gives it on.
    """
    outputs: list[Json] = [[node, 0]]
    for _ in range(FARTHEST):
        ways = {(other, name) for other in graph for name, value in inputs(graph, other).items() if value in outputs}
        names = {name for _, name in ways}
        telling = {name for name in names if not SILENT.fullmatch(name)}
        if telling:
            return slug(telling.pop()) if len(names) == 1 else ""
        outputs = [[other, 0] for other, _ in ways]
    return ""


def _loaded(graph: Graph, definitions: Definitions, flow: Sequence[str]) -> Iterator[_Loaded]:
    for node in flow:
        kind = str(graph[node].get("class_type"))
        definition = definitions.get(kind)
        fields: dict[str, Uploaded] = {"image": "image"} if kind == "LoadImage" else {}
        if definition is not None and not fields:
            fields = {one.name: one.uploaded for one in definition.inputs.values()}
        for field, uploaded in fields.items():
            if uploaded and (target := literal(graph, node, field)) is not None:
                yield _Loaded(node, target, uploaded, "mask" if kind == "LoadImageMask" else uploaded)
