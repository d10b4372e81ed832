"""What ComfyUI says against a prompt before it takes it; shapes and types as measured in transcript 05."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct

from app.ports import Graph, Json
from app.simulator.catalog import Catalog, NodeInfo, listed, options

Reason = dict[str, Json]

LONG_LIST = 20
"""A value that is not in a longer list is reported without the list (COMFYUI.md 3)."""


class Verdict(Struct):
    """The outputs that may run, and everything that speaks against the others."""

    outputs: list[str]
    error: Reason | None = None
    node_errors: dict[str, Json] = {}


def reason(kind: str, message: str, details: str = "", **extra: Json) -> Reason:
    """One entry of an error list."""
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


class Validator:
    """Checks graphs against the catalog. With `any_node`, unknown classes pass unchecked."""

    def __init__(self, catalog: Catalog, *, any_node: bool, has_input_file: Callable[[str], bool]) -> None:
        self._catalog = catalog
        self._any_node = any_node
        self._has_input_file = has_input_file

    def is_output(self, class_type: str) -> bool:
        """Whether a node is run for its own sake."""
        info = self._catalog.nodes.get(class_type)
        return info.output_node if info else class_type.startswith(("Save", "Preview"))

    def check(self, graph: Graph) -> Verdict:
        """Say which outputs may run."""
        for node, entry in graph.items():
            kind = entry.get("class_type")
            if not isinstance(kind, str):
                message = "Cannot execute because a node is missing the class_type property."
                return Verdict([], reason("invalid_prompt", message, f"Node ID '#{node}'"))
            if kind not in self._catalog.nodes and not self._any_node:
                message = f"Cannot execute because node {kind} does not exist."
                return Verdict([], reason("invalid_prompt", message, f"Node ID '#{node}'"))
        wanted = [node for node, entry in graph.items() if self.is_output(str(entry["class_type"]))]
        if not wanted:
            return Verdict([], reason("prompt_no_outputs", "Prompt has no outputs"))
        problems = {node: list(self._against(node, graph)) for node in graph}
        good: list[str] = []
        errors: dict[str, Json] = {}
        for output in wanted:
            bad = [node for node in _upstream(output, graph) if problems.get(node)]
            if not bad:
                good.append(output)
            for node in bad:
                entry = errors.setdefault(
                    node,
                    {
                        "errors": list[Json](problems[node]),
                        "dependent_outputs": [],
                        "class_type": graph[node]["class_type"],
                    },
                )
                if isinstance(entry, dict) and isinstance(outputs := entry["dependent_outputs"], list):
                    outputs.append(output)
        if good:
            return Verdict(good, None, errors)
        message = "Prompt outputs failed validation"
        return Verdict([], reason("prompt_outputs_failed_validation", message), errors)

    def _against(self, node: str, graph: Graph) -> Iterator[Reason]:
        info = self._catalog.nodes.get(str(graph[node]["class_type"]))
        inputs = graph[node].get("inputs")
        if info is None:
            return
        if not isinstance(inputs, dict):
            yield reason("exception_during_validation", "Exception when validating node", "'inputs'")
            return
        for name, (required, spec) in info.inputs().items():
            if name not in inputs:
                if required:
                    yield reason("required_input_missing", "Required input is missing", name, input_name=name)
                continue
            value = inputs[name]
            if isinstance(value, list):
                yield from self._link(name, value, spec, graph)
            else:
                yield from self._literal(name, value, spec, inputs)

    def _link(self, name: str, link: list[Json], spec: list[Json], graph: Graph) -> Iterator[Reason]:
        match link:
            case [str() as source, int() as slot] if source in graph:
                info = self._catalog.nodes.get(str(graph[source]["class_type"]))
            case [str() as source, int()]:
                message = "Exception when validating node"
                yield reason("exception_during_validation", message, repr(source), exception_type="KeyError")
                return
            case _:
                message = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
                yield reason("bad_linked_input", message, name, input_name=name, received_value=link)
                return
        if info is None:
            return
        if slot >= len(info.output):
            details = "tuple index out of range"
            yield reason("exception_during_validation", "Exception when validating node", details)
        elif _differ(info, slot, spec):
            received, wanted = info.output[slot], spec[0]
            details = f"{name}, received_type({received}) mismatch input_type({wanted})"
            message = "Return type mismatch between linked nodes"
            yield reason("return_type_mismatch", message, details, input_name=name, received_type=received)

    def _literal(self, name: str, value: Json, spec: list[Json], inputs: dict[str, Json]) -> Iterator[Reason]:
        extra: dict[str, Json] = {"input_name": name, "input_config": spec, "received_value": value}
        values, limits = listed(spec), options(spec)
        if limits.get("image_upload"):
            if not self._has_input_file(str(value)):
                message, details = (
                    "Custom validation failed for node",
                    f"{name} - Invalid image file: {value}",
                )
                yield reason("custom_validation_failed", message, details, **extra)
            return
        if values is not None:
            if value not in values:
                shown = f" in {values}" if len(values) <= LONG_LIST else f" (list of length {len(values)})"
                if len(values) > LONG_LIST:
                    extra["input_config"] = None
                details = f"{name}: '{value}' not{shown}"
                yield reason("value_not_in_list", "Value not in list", details, **extra)
            return
        if spec[0] in {"INT", "FLOAT"}:
            try:
                number = float(str(value)) if spec[0] == "FLOAT" else int(str(value))
            except ValueError:
                message = f"Failed to convert an input value to a {spec[0]} value"
                yield reason("invalid_input_type", message, f"{name}, {value}", **extra)
                return
            inputs[name] = number
            low, high = limits.get("min"), limits.get("max")
            if isinstance(low, (int, float)) and number < low:
                message = f"Value {number} smaller than min of {low}"
                yield reason("value_smaller_than_min", message, name, **extra)
            if isinstance(high, (int, float)) and number > high:
                message = f"Value {number} bigger than max of {high}"
                yield reason("value_bigger_than_max", message, name, **extra)


def _differ(info: NodeInfo, slot: int, spec: list[Json]) -> bool:
    given, wanted = info.output[slot], spec[0]
    if not isinstance(given, str) or not isinstance(wanted, str) or "*" in {given, wanted}:
        return False
    return not set(given.split(",")) & set(wanted.split(","))


def _upstream(output: str, graph: Graph) -> list[str]:
    """The output and all it depends on, nearest first."""
    seen: dict[str, None] = {}
    open_nodes = [output]
    while open_nodes:
        node = open_nodes.pop(0)
        if node in seen or node not in graph:
            continue
        seen[node] = None
        open_nodes += sources(graph, node)
    return list(seen)


def sources(graph: Graph, node: str) -> list[str]:
    """The nodes whose results a node takes, in the order of its inputs."""
    inputs = graph[node].get("inputs")
    values = inputs.values() if isinstance(inputs, dict) else ()
    return [v[0] for v in values if isinstance(v, list) and len(v) == 2 and isinstance(v[0], str)]
