"""Resolves the placeholders in file prefixes that otherwise only the editor resolves.

Examples: `%date:yyyy-MM-dd%`, `%Sampler.seed%`.
"""

from __future__ import annotations

import re
from datetime import datetime

from app.core.jobs.progress import title
from app.ports import Graph, Json
from app.workflows.api_graph import inputs

PREFIXES = frozenset({"filename_prefix"})
"""Inputs in which the editor resolves placeholders. The server itself resolves `%year%`, `%width%` and the like."""

DAY = "yyyy-MM-dd"
"""The date format of `%date%` without a format."""

LONGEST = 80
"""Characters of a value in a file name; most file systems allow 255 bytes for the whole name."""

_PLACEHOLDER = re.compile(r"%([^%]+)%")
_PARTS = re.compile(r"yyyy|yy|MM?|dd?|hh?|mm?|ss?")
_FORBIDDEN = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')


def resolve(graph: Graph, now: datetime) -> Graph:
    """Return a copy of the graph with the placeholders in file prefixes resolved; unknown placeholders stay.

    The copy shares the nodes that do not change with the original.
    """
    resolved = dict(graph)
    for node, entry in graph.items():
        for name in PREFIXES & inputs(graph, node).keys():
            node_inputs = inputs(resolved, node)
            if isinstance(value := node_inputs[name], str) and "%" in value:
                resolved[node] = {**entry, "inputs": {**node_inputs, name: resolve_text(value, graph, now)}}
    return resolved


def resolve_text(text: str, graph: Graph, now: datetime) -> str:
    """Return a text with its placeholders resolved. Characters that file names forbid become `_`."""
    return _PLACEHOLDER.sub(lambda match: _resolved(match[1], graph, now) or match[0], text)


def _resolved(placeholder: str, graph: Graph, now: datetime) -> str | None:
    if placeholder == "date" or placeholder.startswith("date:"):
        return _date(placeholder.partition(":")[2] or DAY, now)
    node, dot, name = placeholder.rpartition(".")
    return _value(node, name, graph) if dot else None


def _date(pattern: str, now: datetime) -> str:
    parts = {"y": now.year, "M": now.month, "d": now.day, "h": now.hour, "m": now.minute, "s": now.second}

    def part(match: re.Match[str]) -> str:
        letters = match[0]
        return (
            f"{parts[letters[0]]:04d}"[-len(letters) :]
            if letters[0] == "y"
            else str(parts[letters[0]]).zfill(len(letters))
        )

    return _FORBIDDEN.sub("_", _PARTS.sub(part, pattern.replace("/", "\x00"))).replace("\x00", "/")


def _value(class_or_title: str, name: str, graph: Graph) -> str | None:
    """Return the value of an input of the first node of that class, else of that title, as the editor does."""
    classes = (node for node, entry in graph.items() if entry.get("class_type") == class_or_title)
    titles = (node for node in graph if title(graph, node) == class_or_title)
    for node in (*classes, *titles):
        value: Json = inputs(graph, node).get(name)
        if isinstance(value, (str, int, float)):
            text = _FORBIDDEN.sub("_", str(value))[:LONGEST].strip()
            # A name of dots alone (`.`, `..`) would be a directory.
            return text if text.strip(".") else "_"
    return None
