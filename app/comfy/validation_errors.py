"""Why a server refused a workflow, with node titles instead of ids."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from app.comfy.http_schemas import NodeProblems, Problem, Rejected, listed
from app.comfy.json import decode_shallow
from app.core.jobs.progress import title
from app.core.jobs.results import first_line
from app.events import NodeId
from app.library_errors import short_message
from app.ports import Graph, Json
from app.reasons.servers import (
    InputMissing,
    LinkBroken,
    LinkMismatch,
    LinksCircular,
    NodeInvalid,
    NodeProblem,
    NodesInvalid,
    NoOutput,
    NotApiFormat,
    PartDropped,
    RefusalReason,
    UnknownNodeClass,
    ValueInvalid,
    ValueNotListed,
    ValueTooLarge,
    ValueTooSmall,
    WorkflowRefused,
)

MOST_PROBLEMS = 3
"""Problems that are kept; the others are only counted, because more than three at once do not help."""

SHORT_LIST = 6
"""Choices that are kept, because they can be read at a glance; longer lists (a folder of models) are left out."""

_REJECTED = msgspec.json.Decoder(Rejected)


def validation_error(body: bytes, graph: Graph) -> RefusalReason:
    """The reason in a 400 of POST /prompt. Its shapes are those of transcript T05."""
    try:
        rejected = decode_shallow(body, _REJECTED)
    except msgspec.DecodeError:
        return WorkflowRefused()
    nodes = rejected.node_errors if isinstance(rejected.node_errors, dict) else {}
    if nodes:
        return NodesInvalid(*_first(nodes, graph))
    error = rejected.error if isinstance(rejected.error, Problem) else Problem(message=rejected.error)
    match error.type:
        case "prompt_no_outputs":
            return NoOutput()
        case "missing_node_type" | "invalid_prompt":
            return _missing_class(error, graph)
        case _:
            return WorkflowRefused(_message(error))


def missing(body: bytes, graph: Graph) -> tuple[tuple[NodeId, str], ...]:
    """The inputs that are missing according to a 400 of POST /prompt; empty if it has any other reason."""
    try:
        rejected = decode_shallow(body, _REJECTED)
    except msgspec.DecodeError:
        return ()
    nodes = rejected.node_errors if isinstance(rejected.node_errors, dict) else {}
    problems = [
        (NodeId(node), problem) for node, problems_of_node in nodes.items() for problem in problems_of_node.errors
    ]
    if any(problem.type != "required_input_missing" or node not in graph for node, problem in problems):
        return ()
    return tuple((node, str(problem.extra_info.get("input_name") or problem.details)) for node, problem in problems)


def unusable(body: bytes) -> tuple[tuple[NodeId, str], ...]:
    """The inputs whose value the server does not have, such as a file, according to a 400 of POST /prompt.

    Nodes that load files have a check of their own; its answer does not say what it looked for.
    """
    try:
        rejected = decode_shallow(body, _REJECTED)
    except msgspec.DecodeError:
        return ()
    nodes = rejected.node_errors if isinstance(rejected.node_errors, dict) else {}
    return tuple(
        (NodeId(node), str(problem.extra_info.get("input_name")))
        for node, problems in nodes.items()
        for problem in problems.errors
        if problem.type in {"custom_validation_failed", "value_not_in_list"}
    )


def dropped(nodes: Mapping[str, NodeProblems], graph: Graph) -> tuple[PartDropped, ...]:
    """The outputs of an accepted prompt that will not run."""
    return (PartDropped(*_first(nodes, graph)),) if nodes else ()


def _first(nodes: Mapping[str, NodeProblems], graph: Graph) -> tuple[tuple[NodeProblem, ...], int]:
    """The first problems of the nodes, and how many more there are."""
    all_problems = [problem for node, problems in nodes.items() for problem in _problems(title(graph, node), problems)]
    return tuple(all_problems[:MOST_PROBLEMS]), max(0, len(all_problems) - MOST_PROBLEMS)


def _problems(node: str, problems: NodeProblems) -> Iterator[NodeProblem]:
    """The problems of one node, by its title."""
    for problem in problems.errors:
        extra = problem.extra_info
        name = short_message(str(extra.get("input_name") or problem.details or "an input"))
        value = short_message(str(extra.get("received_value")))
        match problem.type:
            case "value_not_in_list":
                yield ValueNotListed(node, name, value, _offered(extra))
            case "value_smaller_than_min":
                yield ValueTooSmall(node, name, value, _limit(extra, "min"))
            case "value_bigger_than_max":
                yield ValueTooLarge(node, name, value, _limit(extra, "max"))
            case "required_input_missing":
                yield InputMissing(node, name)
            case "invalid_input_type":
                yield ValueInvalid(node, name, value)
            case "bad_linked_input":
                yield LinkBroken(node)
            case "exception_during_validation" | "exception_during_inner_validation" if _dangling(extra):
                yield LinkBroken(node)
            case "return_type_mismatch":
                yield LinkMismatch(node, name)
            case "custom_validation_failed":
                yield NodeInvalid(node, first_line(problem.details or problem.message))
            case "dependency_cycle":
                yield LinksCircular(node)
            case _:
                yield NodeInvalid(node, _message(problem) or short_message(problem.type))


def _message(problem: Problem) -> str:
    """The server's message and its details, each once."""
    return ", ".join(dict.fromkeys(filter(None, (first_line(problem.message), first_line(problem.details)))))


def _config(extra: Mapping[str, Json]) -> Mapping[str, Json]:
    match extra.get("input_config"):
        case [_, dict() as options, *_]:
            return options
        case _:
            return {}


def _limit(extra: Mapping[str, Json], key: str) -> str:
    return short_message(str(_config(extra).get(key)))


def _offered(extra: Mapping[str, Json]) -> tuple[str, ...] | None:
    """The allowed values if they are known and few, else None. ComfyUI leaves out lists of more than 20 values."""
    if "input_config" not in extra or not isinstance(extra["input_config"], list):
        return None
    values = listed(extra["input_config"])
    return tuple(short_message(str(value)) for value in values) if len(values) <= SHORT_LIST else None


def _dangling(extra: Mapping[str, Json]) -> bool:
    """Whether a link leads nowhere: a missing node or output is reported as a Python exception (measured, T05)."""
    return extra.get("exception_type") in {"KeyError", "IndexError"}


def _missing_class(error: Problem, graph: Graph) -> RefusalReason:
    """The unknown node class. ComfyUI 0.3.64 names it in the message, newer versions in `extra_info`."""
    named = error.extra_info.get("class_type")
    match = re.search(r"node (.+) does not exist", error.message)
    class_type = short_message(str(named) if named else match.group(1) if match else "")
    if not class_type:
        return NotApiFormat()
    node = next((node for node, entry in graph.items() if entry.get("class_type") == class_type), class_type)
    return UnknownNodeClass(title(graph, node), class_type)
