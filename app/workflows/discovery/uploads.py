"""Finds the images, videos and sounds that a graph loads: each loader becomes a slot."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from app.core.jobs.progress import title
from app.ports import Graph, Json
from app.workflows.api_graph import inputs
from app.workflows.discovery.candidates import Candidate, FoundBy, slug
from app.workflows.discovery.value_source import literal
from app.workflows.model import UPLOADED, Kind, Target
from app.workflows.nodes.definitions import Definitions, Uploaded

BY_CLASS = FoundBy("node_class")

SILENT = re.compile(r"(?:.*\.)?(?:image|images|pixels|video|audio|input)_?\d*")
"""Names of inputs that do not say what a file is for."""

OPTIONAL = re.compile(r"\s*\(?\boptional\b\)?")
"""What authors write into the titles of files that may be left out."""

FARTHEST = 3
"""Links to follow from a loader: up to here an image may have been scaled or joined, but is still the same image."""


class _Loaded(Struct, frozen=True):
    """One file that the graph loads. `name` is its slot's name if it is the only file of that name."""

    node: str
    target: Target
    kind: Kind
    name: str


def uploads(graph: Graph, definitions: Definitions, flow: Sequence[str]) -> Iterator[Candidate]:
    """Yield a candidate for each file in `flow`. Several of a kind are named by title, else by use, else by number."""
    groups: dict[str, list[_Loaded]] = {}
    for loaded in _loaded(graph, definitions, flow):
        groups.setdefault(loaded.name, []).append(loaded)
    for name, group in groups.items():
        for loaded, slot_name in zip(group, _names(graph, definitions, name, group), strict=True):
            # A mask that its author left unpainted changes nothing.
            is_unpainted = loaded.name == "mask" and inputs(graph, loaded.node)[loaded.target.input] == ""
            is_left_out = is_unpainted or OPTIONAL.search(title(graph, loaded.node).lower()) is not None
            yield Candidate(
                name=slot_name,
                targets=(loaded.target,),
                how=BY_CLASS,
                kind=loaded.kind,
                required=False if is_left_out else None,
            )


def _names(graph: Graph, definitions: Definitions, name: str, group: Sequence[_Loaded]) -> list[str]:
    numbered = [name, *(f"{name}{number}" for number in range(2, len(group) + 1))]
    titled = [slug(OPTIONAL.sub("", title(graph, loaded.node).lower()).removeprefix("load ")) for loaded in group]
    leading = [_leads(graph, definitions, loaded.node) for loaded in group]
    for names in (titled, leading) if len(group) > 1 else ():
        if all(names) and len(set(names)) == len(group):
            return names
    return numbered


def _passes_files(graph: Graph, definitions: Definitions, node: str) -> bool:
    """Return whether a node's first output is a picture, video or sound again; True if the server lacks its class."""
    definition = definitions.get(str(graph[node].get("class_type")))
    return definition is None or definition.outputs[:1] in {("IMAGE",), ("VIDEO",), ("AUDIO",)}


def _leads(graph: Graph, definitions: Definitions, node: str) -> str:
    """Return the name of the input to which a loader's file goes, "" if there are several. Masks do not count.

    If the name is uninformative, such as `image`, use the name of the input that the file reaches next, if any.
    """
    outputs: list[Json] = [[node, 0]]
    nearest = ""
    for _ in range(FARTHEST):
        ways = {(other, name) for other in graph for name, value in inputs(graph, other).items() if value in outputs}
        names = {name for _, name in ways}
        telling = {name for name in names if not SILENT.fullmatch(name)}
        if telling:
            return slug(telling.pop().rpartition(".")[2]) if len(names) == 1 else ""
        nearest = nearest or (names.pop() if len(names) == 1 else "several")
        outputs = [[other, 0] for other, _ in ways if _passes_files(graph, definitions, other)]
    return nearest if nearest in UPLOADED else ""


def _loaded(graph: Graph, definitions: Definitions, flow: Sequence[str]) -> Iterator[_Loaded]:
    for node in flow:
        kind = str(graph[node].get("class_type"))
        definition = definitions.get(kind)
        fields: dict[str, Uploaded] = {"image": "image"} if kind == "LoadImage" else {}
        if definition is not None and not fields:
            fields = {name: known.uploaded for name, known in definition.live(inputs(graph, node)).items()}
        for field, uploaded in fields.items():
            if uploaded and (target := literal(graph, node, field)) is not None:
                is_mask = kind == "LoadImageMask" or field == "mask"
                yield _Loaded(node, target, uploaded, "mask" if is_mask else uploaded)
