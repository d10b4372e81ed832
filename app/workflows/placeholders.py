"""Resolves the placeholders in file prefixes that otherwise only the editor resolves.

Examples: `%date:yyyy-MM-dd%`, `%Sampler.seed%`.
"""

from __future__ import annotations

import re
from datetime import datetime

from app.core.progress import title
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
            given = inputs(resolved, node)
            if isinstance(value := given[name], str) and "%" in value:
                resolved[node] = {**entry, "inputs": {**given, name: resolve_text(value, graph, now)}}
    return resolved


def resolve_text(text: str, graph: Graph, now: datetime) -> str:
    """Return a text with its placeholders resolved. Characters that file names forbid become `_`."""
    return _PLACEHOLDER.sub(lambda found: _resolved(found[1], graph, now) or found[0], text)


def _resolved(told: str, graph: Graph, now: datetime) -> str | None:
    if told == "date" or told.startswith("date:"):
        return _date(told.partition(":")[2] or DAY, now)
    node, dot, name = told.rpartition(".")
    return _value(node, name, graph) if dot else None


def _date(pattern: str, now: datetime) -> str:
    parts = {"y": now.year, "M": now.month, "d": now.day, "h": now.hour, "m": now.minute, "s": now.second}

    def part(found: re.Match[str]) -> str:
        one = found[0]
        return f"{parts[one[0]]:04d}"[-len(one) :] if one[0] == "y" else str(parts[one[0]]).zfill(len(one))

    return _FORBIDDEN.sub("_", _PARTS.sub(part, pattern.replace("/", "\x00"))).replace("\x00", "/")


def _value(told: str, name: str, graph: Graph) -> str | None:
    """Return the value of an input of the first node of that class, else of that title, as the editor does."""
    classes = (node for node, entry in graph.items() if entry.get("class_type") == told)
    titles = (node for node in graph if title(graph, node) == told)
    for node in (*classes, *titles):
        value: Json = inputs(graph, node).get(name)
        if isinstance(value, (str, int, float)):
            text = _FORBIDDEN.sub("_", str(value))[:LONGEST].strip()
            # A name of dots alone (`.`, `..`) would be a directory.
            return text if text.strip(".") else "_"
    return None
