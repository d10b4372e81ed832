"""Wrapping nodes in subgraphs, rerouting links and bypassing nodes changes nothing of what is sent."""

from __future__ import annotations

import copy
from itertools import count
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from app.ports import Graph, Json
from app.workflows.editor_format.convert import convert
from tests.workflows.templates import definitions

Table = dict[str, Json]
METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]


class Sheet:
    """A graph in the editor's format that is being drawn: nodes by id, and links as (origin, slot, target, input)."""

    def __init__(self) -> None:
        self.nodes: dict[int, Table] = {}
        self.links: dict[int, tuple[int, int, int, str]] = {}
        self.inputs: list[Table] = []

    def add(self, id_: int, kind: str, sockets: list[Table], outputs: list[str], **more: Json) -> None:
        self.nodes[id_] = {
            "id": id_,
            "type": kind,
            "mode": 0,
            "inputs": [*sockets],
            "outputs": [{"name": output, "type": output} for output in outputs],
            **more,
        }

    def connect(self, id_: int, origin: int, slot: int, target: int, name: str) -> None:
        self.links[id_] = (origin, slot, target, name)

    def sockets(self, node: int) -> list[Table]:
        sockets = self.nodes[node]["inputs"]
        return [socket for socket in sockets if isinstance(socket, dict)] if isinstance(sockets, list) else []

    def saved(self) -> Table:
        """The sheet as the editor saves it; each socket names its link."""
        nodes = copy.deepcopy(self.nodes)
        for id_, (_, _, target, name) in self.links.items():
            sockets = nodes[target]["inputs"] if target in nodes else []
            for socket in sockets if isinstance(sockets, list) else ():
                if isinstance(socket, dict) and socket["name"] == name:
                    socket["link"] = id_
        links: list[Json] = [
            {
                "id": id_,
                "origin_id": origin,
                "origin_slot": slot,
                "target_id": target,
                "target_slot": int(name) if target == -20 else 0,
            }
            for id_, (origin, slot, target, name) in self.links.items()
        ]
        return {"nodes": list(nodes.values()), "links": links, "inputs": [*self.inputs]}


