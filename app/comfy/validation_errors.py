"""Explains why a server refused a workflow, in sentences that say what to do, with node titles instead of ids."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from app.comfy.errors import shortened
from app.comfy.http_schemas import NodeProblems, Problem, Rejected, listed
from app.comfy.json import decode_shallow
from app.core.progress import title
from app.core.results import first_line
from app.events import NodeId
from app.ports import Graph, Json

MOST_REASONS = 3
"""Reasons that are listed; the others are only counted, because more than three at once do not help."""

SHORT_LIST = 6
"""Choices that are listed, because they can be read at a glance; longer lists (a folder of models) are left out."""

_REJECTED = msgspec.json.Decoder(Rejected)


def format_validation_error(body: bytes, graph: Graph) -> str:
    """Explain a 400 of POST /prompt. Its shapes are those of transcript T05."""
    try:
        rejected = decode_shallow(body, _REJECTED)
    except msgspec.DecodeError:
        return "The server refused the workflow without saying why."
    nodes = rejected.node_errors if isinstance(rejected.node_errors, dict) else {}
    if nodes:
        return listing(nodes, graph)
    error = rejected.error if isinstance(rejected.error, Problem) else Problem(message=rejected.error)
    match error.type:
        case "prompt_no_outputs":
            return "The workflow has no output: add a node that saves or shows something, such as Save Image."
        case "missing_node_type" | "invalid_prompt":
            return _missing_class(error, graph)
        case _:
            said = dict.fromkeys(filter(None, (first_line(error.message), first_line(error.details))))
            return f"The server refused the workflow: {_closed(', '.join(said) or 'it did not say why')}"


def missing(body: bytes, graph: Graph) -> tuple[tuple[NodeId, str], ...]:
    """The inputs that are missing according to a 400 of POST /prompt; empty if it has any other reason."""
    try:
        rejected = decode_shallow(body, _REJECTED)
    except msgspec.DecodeError:
        return ()
    nodes = rejected.node_errors if isinstance(rejected.node_errors, dict) else {}
    problems = [(NodeId(node), problem) for node, told in nodes.items() for problem in told.errors]
    if any(problem.type != "required_input_missing" or node not in graph for node, problem in problems):
        return ()
    return tuple((node, str(problem.extra_info.get("input_name") or problem.details)) for node, problem in problems)


def dropped(nodes: Mapping[str, NodeProblems], graph: Graph) -> tuple[str, ...]:
    """Sentences about outputs of an accepted prompt that will not run."""
    if not nodes:
        return ()
    return (f"A part of the workflow was left out. {listing(nodes, graph)}",)


def listing(nodes: Mapping[str, NodeProblems], graph: Graph) -> str:
    """The first errors of the nodes, one sentence each."""
    reasons = [reason for node, problems in nodes.items() for reason in _reasons(node, problems, graph)]
    more = len(reasons) - MOST_REASONS
    told = " ".join(reasons[:MOST_REASONS]) or "The server refused a node without saying why."
    return f"{told} And {more} more." if more > 0 else told


def _reasons(node: str, problems: NodeProblems, graph: Graph) -> Iterator[str]:
    who = f"“{title(graph, node)}”"
    for problem in problems.errors:
        extra = problem.extra_info
        field = shortened(str(extra.get("input_name") or problem.details or "an input"))
        received = shortened(str(extra.get("received_value")))
        match problem.type:
            case "value_not_in_list":
                yield f"{who} has no {field} called “{received}”{_offered(extra)}"
            case "value_smaller_than_min":
                yield f"{who}: {field} is {received}, but must be at least {_limit(extra, 'min')}."
            case "value_bigger_than_max":
                yield f"{who}: {field} is {received}, but must be at most {_limit(extra, 'max')}."
            case "required_input_missing":
                yield f"{who} needs its input “{field}”."
            case "invalid_input_type":
                yield f"{who}: “{received}” is no value for {field}."
            case "bad_linked_input":
                yield f"{who} is connected to something that is not there: export the workflow again."
            case "exception_during_validation" | "exception_during_inner_validation" if _dangling(extra):
                yield f"{who} is connected to something that is not there: export the workflow again."
            case "return_type_mismatch":
                yield f"{who}: what is connected to {field} is of the wrong type."
            case "custom_validation_failed":
                yield f"{who}: {_closed(first_line(problem.details or problem.message))}"
            case "dependency_cycle":
                yield f"{who} waits for its own result: its connections run in a circle."
            case _:
                said = dict.fromkeys(filter(None, (first_line(problem.message), first_line(problem.details))))
                yield f"{who}: {_closed(', '.join(said) or shortened(problem.type))}"


def _config(extra: Mapping[str, Json]) -> Mapping[str, Json]:
    match extra.get("input_config"):
        case [_, dict() as options, *_]:
            return options
        case _:
            return {}


def _limit(extra: Mapping[str, Json], key: str) -> str:
    return shortened(str(_config(extra).get(key)))


def _offered(extra: Mapping[str, Json]) -> str:
    """The end of the sentence, with the allowed values if they are known and few.

    ComfyUI leaves out lists of more than 20 values.
    """
    if "input_config" not in extra or not isinstance(extra["input_config"], list):
        return "."
    values = listed(extra["input_config"])
    if not values:
        return ", and none at all."
    return f": choose {', '.join(shortened(str(value)) for value in values)}." if len(values) <= SHORT_LIST else "."


def _dangling(extra: Mapping[str, Json]) -> bool:
    """Whether a link leads nowhere: a missing node or output is reported as a Python exception (measured, T05)."""
    return extra.get("exception_type") in {"KeyError", "IndexError"}


def _closed(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def _missing_class(error: Problem, graph: Graph) -> str:
    """Explain an unknown node class. ComfyUI 0.3.64 names it in the message, newer versions in `extra_info`."""
    told = error.extra_info.get("class_type")
    found = re.search(r"node (.+) does not exist", error.message)
    wanted = shortened(str(told) if told else found.group(1) if found else "")
    if not wanted:
        return "This is no workflow in API format: in ComfyUI choose Workflow > Export (API)."
    node = next((node for node, entry in graph.items() if entry.get("class_type") == wanted), wanted)
    return f"The server does not know “{title(graph, node)}” ({wanted}): install the custom node it is from."
