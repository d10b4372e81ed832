"""Workflows in the editor's format, drawn in a few words, and what a recorded server has."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st

from app.ports import Json
from app.workflows.editor_format.convert import convert
from app.workflows.nodes.definitions import Definitions

DATA = Path(__file__).parent.parent / "data" / "workflows"
RECORDED = Path(__file__).parent.parent.parent / "app" / "simulator" / "nodes" / "object_info.json.gz"


UNHURRIED = settings(deadline=None)
"""The first example reads the recorded server, and machines are shared: time says nothing about these tests."""


@cache
def object_info() -> dict[str, Json]:
    return msgspec.json.decode(gzip.decompress(RECORDED.read_bytes()), type=dict[str, Json])


@cache
def server() -> Definitions:
    return Definitions(object_info())


def server_with(**classes: Json) -> Definitions:
    return Definitions({**object_info(), **classes})


def read(name: str) -> Json:
    return msgspec.json.decode((DATA / name).read_bytes(), type=Json)


def socket(name: str, kind: str, link: int | None, *, field: bool = False) -> dict[str, Json]:
    return {"name": name, "type": kind, "link": link, **({"widget": {"name": name}} if field else {})}


def node(
    id_: int,
    kind: str,
    *inputs: dict[str, Json],
    outputs: str = "",
    values: Json = None,
    mode: int = 0,
    title: str = "",
    **more: Json,
) -> Json:
    return {
        "id": id_,
        "type": kind,
        "mode": mode,
        "inputs": list(inputs),
        "outputs": [{"name": output, "type": output, "links": []} for output in outputs.split()],
        **({"widgets_values": values} if values is not None else {}),
        **({"title": title} if title else {}),
        **more,
    }


def drawing(nodes: list[Json], links: list[list[int]], **more: Json) -> dict[str, Json]:
    return {"nodes": nodes, "links": [[*link, "*"] for link in links], "version": 0.4, **more}


def sent(content: Json, definitions: Definitions | None = None, *, prune: bool = True) -> dict[str, dict[str, Json]]:
    """The inputs of each node in API format."""
    graph = convert(content, definitions or server(), prune=prune).graph
    return {id_: node_inputs for id_, entry in graph.items() if isinstance(node_inputs := entry["inputs"], dict)}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
NAMES = """
id type mode inputs outputs links nodes link name widget widgets_values extra properties proxyWidgets definitions
subgraphs origin_id origin_slot target_id target_slot linearData groupNodes title _meta class_type 1 2 -10 -20
"""
KEYS = st.sampled_from(NAMES.split())
ANY_JSON: st.SearchStrategy[Json] = st.recursive(
    SCALARS | st.sampled_from(["KSampler", "SaveImage", "Reroute", "-10", "-20", "S"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=5),
    max_leaves=30,
)

IDS = st.sampled_from([1, 2, 3, "4", -10, -20])
SOCKETS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["model", "text", "samples", "images", "seed", ""]),
        "type": st.sampled_from(["*", "IMAGE"]),
    },
    optional={"link": st.none() | st.integers(0, 6), "widget": st.just({"name": "text"}) | SCALARS},
)
KINDS = ["KSampler", "SaveImage", "Reroute", "PrimitiveNode", "VAEDecode", "LoadImage", "S", "T", "GetNode", "SetNode"]
NODES = st.fixed_dictionaries(
    {"id": IDS, "type": st.sampled_from(KINDS)},
    optional={
        "mode": st.sampled_from([0, 2, 4]) | SCALARS,
        "inputs": st.lists(SOCKETS, max_size=3) | ANY_JSON,
        "outputs": st.lists(st.fixed_dictionaries({"type": st.sampled_from(["*", "IMAGE", 0])}), max_size=2),
        "widgets_values": ANY_JSON,
        "properties": st.fixed_dictionaries({"proxyWidgets": st.lists(st.lists(SCALARS, max_size=3))}) | ANY_JSON,
    },
)
LINKS = st.lists(st.tuples(st.integers(0, 6), IDS, st.integers(-1, 2), IDS, st.integers(-1, 2)).map(list), max_size=6)
SHEETS = st.fixed_dictionaries(
    {"nodes": st.lists(NODES, max_size=4, unique_by=lambda entry: str(entry["id"])), "links": LINKS},
    optional={"inputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["text", "model"])}), max_size=2)},
)


def _whole(sheet: dict[str, Json], subgraphs: list[dict[str, Json]], extra: Json) -> Json:
    named: list[Json] = [{"id": id_, **subgraph} for id_, subgraph in zip("ST", subgraphs, strict=False)]
    return {**sheet, "definitions": {"subgraphs": named}, "extra": extra}


ANY_DRAWING: st.SearchStrategy[Json] = st.builds(_whole, SHEETS, st.lists(SHEETS, max_size=2), ANY_JSON)
"""Nearly right workflows: circles, links to nowhere, subgraphs that hold themselves."""
