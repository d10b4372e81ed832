"""The server's own rules for a prompt (`validate_inputs` in ComfyUI 0.33's `execution.py`), written for tests only.

It reads `/object_info` by itself, so that it does not share the mistakes of what it checks. Left out: files and models,
which a test server does not have, and the checks that nodes make themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

from app.ports import Graph, Json

Table: TypeAlias = dict[str, Json]


class Verdict(NamedTuple):
    """One error that the server would report."""

    node_class: str
    input: str
    error: str


class _Spec(NamedTuple):
    type: Json
    options: Table
    required: bool


def verdicts(graph: Graph, object_info: Mapping[str, Json]) -> list[Verdict]:
    """Return the errors that the server would report, in the order of the nodes; empty if it accepts the graph."""
    infos = {node: _table(object_info.get(str(entry["class_type"]))) for node, entry in graph.items()}
    unknown = [str(graph[node]["class_type"]) for node, info in infos.items() if not info]
    if unknown:
        return [Verdict(node_class, "", "missing_node_type") for node_class in unknown]
    outputs = [node for node, info in infos.items() if info.get("output_node") is True]
    if not outputs:
        return [Verdict("", "", "prompt_no_outputs")]
    found: list[Verdict] = []
    for node in _reached(graph, outputs):
        found += _node(graph, node, infos)
    return found


def _reached(graph: Graph, outputs: list[str]) -> list[str]:
    """The nodes that the outputs depend on: the server checks no others."""
    waiting, reached = list(outputs), dict.fromkeys(outputs)
    while waiting:
        for value in _table(graph[waiting.pop()]["inputs"]).values():
            match value:
                case [str() as source, int()] if source in graph and source not in reached:
                    reached[source] = None
                    waiting.append(source)
                case _:
                    continue
    return list(reached)


def _node(graph: Graph, node: str, infos: Mapping[str, Table]) -> Iterator[Verdict]:
    node_class, node_inputs = str(graph[node]["class_type"]), _table(graph[node]["inputs"])
    specs: dict[str, _Spec] = {}
    _expand(specs, node_inputs, infos[node].get("input"), "")
    for name, spec in specs.items():
        if name not in node_inputs:
            if spec.required:
                yield Verdict(node_class, name, "required_input_missing")
            continue
        match node_inputs[name]:
            case [str() as source, int() as slot]:
                if error := _link(infos.get(source), slot, spec):
                    yield Verdict(node_class, name, error)
            case list():
                yield Verdict(node_class, name, "bad_linked_input")
            case value:
                if error := _value(value, spec):
                    yield Verdict(node_class, name, error)


def _expand(specs: dict[str, _Spec], node_inputs: Table, groups: Json, prefix: str) -> None:
    """Add the inputs that a node has with these values: choices and groups bring inputs of their own."""
    for group in ("required", "optional"):
        for name, entry in _table(_table(groups).get(group)).items():
            assert isinstance(entry, list)
            spec = _Spec(entry[0], _table(entry[1]) if len(entry) > 1 else {}, group == "required")
            match spec.type:
                case "COMFY_DYNAMICCOMBO_V3":
                    for option in _list(spec.options.get("options")):
                        if prefix + name in node_inputs and _table(option)["key"] == node_inputs[prefix + name]:
                            specs[prefix + name] = spec
                            _expand(specs, node_inputs, _table(option)["inputs"], f"{prefix}{name}.")
                case "COMFY_AUTOGROW_V3":
                    specs.update(_grown(_table(spec.options["template"]), f"{prefix}{name}."))
                case "COMFY_DYNAMICSLOT_V3":
                    if prefix + name in node_inputs:
                        specs[prefix + name] = spec
                        _expand(specs, node_inputs, spec.options["inputs"], f"{prefix}{name}.")
                case _:
                    specs[prefix + name] = spec


def _grown(template: Table, prefix: str) -> Iterator[tuple[str, _Spec]]:
    names = [str(name) for name in _list(template.get("names"))]
    most, least = template.get("max", 0), template["min"]
    assert isinstance(most, int)
    assert isinstance(least, int)
    names = names or [f"{template['prefix']}{number}" for number in range(most)]
    group, entries = next((group, _table(entries)) for group, entries in _table(template["input"]).items() if entries)
    [entry] = list(entries.values())[:1]
    assert isinstance(entry, list)
    for number, name in enumerate(names):
        yield prefix + name, _Spec(entry[0], _table(entry[1]), group == "required" and number < least)


def _link(source: Table | None, slot: int, spec: _Spec) -> str:
    if source is None:
        return "exception_during_validation"
    outputs = _list(source.get("output"))
    if not 0 <= slot < len(outputs):
        return "exception_during_validation"
    if not isinstance(spec.type, str) or not isinstance(outputs[slot], str):
        return ""
    received, wanted = set(str(outputs[slot]).split(",")), set(spec.type.split(","))
    free = {"*", "COMFY_MATCHTYPE_V3", "COMBO"}
    return "" if received & wanted or free & (received | wanted) else "return_type_mismatch"


def _value(value: Json, spec: _Spec) -> str:
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    number: float | None = None
    try:
        match spec.type, value:
            case "INT", int() | float() | str():
                number = int(value)
            case "FLOAT", int() | float() | str():
                number = float(value)
            case "INT" | "FLOAT", _:
                return "invalid_input_type"
            case _:
                pass
    except ValueError:
        return "invalid_input_type"
    low, high = spec.options.get("min"), spec.options.get("max")
    if number is not None and isinstance(low, (int, float)) and number < low:
        return "value_smaller_than_min"
    if number is not None and isinstance(high, (int, float)) and number > high:
        return "value_bigger_than_max"
    choices = spec.type if isinstance(spec.type, list) else _list(spec.options.get("options"))
    if not (isinstance(spec.type, list) or spec.type == "COMBO") or not choices:
        return ""
    chosen = value if isinstance(value, list) and spec.options.get("multiselect") is True else [value]
    return "" if all(one in choices or _is_file(one) for one in chosen) else "value_not_in_list"


def _is_file(value: Json) -> bool:
    return isinstance(value, str) and "." in value.rpartition("/")[2]


def _table(value: Json) -> Table:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
