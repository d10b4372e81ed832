"""Parses a manifest file. An error has the number of the line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar, cast, get_args

import msgspec
from msgspec import Struct

from app.ports import Json
from app.reasons import Reason
from app.text_file import TextFileError, line_of, parse_toml, read_text
from app.workflows.manifest.schema import FollowUp, Manifest, ManifestSlot, ManifestTarget
from app.workflows.model import Kind, Show, WorkflowError
from app.workflows.reasons.manifest import (
    Comparison,
    FileVanished,
    InvalidKey,
    KeyOutOfLimits,
    KeyType,
    MissingKey,
    NotAllowed,
    NotAName,
    NotATable,
    NotTables,
    UnknownKey,
    WrongKeyType,
)
from app.workflows.reasons.wrapped import InFile, PlainText
from app.workflows.task import NO_TASK, TASKS

S = TypeVar("S", bound=Struct)

Way = tuple[str, ...]
"""The path to a key through the tables of a file."""

OPTION = re.compile(r"[a-z0-9_-]{1,32}")
"""Names that Discord accepts for a command or an option; see `app.workflows.manifest.schema.NAME`."""

TYPES: dict[str, KeyType] = {
    "int | float | null": "number",
    "int | float": "number",
    "float": "number",
    "int": "integer",
    "int | str": "id",
    "str": "text",
    "bool": "boolean",
    "array": "list",
    "object": "table",
    "null": "nothing",
}
"""msgspec's names of types."""

MISSING = "Object missing required field"

EXPECTED = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<value>[^`]+)`(?: - at `\$(?P<at>.*)`)?")
INVALID = re.compile(r"Invalid enum value (?P<value>.+?)(?: - at `\$(?P<at>.*)`)?")
BOUND = re.compile(r"Expected `\w+` (?P<bound>.+?)(?: - at `\$(?P<at>.*)`)?")
ANY = re.compile(r".*?(?: - at `\$(?P<at>.*)`)?")

BOUNDS = re.compile(r"(of length )?(>=|<=|>|<) ([\d.]+)")
"""The texts of msgspec's errors."""

COMPARISONS: dict[str, Comparison] = {">=": "at_least", ">": "more_than", "<=": "at_most", "<": "less_than"}

ENUMS: dict[str, tuple[str, ...]] = {
    "kind": get_args(Kind),
    "show": get_args(Show),
    "result": ("image", "video", "audio", "text"),
    "task": (*TASKS, NO_TASK),
}
"""Keys with a fixed set of values."""


class _Wrong(Exception):
    """An error at a key: the path to the key, and what is wrong there."""

    def __init__(self, way: Way, reason: Reason) -> None:
        super().__init__(reason)
        self.way, self.reason = way, reason


class Source(Struct, frozen=True):
    """A parsed manifest and the text of its file; reasons name the file as `where`."""

    where: str
    text: str
    manifest: Manifest

    def error(self, way: Way, reason: Reason) -> WorkflowError:
        """Return an error about the value at a key, with its line."""
        return _at(self.where, self.text, way, reason)


def _at(where: str, text: str, way: Way, reason: Reason) -> WorkflowError:
    return WorkflowError(InFile(where, reason, line_of(text, way)))


def read_manifest(path: Path, where: str) -> Source:
    """Read and parse a manifest file. Raises `WorkflowError`."""
    try:
        text = read_text(path)
        if text is None:
            raise WorkflowError(InFile(where, FileVanished()))
        content = cast("dict[str, Json]", parse_toml(text))
    except TextFileError as error:
        raise WorkflowError(InFile(where, PlainText(error.sentence), error.line)) from error
    try:
        return Source(where, text, _manifest(content))
    except _Wrong as wrong:
        raise _at(where, text, wrong.way, wrong.reason) from None


def _manifest(content: dict[str, Json]) -> Manifest:
    """Convert the tables one by one, because msgspec does not say which of several tables has the mistake."""
    for path, table, shape in _tables(content):
        for key in table:
            if key not in shape.__struct_fields__:
                free = tuple(name for name in shape.__struct_fields__ if name not in table)
                raise _Wrong((*path, key), UnknownKey(key, free))
    slots = _named(content, "slots")
    presets = _named(content, "presets")
    manifest = _converted((), {**content, "slots": {}, "presets": {}}, Manifest)
    manifest.slots = {name: _converted(("slots", name), table, ManifestSlot) for name, table in slots.items()}
    manifest.presets = presets
    return manifest


def _tables(content: dict[str, Json]) -> Iterator[tuple[Way, dict[str, Json], type[Struct]]]:
    yield (), content, Manifest
    for name, slot in _named(content, "slots").items():
        yield ("slots", name), slot, ManifestSlot
        targets = slot.get("targets")
        for target in targets if isinstance(targets, list) else ():
            if isinstance(target, dict):
                yield ("slots", name, "targets"), target, ManifestTarget
    follow_ups = content.get("follow_ups")
    for table in follow_ups if isinstance(follow_ups, list) else ():
        if isinstance(table, dict):
            yield ("follow_ups",), table, FollowUp


def _named(content: dict[str, Json], key: str) -> dict[str, dict[str, Json]]:
    """Return the tables under a key. Raises `_Wrong` if one is not a table, or its name cannot name an option."""
    tables = content.get(key, {})
    if not isinstance(tables, dict):
        raise _Wrong((key,), NotTables(key))
    named: dict[str, dict[str, Json]] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise _Wrong((key, name), NotATable(f"{key}.{name}"))
        if not OPTION.fullmatch(name):
            raise _Wrong((key, name), NotAName(key, name))
        named[name] = table
    return named


def _converted(path: Way, table: dict[str, Json], shape: type[S]) -> S:
    try:
        return msgspec.convert(table, shape)
    except msgspec.ValidationError as error:
        raise _plainly(path, str(error)) from error


def _plainly(path: Way, text: str) -> _Wrong:
    """Convert the text of msgspec's error to a reason."""
    if text.startswith(MISSING):
        name = text.split("`")[1]
        missing = (*path, *_steps(text.partition("$")[2]))
        return _Wrong(missing, MissingKey(".".join(missing), name))
    for form in (EXPECTED, INVALID, BOUND, ANY):
        if (match := form.fullmatch(text)) is None:
            continue
        way = (*path, *_steps(match["at"]))
        key = ".".join(way)
        if form is EXPECTED:
            return _Wrong(way, WrongKeyType(key, TYPES.get(match["expected"], "other")))
        if form is INVALID:
            return _Wrong(way, NotAllowed(key, match["value"].strip("'"), ENUMS.get(way[-1], ())))
        if form is BOUND and (bound := BOUNDS.fullmatch(match["bound"])) is not None:
            is_length = bound[1] is not None
            return _Wrong(way, KeyOutOfLimits(key, COMPARISONS[bound[2]], float(bound[3]), is_length))
        return _Wrong(way, InvalidKey(key))
    return _Wrong(path, InvalidKey(""))


def _steps(at: str | None) -> list[str]:
    """Split a path such as `.slots[0].kind` into its keys, without the numbers."""
    return re.findall(r"\.([\w-]+)", at or "")
