"""A submitted form: what was filled in, out of the interaction's JSON, from wherever that came. Pure.

What arrives is not trusted: a program may send anything in a person's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import cast

from msgspec import Struct

from app.discord.ui.forms import LONGEST_CHOICE, MOST_CHARACTERS, MOST_CHOICES, MOST_FIELDS, OFF, ON
from app.service.requests import AttachedFile

MODAL_SUBMIT = 5
"""Discord's number for the interaction."""


class Component(IntEnum):
    """Discord's numbers for what is in a form: https://discord.com/developers/docs/components/reference"""

    ROW = 1
    STRING_SELECT = 3
    TEXT_INPUT = 4
    TEXT_DISPLAY = 10
    LABEL = 18
    FILE_UPLOAD = 19
    RADIO_GROUP = 21
    CHECKBOX_GROUP = 22
    CHECKBOX = 23


LONGEST_NAME = 100
"""Characters of the id of a field."""

LONGEST_URL = 2048


class Submission(Struct, frozen=True):
    """What was filled in, by the name of the field, and the files; `typed` are the texts, to give back.

    A choice is its value, "" for none; of several that were ticked, each has a line. A switch is "true" or "false".
    `damaged` says that some of it is not what a form of this bot can send.
    """

    fields: dict[str, str] = {}
    files: tuple[AttachedFile, ...] = ()
    typed: str = ""
    damaged: bool = False


class _Unreadable(Exception):
    """A part of a submission is not what Discord sends."""


def read_submission(interaction: object) -> Submission | None:
    """Read a submitted form; None if the interaction is another one."""
    payload = _object(interaction)
    return _read(_object(payload.get("data"))) if payload.get("type") == MODAL_SUBMIT else None


def _read(data: Mapping[str, object]) -> Submission:
    fields: dict[str, str] = {}
    files: list[AttachedFile] = []
    texts: list[str] = []
    damaged = False
    try:
        for component in _components(data.get("components")):
            name, kind = component.get("custom_id"), component.get("type")
            if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME or name in fields:
                raise _Unreadable
            if len(fields) == MOST_FIELDS:
                raise _Unreadable
            if kind == Component.FILE_UPLOAD:
                files += [_file(name, ident, data.get("resolved")) for ident in _values(component)]
                fields[name] = ""
                continue
            fields[name] = _value(kind, component)
            if kind == Component.TEXT_INPUT and fields[name].strip():
                texts.append(fields[name])
    except _Unreadable:
        damaged = True
    return Submission(fields, tuple(files), "\n".join(texts), damaged)


def _components(layouts: object) -> Iterator[Mapping[str, object]]:
    """The inputs in rows and labels. Raises `_Unreadable`."""
    if not isinstance(layouts, list):
        raise _Unreadable
    for layout in map(_object, cast("list[object]", layouts)):
        inside = layout.get("components")
        match layout.get("type"):
            case Component.ROW if isinstance(inside, list):
                yield from map(_object, cast("list[object]", inside))
            case Component.LABEL:
                yield _object(layout.get("component"))
            case Component.TEXT_DISPLAY:
                continue
            case _:
                raise _Unreadable


def _value(kind: object, component: Mapping[str, object]) -> str:
    value = component.get("value")
    match kind, value:
        case (Component.TEXT_INPUT, str()) if len(value) <= MOST_CHARACTERS:
            return value
        case (Component.RADIO_GROUP, str()) if len(value) <= LONGEST_CHOICE:
            return value
        case (Component.RADIO_GROUP, None):
            return ""
        case (Component.CHECKBOX, bool()):
            return ON if value else OFF
        case (Component.STRING_SELECT | Component.CHECKBOX_GROUP, None):
            return "\n".join(_values(component))
        case _:
            raise _Unreadable


def _values(component: Mapping[str, object]) -> list[str]:
    values = component.get("values")
    if not isinstance(values, list):
        raise _Unreadable
    texts = [value for value in cast("list[object]", values) if isinstance(value, str) and len(value) <= LONGEST_CHOICE]
    if len(texts) != len(cast("list[object]", values)) or len(texts) > MOST_CHOICES:
        raise _Unreadable
    return texts


def _file(name: str, ident: str, resolved: object) -> AttachedFile:
    """A file that was uploaded, as Discord describes it. Its address and its size are checked before it is fetched."""
    file = _object(_object(_object(resolved).get("attachments")).get(ident))
    match file.get("url"), file.get("filename"), file.get("size"), file.get("content_type"):
        case str(url), str(filename), int(size), kind if len(url) <= LONGEST_URL:
            return AttachedFile(name, url, filename, size, kind if isinstance(kind, str) else "")
        case _:
            raise _Unreadable


def _object(value: object) -> Mapping[str, object]:
    """A JSON object; empty if it is another value."""
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}
