"""Assigns the values of a node's fields to their names: the editor saves a list, in the order of display."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from app.ports import Json
from app.workflows.editor_format.parser import CONTROLS, Node
from app.workflows.model import WorkflowError
from app.workflows.nodes.definitions import OWN_CHOICES, Definition, Input
from app.workflows.reasons.editor_format import ValuesDoNotFit

BUTTONS = frozenset({"upload", "videopreview", "audioUI", "choose video to upload", "choose file to upload"})
"""Fields that only the editor has: they are saved, but never sent."""

RECORDED = frozenset({"WEBCAM", "AUDIO_RECORD"})
"""Types whose value the browser records when it sends the workflow, so that no file contains it."""

VIEWED = frozenset({"LOAD_3D", "LOAD_3D_ANIMATION"})
"""Types whose value the browser renders from a 3D model: pictures of it, and where the camera was."""

VIEW_BUTTONS = ("upload3dmodel", "uploadExtraResources", "clear")
"""The buttons around such a view, which are saved before its value."""

COMPARED = "IMAGECOMPARE"
"""The type of a view of two pictures. The editor sends its value, but does not save it."""

BOX = "BOUNDING_BOX"
"""The type of a rectangle, after which its four numbers are saved once more."""

EXAMPLE = "example.png"
"""A picture that ComfyUI brings along in its input folder."""


def field_values(node: Node, definition: Definition) -> dict[str, Json]:
    """Return the values of a node's fields, connected ones included. Raises `WorkflowError` if they do not fit."""
    if isinstance(node.values, dict):
        values = _by_name(node.values, definition)
    else:
        values = _in_a_row(node, definition, node.values)
        if node.named and _misfit(values, definition) is not None:
            # The server has other fields than the editor that saved the row.
            values = _by_name(node.named, definition)
    if (misfit := _misfit(values, definition)) is not None:
        raise WorkflowError(ValuesDoNotFit(node.name, misfit, str(values[misfit])))
    return values


def _misfit(values: dict[str, Json], definition: Definition) -> str | None:
    """Return the first field whose value cannot belong to it."""
    for name, value in values.items():
        if (known := definition.inputs.get(name)) is not None and not _fits(known, value):
            return name
    return None


def _by_name(values: dict[str, Json], definition: Definition) -> dict[str, Json]:
    """Assign values that are saved by name, as some packs do.

    They may contain fields that depend on others, which the server does not list.
    """
    assigned: dict[str, Json] = {}
    for name, value in values.items():
        is_sent = not (name in BUTTONS or name.startswith("control_") or isinstance(value, (list, dict)))
        if is_sent or name in definition.inputs:
            assigned[name] = value
    for known in definition.inputs.values():
        if known.is_widget:
            assigned.setdefault(known.name, known.fallback)
    return assigned


def _in_a_row(node: Node, definition: Definition, values: list[Json]) -> dict[str, Json]:
    own = {socket.widget for socket in node.inputs if socket.widget}
    fields = [
        known
        for known in definition.inputs.values()
        if known.is_widget or known.type in VIEWED or (known.name in own and not known.options.get("forceInput"))
    ]
    assigned: dict[str, Json] = {}
    remaining = deque(_without_forced(definition, own, values))
    _take(fields, remaining, assigned, "")
    if node.type == OWN_CHOICES:
        _take_choices(remaining, assigned)
    for known in fields:
        if known.type in VIEWED:
            assigned[known.name] = _view(assigned[known.name], node.camera)
    return assigned


def _take_choices(remaining: deque[Json], assigned: dict[str, Json]) -> None:
    """Take the choices that a person wrote; as in the editor, the number of the chosen one is counted anew."""
    if remaining and isinstance(remaining[0], int):
        remaining.popleft()
    choices = list(remaining)
    remaining.clear()
    assigned["index"] = next((number for number, value in enumerate(choices) if value == assigned.get("choice")), -1)
    assigned.update({f"option{number}": value for number, value in enumerate(choices, 1)})


def _view(value: Json, camera: Json) -> Json:
    """Return the value of a view of a 3D model without what only a browser can render."""
    if isinstance(value, dict):
        return value
    return {"image": EXAMPLE, "mask": EXAMPLE, "normal": EXAMPLE, "camera_info": camera, "recording": ""}


def _without_forced(definition: Definition, own: set[str], values: list[Json]) -> list[Json]:
    """Remove the values of inputs that are always sockets, which editors before 1.16 also saved.

    Such files are recognised by the number of values.
    """
    forced: list[bool] = []
    for known in definition.inputs.values():
        if known.is_widget or known.name in own or known.options.get("forceInput"):
            is_forced = bool(known.options.get("forceInput"))
            forced += [is_forced, False] if known.is_controlled else [is_forced]
    if any(forced) and len(forced) == len(values):
        return [value for value, is_forced in zip(values, forced, strict=True) if not is_forced]
    return values


def _take(fields: Iterable[Input], remaining: deque[Json], assigned: dict[str, Json], prefix: str) -> None:
    for field in fields:
        if field.type == COMPARED:
            assigned[prefix + field.name] = ["", ""]
            continue
        if field.type in VIEWED:
            while remaining and remaining[0] in VIEW_BUTTONS:
                remaining.popleft()
            is_saved = bool(remaining) and not isinstance(remaining[0], int)
            assigned[prefix + field.name] = remaining.popleft() if is_saved else None
            continue
        value = remaining.popleft() if remaining else field.fallback
        assigned[prefix + field.name] = value
        if field.type == BOX and isinstance(value, dict):
            numbers = list(remaining)[:4]
            if numbers == [value.get(side) for side in ("x", "y", "width", "height")]:
                for _ in numbers:
                    remaining.popleft()
        if field.is_controlled and remaining and _is_control(remaining[0]):
            remaining.popleft()
            if field.type == "COMBO" and remaining:
                # A list has a filter field after the control field.
                remaining.popleft()
        _take(
            (known for known in field.branch(value) if known.is_widget), remaining, assigned, f"{prefix}{field.name}."
        )


def _is_control(value: Json) -> bool:
    """Return whether a saved value belongs to the control field.

    The editors of early 2023 saved a boolean there; files that programs write often have null.
    """
    return value is None or isinstance(value, bool) or value in CONTROLS


def _fits(field: Input, value: Json) -> bool:
    """Return whether a value can belong to a field; finds lists in which the values have shifted."""
    match field.widget_type:
        case "INT" | "FLOAT" if isinstance(value, str):
            try:
                float(value)
            except ValueError:
                return False
            return True
        case "INT" | "FLOAT":
            return value is None or isinstance(value, (int, float))
        case "BOOLEAN":
            return value is None or isinstance(value, (bool, int)) or value in ("true", "false")
        case "STRING":
            return not isinstance(value, (list, dict))
        case _:
            return True
