"""Values on a subgraph's node reach everything that its inputs lead to, as in the editor."""

from __future__ import annotations

import pytest

from app.ports import Json
from app.workflows.editor_format.convert import convert
from tests.workflows.editor_graphs import drawing, node, sent, socket
from tests.workflows.templates import definitions


def inner_link(id_: int, origin: int, slot: int, target: int, end: int) -> Json:
    return {"id": id_, "origin_id": origin, "origin_slot": slot, "target_id": target, "target_slot": end}


SWITCH = node(
    2,
    "ComfySwitchNode",
    socket("on_false", "STRING", 1),
    socket("on_true", "STRING", 3),
    outputs="STRING",
    values=[True],
)
SHOW = node(3, "PreviewAny", socket("source", "*", 4), values=[])
TEXT = node(
    1, "PrimitiveStringMultiline", socket("value", "STRING", 2, field=True), outputs="STRING", values=["from inside"]
)
BOTH: Json = {
    "id": "S",
    # The plain socket comes first, but only the text has a field.
    "inputs": [{"name": "text", "type": "STRING", "linkIds": [1, 2]}],
    "nodes": [TEXT, SWITCH, SHOW],
    "links": [
        inner_link(1, -10, 0, 2, 0),
        inner_link(2, -10, 0, 1, 0),
        inner_link(3, 1, 0, 2, 1),
        inner_link(4, 2, 0, 3, 0),
    ],
}
"""A subgraph whose input leads to a plain socket and to a field."""


def values(host: Json, *subgraphs: Json) -> tuple[Json, Json]:
    """What the plain socket and the field get."""
    inputs = sent(drawing([host], [], definitions={"subgraphs": list(subgraphs)}), definitions())
    path = next(id_ for id_ in inputs if id_.endswith(":2")).removesuffix("2")
    return inputs[f"{path}2"]["on_false"], inputs[f"{path}1"]["value"]


def test_a_plain_socket_gets_the_value_of_the_field_that_the_input_shows() -> None:
    assert values(node(10, "S"), BOTH) == ("from inside", "from inside")


@pytest.mark.parametrize(
    "host",
    [
        node(10, "S", values=["outside"]),
        node(10, "S", values={"text": "outside"}),
        node(10, "S", values=["outside"], properties={"proxyWidgets": [["-1", "text"]]}),
        # The editor of early 2026 named the field inside, although an input leads to it.
        node(10, "S", values=["outside"], properties={"proxyWidgets": [["1", "value"]]}),
        node(
            10,
            "S",
            values=["older"],
            properties={
                "proxyWidgetErrorQuarantine": [
                    {"originalEntry": ["-1", "text"], "reason": "missingSourceNode", "hostValue": "outside"},
                    {"originalEntry": ["-1", "text"], "reason": "missingSourceNode", "hostValue": "not the first"},
                    {"originalEntry": ["7", "cfg"], "reason": "missingSubgraphInput"},
                ]
            },
        ),
    ],
    ids=["in a row", "by name", "as an input", "as a field inside", "set aside"],
)
def test_a_value_on_the_subgraph_reaches_plain_sockets_too(host: Json) -> None:
    assert values(host, BOTH) == ("outside", "outside")


def test_the_value_comes_from_the_deepest_field_unless_a_subgraph_between_has_one() -> None:
    def around(inside: Json) -> Json:
        return {
            "id": "T",
            "inputs": [{"name": "words", "type": "STRING"}],
            "nodes": [inside],
            "links": [inner_link(1, -10, 0, 4, 0)],
        }

    shown = socket("text", "STRING", 1, field=True)
    assert values(node(10, "T"), around(node(4, "S", shown)), BOTH) == ("from inside", "from inside")
    between = around(node(4, "S", shown, values=["between"]))
    assert values(node(10, "T"), between, BOTH) == ("between", "between")
    assert values(node(10, "T", values=["outside"]), between, BOTH) == ("outside", "outside")


def test_the_first_field_of_an_input_decides_for_the_others() -> None:
    size: Json = {
        "id": "S",
        "inputs": [{"name": "side", "type": "INT", "linkIds": [2, 1]}],
        "nodes": [
            node(
                1,
                "EmptyImage",
                socket("width", "INT", 1, field=True),
                socket("height", "INT", 2, field=True),
                outputs="IMAGE",
                values=[640, 480, 1, 0],
            ),
            node(2, "PreviewImage", socket("images", "IMAGE", 3)),
        ],
        "links": [inner_link(1, -10, 0, 1, 0), inner_link(2, -10, 0, 1, 1), inner_link(3, 1, 0, 2, 0)],
    }
    image = sent(drawing([node(10, "S")], [], definitions={"subgraphs": [size]}), definitions())["10:1"]
    assert (image["width"], image["height"]) == (480, 480)


def test_how_a_seed_changes_is_no_value_of_the_subgraph() -> None:
    noise: Json = {
        "id": "S",
        "inputs": [{"name": "seed", "type": "INT"}, {"name": "text", "type": "STRING"}],
        "nodes": [
            node(1, "RandomNoise", socket("noise_seed", "INT", 1, field=True), outputs="NOISE", values=[5, "fixed"]),
            node(2, "PrimitiveString", socket("value", "STRING", 2, field=True), outputs="STRING", values=["own"]),
        ],
        "links": [inner_link(1, -10, 0, 1, 0), inner_link(2, -10, 1, 2, 0)],
    }
    host = node(10, "S", values=[7, "randomize", "outside"])
    inputs = sent(drawing([host], [], definitions={"subgraphs": [noise]}), definitions())
    assert (inputs["10:1"]["noise_seed"], inputs["10:2"]["value"]) == (7, "outside")


def test_inputs_that_always_get_the_same_value_become_one_slot() -> None:
    converted = convert(
        drawing([node(10, "S", values=["outside"])], [], definitions={"subgraphs": [BOTH]}), definitions()
    )
    assert [{f"{target.node}.{target.input}" for target in group} for group in converted.together] == [
        {"10:1.value", "10:2.on_false"}
    ]
