"""ComfyUI's validation of a prompt, with its error texts (T05)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeAlias

from msgspec import Struct, field

from app.ports import Graph, Json
from app.simulator.nodes.definitions import Catalog, Input

Error: TypeAlias = dict[str, Json]

LONG_LIST = 20
"""The longest list of choices that an error quotes."""

_PYTHON = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


class Verdict(Struct, frozen=True):
    """The result of validation. `error` is None if at least one output may run: those in `outputs`."""

    error: Error | None
    outputs: list[str] = field(default_factory=list[str])
    node_errors: dict[str, Json] = field(default_factory=dict[str, Json])


class Fault(Struct):
    """Whether a node is valid, and its errors; an invalid node without errors has them upstream."""

    valid: bool
    errors: list[Error]


def reason(kind: str, message: str, details: str = "", extra: dict[str, Json] | None = None) -> Error:
    """Return an error in ComfyUI's form."""
    return {"type": kind, "message": message, "details": details, "extra_info": extra or {}}


class Validation:
    """Validates one prompt. Changes the graph: values are converted to their types, "8" becomes 8."""

    def __init__(self, catalog: Catalog, graph: Graph, exists: Callable[[str], bool], *, modern: bool) -> None:
        self._catalog = catalog
        self._graph = graph
        self._exists = exists
        self._modern = modern
        self._found: dict[str, Fault] = {}

    def verdict(self, targets: Collection[str] | None) -> Verdict:
        """Validate the prompt; `targets` limits the outputs. Raises `TypeError` where ComfyUI answers 500."""
        outputs: list[str] = []
        for node, entry in self._graph.items():
            if "class_type" not in entry:
                return self._missing(node, None)
            class_type = entry["class_type"]
            if not isinstance(class_type, str) or not self._catalog.known(class_type):
                return self._missing(node, class_type)
            if self._catalog.is_output(class_type) and (targets is None or node in targets):
                outputs.append(node)
        if not outputs:
            return Verdict(reason("prompt_no_outputs", "Prompt has no outputs"))
        # ComfyUI keeps its outputs in a set, whose order is arbitrary; in the recorded runs the last output came first,
        # and the others followed in their order (T01, T03, T04). In those of 0.33 the last one came second.
        last = outputs.pop()
        outputs.insert(1 if self._modern else 0, last)
        good, details, nodes = list[str](), list[str](), dict[str, Json]()
        dependents: dict[str, list[Json]] = {}
        for output in outputs:
            fault = self._judge_output(output)
            if fault.valid:
                good.append(output)
                continue
            details += [f"{error['message']}: {error['details']}" for error in fault.errors]
            for node, fault_of_node in self._found.items():
                if not fault_of_node.valid and fault_of_node.errors:
                    dependents.setdefault(node, []).append(output)
                    nodes[node] = {
                        "errors": list[Json](fault_of_node.errors),
                        "dependent_outputs": dependents[node],
                        "class_type": self._graph[node]["class_type"],
                    }
        if good:
            return Verdict(None, good, nodes)
        words = "Prompt outputs failed validation"
        return Verdict(reason("prompt_outputs_failed_validation", words, "\n".join(details)), node_errors=nodes)

    def _missing(self, node: str, class_type: Json) -> Verdict:
        """The verdict on a node without a class, or of a class that the server does not have (T05)."""
        if not self._modern:
            words = "Cannot execute because a node is missing the class_type property."
            if class_type is not None:
                words = f"Cannot execute because node {class_type} does not exist."
            return Verdict(reason("invalid_prompt", words, f"Node ID '#{node}'"))
        words = f"Node 'ID #{node}' has no class_type. The workflow may be corrupted or a custom node is missing."
        about = self._about(node, class_type)
        if class_type is not None:
            words = f"Node '{about['node_title']}' not found. The custom node may not be installed."
        return Verdict(reason("missing_node_type", words, f"Node ID '#{node}'", about))

    def _about(self, node: str, class_type: Json) -> dict[str, Json]:
        meta = self._graph[node].get("_meta")
        title = meta.get("title") if isinstance(meta, dict) else None
        return {"node_id": node, "class_type": class_type, "node_title": title or class_type}

    def _judge_output(self, node: str) -> Fault:
        try:
            return self._judge(node, ())
        except (LookupError, RecursionError) as error:
            extra: dict[str, Json] = {"exception_type": type(error).__name__, "traceback": []}
            words = "Exception when validating node"
            self._found[node] = Fault(
                valid=False, errors=[reason("exception_during_validation", words, str(error), extra)]
            )
            return self._found[node]

    def _judge(self, node: str, above: tuple[str, ...]) -> Fault:
        if node in self._found:
            return self._found[node]
        if node in above:
            if self._modern:
                return self._cycle([*above[above.index(node) :], node])
            raise RecursionError("maximum recursion depth exceeded")
        inputs = self._graph[node]["inputs"]
        class_type = str(self._graph[node]["class_type"])
        fault = Fault(valid=True, errors=[])
        given = inputs if isinstance(inputs, dict) else dict[str, Json]()
        for name, declared in self._catalog.inputs_of(class_type, given).items():
            if name not in given:
                if declared.required:
                    words = "Required input is missing"
                    fault.errors.append(reason("required_input_missing", words, name, {"input_name": name}))
                continue
            value = given[name]
            if isinstance(value, list):
                self._judge_link(fault, name, declared, value, (*above, node))
            else:
                self._judge_value(fault, name, declared, given)
        fault.valid = fault.valid and not fault.errors
        # A cycle that was found meanwhile stands.
        return self._found.setdefault(node, fault)

    def _cycle(self, path: list[str]) -> Fault:
        """Report a cycle for each of its nodes, as newer versions do; `path` ends with its first node."""
        words = " -> ".join(f"{node} ({self._graph[node]['class_type']})" for node in path)
        nodes = list(dict.fromkeys(path))
        for node in nodes:
            extra: dict[str, Json] = {"node_id": node, "cycle_nodes": list[Json](nodes)}
            error = reason("dependency_cycle", "Dependency cycle detected", words, extra)
            self._found[node] = Fault(valid=False, errors=[error])
        return self._found[path[0]]

    def _judge_link(self, fault: Fault, name: str, declared: Input, value: list[Json], above: tuple[str, ...]) -> None:
        extra: dict[str, Json] = {"input_name": name, "input_config": declared.config}
        match value:
            case [str() as source, int() as slot]:
                pass
            case _:
                words = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
                fault.errors.append(reason("bad_linked_input", words, name, {**extra, "received_value": value}))
                return
        class_type = str(self._graph[source]["class_type"])
        types = self._catalog.outputs(class_type)
        if self._catalog.recorded(class_type):
            if slot >= len(types):
                raise IndexError("tuple index out of range")
            if not fits(types[slot], declared.type):
                input_type = declared.type if isinstance(declared.type, str) else str(declared.type)
                details = f"{name}, received_type({types[slot]}) mismatch input_type({input_type})"
                extra |= {"received_type": types[slot], "linked_node": value}
                words = "Return type mismatch between linked nodes"
                fault.errors.append(reason("return_type_mismatch", words, details, extra))
                return
        try:
            upstream = self._judge(source, above)
        except (LookupError, RecursionError) as error:
            fault.valid = False
            extra |= {"exception_message": str(error), "exception_type": type(error).__name__}
            extra |= {"traceback": [], "linked_node": value}
            words = "Exception when validating inner node"
            self._found[source] = Fault(
                valid=False, errors=[reason("exception_during_inner_validation", words, str(error), extra)]
            )
            return
        fault.valid = fault.valid and upstream.valid

    def _judge_value(self, fault: Fault, name: str, declared: Input, inputs: dict[str, Json]) -> None:
        extra: dict[str, Json] = {"input_name": name, "input_config": declared.config}
        convert = _PYTHON.get(declared.type) if isinstance(declared.type, str) else None
        if convert is not None:
            try:
                inputs[name] = convert(inputs[name])  # pyright: ignore[reportArgumentType]  that is the question
            except (TypeError, ValueError) as error:
                words = f"Failed to convert an input value to a {declared.type} value"
                extra |= {"received_value": inputs[name], "exception_message": str(error)}
                details = f"{name}, {inputs[name]}, {error}"
                fault.errors.append(reason("invalid_input_type", words, details, extra))
                return
        value = inputs[name]
        extra["received_value"] = value
        low, high = declared.options.get("min"), declared.options.get("max")
        if isinstance(value, (int, float)) and isinstance(low, (int, float)) and value < low:
            words = f"Value {value} smaller than min of {low}"
            fault.errors.append(reason("value_smaller_than_min", words, name, extra))
        elif isinstance(value, (int, float)) and isinstance(high, (int, float)) and value > high:
            words = f"Value {value} bigger than max of {high}"
            fault.errors.append(reason("value_bigger_than_max", words, name, extra))
        elif declared.upload:
            if not isinstance(value, str) or not (self._exists(value) or value in (declared.choices or ())):
                details = f"{name} - Invalid {declared.upload} file: {value}"
                words = "Custom validation failed for node"
                fault.errors.append(reason("custom_validation_failed", words, details, {"input_name": name}))
        elif declared.choices is not None and value not in declared.choices:
            listed = str(declared.choices)
            if len(declared.choices) > LONG_LIST:
                listed, extra["input_config"] = f"(list of length {len(declared.choices)})", None
            details = f"{name}: '{value}' not in {listed}"
            fault.errors.append(reason("value_not_in_list", "Value not in list", details, extra))


def fits(output_type: str, input_type: str | list[Json]) -> bool:
    """Return whether an output type fits an input type; "*" is any type, "A,B" is either."""
    if isinstance(input_type, list):
        return output_type in {"COMBO", "*"} or output_type.startswith("[")
    if output_type in {"*", "COMFY_MATCHTYPE_V3"} or input_type == "*":
        return True
    return set(output_type.split(",")) <= set(input_type.split(","))
