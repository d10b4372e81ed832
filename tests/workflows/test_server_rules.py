"""What the tests take for the server's rules is what a real server said."""

from __future__ import annotations

import msgspec

from app.ports import Graph, Json
from app.workflows.api_graph import inputs
from tests.workflows import server_rules
from tests.workflows.templates import EVERY, converted, object_info, verdicts


def test_what_a_real_server_accepted_has_no_errors() -> None:
    for name in verdicts().accepted[::EVERY]:
        assert server_rules.verdicts(converted(name).graph, object_info()) == [], name


def test_what_a_real_server_rejected_has_the_same_errors() -> None:
    """Those graphs lacked inputs, because they came from an earlier converter; here the same inputs are removed."""
    for name, errors in verdicts().errors.items():
        graph = msgspec.json.decode(msgspec.json.encode(converted(name).graph), type=Graph)
        for node in graph:
            for node_class, input_name, _ in errors:
                if graph[node]["class_type"] == node_class:
                    inputs(graph, node).pop(input_name, None)
        assert set(server_rules.verdicts(graph, object_info())) == set(errors), name


CLASSES: dict[str, Json] = {
    "Grow": {
        "input": {
            "required": {
                "images": [
                    "COMFY_AUTOGROW_V3",
                    {
                        "template": {
                            "input": {"required": {"image": ["IMAGE", {}]}},
                            "prefix": "image",
                            "min": 1,
                            "max": 2,
                        }
                    },
                ]
            }
        },
        "output": ["IMAGE"],
        "output_node": True,
    },
    "Choose": {
        "input": {
            "required": {
                "model": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {"options": [{"key": "a", "inputs": {"required": {"size": ["INT", {"min": 1, "max": 8}]}}}]},
                ],
                "mode": ["COMBO", {"options": ["x", "y"]}],
                "strength": ["FLOAT", {}],
            }
        },
        "output": ["IMAGE", "MASK"],
        "output_node": True,
    },
}


def said(graph: Graph) -> set[tuple[str, str]]:
    return {(verdict.input, verdict.error) for verdict in server_rules.verdicts(graph, CLASSES)}


def test_each_rule_finds_what_it_is_for() -> None:
    right: dict[str, Json] = {"model": "a", "model.size": 2, "mode": "x", "strength": "0.5"}
    assert said({"1": {"class_type": "Choose", "inputs": right}}) == set()
    wrong: list[tuple[str, Json, str]] = [
        ("model.size", 0, "value_smaller_than_min"),
        ("model.size", 9, "value_bigger_than_max"),
        ("strength", "much", "invalid_input_type"),
        ("mode", "z", "value_not_in_list"),
        ("mode", ["1"], "bad_linked_input"),
        ("strength", ["9", 0], "exception_during_validation"),
        ("strength", ["1", 5], "exception_during_validation"),
        ("strength", ["1", 0], "return_type_mismatch"),
    ]
    for name, value, error in wrong:
        assert said({"1": {"class_type": "Choose", "inputs": {**right, name: value}}}) == {(name, error)}
    for name in right.keys() - {"model"}:
        node_inputs = {other: value for other, value in right.items() if other != name}
        assert said({"1": {"class_type": "Choose", "inputs": node_inputs}}) == {(name, "required_input_missing")}


def test_the_first_member_of_a_group_is_required() -> None:
    assert said({"1": {"class_type": "Grow", "inputs": {}}}) == {("images.image0", "required_input_missing")}
    choose: Json = {"class_type": "Choose", "inputs": {"model": "a", "model.size": 1, "mode": "x", "strength": 1}}
    assert said({"1": {"class_type": "Grow", "inputs": {"images.image0": ["2", 0]}}, "2": choose}) == set()
    assert said({"1": {"class_type": "Grow", "inputs": {"images.image0": ["2", 1]}}, "2": choose}) == {
        ("images.image0", "return_type_mismatch")
    }


def test_unknown_classes_and_graphs_without_results_are_rejected() -> None:
    assert said({"1": {"class_type": "Gone", "inputs": {}}}) == {("", "missing_node_type")}
    assert server_rules.verdicts({}, CLASSES) == [server_rules.Verdict("", "", "prompt_no_outputs")]