class Drawing:
    """A workflow of scaled pictures, and its subgraphs."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.ids = count(100)
        self.root = Sheet()
        self.subgraphs: dict[str, Sheet] = {}
        last = random.randint(2, 7)
        self.root.add(1, "EmptyImage", [], ["IMAGE"], widgets_values=[64, 48, 1, 0])
        for id_ in range(2, last + 1):
            values: list[Json] = [random.choice(METHODS), random.choice([0.5, 1.5, 2.0])]
            picture: Table = {"name": "image", "type": "IMAGE", "link": None}
            self.root.add(id_, "ImageScaleBy", [picture], ["IMAGE"], widgets_values=values)
            self.root.connect(next(self.ids), random.randrange(1, id_), 0, id_, "image")
        saved: Table = {"name": "images", "type": "IMAGE", "link": None}
        self.root.add(50, "SaveImage", [saved], [], widgets_values=["x"])
        self.root.connect(next(self.ids), random.randint(1, last), 0, 50, "images")

    def content(self) -> Json:
        subgraphs: list[Json] = [{"id": name, **sheet.saved()} for name, sheet in self.subgraphs.items()]
        return {**self.root.saved(), "definitions": {"subgraphs": subgraphs}, "version": 1}

    def detour(self, sheet: Sheet) -> None:
        """Lead a link through a node that only passes it on."""
        inner = [id_ for id_, (origin, _, target, _) in sheet.links.items() if origin > 0 and target > 0]
        plain = [id_ for id_ in inner if sheet.links[id_][3] in {"image", "images"}]
        if not plain:
            return
        link = self.random.choice(plain)
        origin, slot, target, name = sheet.links.pop(link)
        id_ = next(self.ids)
        if self.random.random() < 0.5:
            sheet.add(id_, "Reroute", [{"name": "", "type": "*", "link": None}], ["IMAGE"])
            sheet.connect(next(self.ids), origin, slot, id_, "")
        else:
            picture: Table = {"name": "image", "type": "IMAGE", "link": None}
            sheet.add(id_, "ImageScaleBy", [picture], ["IMAGE"], widgets_values=["area", 8.0])
            sheet.nodes[id_]["mode"] = 4
            sheet.connect(next(self.ids), origin, slot, id_, "image")
        sheet.connect(link, id_, 0, target, name)

    def wrap(self, sheet: Sheet) -> Sheet:
        """Move some nodes of a sheet into a new subgraph, and some of their values to the node that stands for it."""
        random, name, host = self.random, f"S{next(self.ids)}", next(self.ids)
        members = {id_ for id_ in sheet.nodes if random.random() < 0.6}
        inner = self.subgraphs[name] = Sheet()
        inner.nodes = {id_: sheet.nodes.pop(id_) for id_ in sorted(members)}
        sockets: list[Table] = []
        outputs: dict[tuple[int, int], int] = {}
        entries: dict[tuple[int, int], int] = {}
        outer: dict[int, tuple[int, int, int, str]] = {}
        hidden: list[Json] = []
        for id_, (origin, slot, target, field) in sheet.links.items():
            match origin in members, target in members:
                case True, True:
                    inner.links[id_] = (origin, slot, target, field)
                case False, True:
                    if (origin, slot) not in entries:
                        entry = entries[origin, slot] = len(inner.inputs)
                        inner.inputs.append({"name": f"in{entry}", "type": "IMAGE"})
                        sockets.append({"name": f"in{entry}", "type": "IMAGE", "link": None})
                        if any(socket["name"] == field and "widget" in socket for socket in inner.sockets(target)):
                            sockets[-1]["widget"] = {"name": f"in{entry}"}
                            hidden.append("a value that comes from outside")
                        outer[next(self.ids)] = (origin, slot, host, f"in{entry}")
                    inner.links[id_] = (-10, entries[origin, slot], target, field)
                case True, False:
                    if (origin, slot) not in outputs:
                        outputs[origin, slot] = len(outputs)
                        inner.links[next(self.ids)] = (origin, slot, -20, str(outputs[origin, slot]))
                    outer[id_] = (host, outputs[origin, slot], target, field)
                case _:
                    outer[id_] = (origin, slot, target, field)
        values = self.promote(inner, sockets)
        sheet.links = outer
        sheet.add(host, name, sockets, ["IMAGE"] * len(outputs), widgets_values=[*hidden, *values])
        return inner

    def promote(self, inner: Sheet, sockets: list[Table]) -> list[Json]:
        """Show some fields outside; the values that stay inside are others."""
        shown: list[Json] = []
        for id_, node in inner.nodes.items():
            values = node.get("widgets_values")
            if node["type"] != "ImageScaleBy" or not isinstance(values, list) or self.random.random() < 0.5:
                continue
            if any(link[2:] == (id_, "upscale_method") for link in inner.links.values()):
                continue
            entry, field = len(inner.inputs), f"in{len(inner.inputs)}"
            inner.inputs.append({"name": field, "type": "COMBO"})
            sockets.append({"name": field, "type": "COMBO", "link": None, "widget": {"name": field}})
            shown.append(values[0])
            node["widgets_values"] = ["a value that is not used", *values[1:]]
            own: Table = {"name": "upscale_method", "type": "COMBO", "link": None, "widget": {"name": "upscale_method"}}
            present = node["inputs"]
            node["inputs"] = [*(present if isinstance(present, list) else ()), own]
            inner.connect(next(self.ids), -10, entry, id_, "upscale_method")
        return shown


def sent(content: Json) -> Graph:
    """What is sent, with the ids that the nodes have inside of their subgraphs."""

    def inside(value: Json) -> Json:
        match value:
            case [str() as source, int() as slot]:
                return [source.rpartition(":")[2], slot]
            case _:
                return value

    graph: Graph = {}
    for id_, entry in convert(content, definitions(), prune=False).graph.items():
        node_inputs = entry["inputs"]
        assert isinstance(node_inputs, dict)
        inputs: Table = {name: inside(value) for name, value in node_inputs.items()}
        graph[id_.rpartition(":")[2]] = {**entry, "inputs": inputs}
    return graph


@given(st.randoms(use_true_random=False))
def test_subgraphs_reroutes_and_bypassed_nodes_change_nothing_of_what_is_sent(random: Random) -> None:
    drawing = Drawing(random)
    plain = sent(drawing.content())
    sheets = [drawing.root]
    for _ in range(random.randint(1, 5)):
        sheet = random.choice(sheets)
        if random.random() < 0.5:
            drawing.detour(sheet)
        else:
            sheets.append(drawing.wrap(sheet))
    assert sent(drawing.content()) == plain
