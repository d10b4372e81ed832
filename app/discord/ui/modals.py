"""The form for a workflow's slots, and how to read a submitted one. Pure.

A form has five fields. The slots that people change most have one; all others keep their values, and the card of
settings has them all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import get_args

from msgspec.structs import replace

from app.config.settings import FORMATS
from app.discord.text import shorten
from app.discord.ui.components import Choice
from app.discord.ui.forms import (
    LONGEST_LABEL,
    LONGEST_TITLE,
    MOST_CHOICES,
    MOST_FIELDS,
    ChoiceField,
    Field,
    FileField,
    Form,
    TextField,
)
from app.discord.ui.options import PRESET
from app.discord.ui.slot_fields import AUTOMATIC, NOTHING_OFFERED, Offered, slot_field
from app.ports import Json
from app.service.reasons import NotAResultNumber, NotASetting, UnknownSetting, ValueMissing
from app.service.slot_values import current_value
from app.service.tasks.formats import sized
from app.service.values import missing_slots, preset
from app.texts.discord import forms as texts
from app.texts.discord.commands import which_result
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED, Show, Slot, WorkflowError
from app.workflows.parsing import NotMeant, sides
from app.workflows.reasons.values import NotAChoice, WrongType

SETTINGS = "+settings"
RESULT = "+result"
FORMAT = "+format"
"""Names of fields that are not slots: no slot's name begins with "+". `SETTINGS` is in forms of earlier versions, which
have lines of `name = value`; `FORMAT` stands for the slots `width` and `height`."""

SIDES = ("width", "height")

ALL: frozenset[Show] = frozenset(get_args(Show))
OFFERED: frozenset[Show] = frozenset({"command", "modal"})
"""`ALL` is every place where slots are shown; `OFFERED` are those that a new job asks for.

The rest (`show = "settings"`) can be set only by varying a job that exists.
"""

STRENGTHS = frozenset({"denoise", "strength", "factor"})
"""Names of slots that decide most about a picture which is made from another one."""


def form(
    workflow: Workflow,
    custom_id: str,
    values: Mapping[str, Json],
    *,
    results: int = 1,
    show: Collection[Show] = ALL,
    without: str = "",
    offered: Offered = NOTHING_OFFERED,
    files: Collection[str] = (),
    most: int = MOST_FIELDS,
) -> Form | None:
    """The form to fill in before a job is created, prefilled with `values`; None if there is nothing to ask.

    It has at most so many fields; what people change often comes first.

    `results` is the number of results to choose from; if it is more than one, the form asks which. It asks for the
    slots that are shown in one of the places `show`, except `without`, and for every required slot without a value; and
    for the slots for `files`. The servers have what is `offered`.
    """
    needed = missing_slots(workflow, values)
    slots = [
        slot
        for slot in workflow.slots
        if slot.name != without
        and (slot.name in files if slot.kind in UPLOADED else slot.show in show or slot in needed)
    ]
    needed_files = [slot for slot in slots if slot.kind in UPLOADED and slot.required and not values.get(slot.name)]
    if not any(slot.kind not in UPLOADED | {"seed"} for slot in slots) and results <= 1 and not needed_files:
        return None
    ranked = sorted(
        _fields(workflow, slots, values, offered, presets="command" in show),
        key=lambda field: _rank(field, workflow, {slot.name for slot in (*needed, *needed_files)}),
    )
    fields: list[Field] = [_which(results), *ranked] if results > 1 else ranked
    return Form(custom_id, shorten(workflow.title, LONGEST_TITLE), tuple(fields[:most]))


def _fields(
    workflow: Workflow, slots: list[Slot], values: Mapping[str, Json], offered: Offered, *, presets: bool
) -> list[Field]:
    """A field for each slot, with one for both sides of a picture."""
    by_name = {slot.name: slot for slot in slots}
    shape = format_field(workflow, by_name, values) if by_name.keys() >= set(SIDES) else None
    fields: list[Field] = [
        slot_field(workflow, slot, values, offered) for slot in slots if shape is None or slot.name not in SIDES
    ]
    if shape is not None:
        fields.append(shape)
    if presets and has_presets(workflow):
        fields.append(preset_field(workflow))
    return fields


def preset_field(workflow: Workflow) -> Field:
    """The field for a preset, with none chosen."""
    names = tuple(workflow.presets)
    if len(names) > MOST_CHOICES or any(len(name) > LONGEST_LABEL for name in names):
        return TextField(name=PRESET, label=texts.PRESET, description=texts.PRESET_DESCRIPTION, most=100)
    choices = tuple(Choice(name, name) for name in names)
    return ChoiceField(name=PRESET, label=texts.PRESET, choices=choices, description=texts.PRESET_DESCRIPTION)


def format_field(workflow: Workflow, slots: Mapping[str, Slot], values: Mapping[str, Json]) -> ChoiceField | None:
    """One field for the width and the height, with a choice for each format, and for the present sides."""
    current = _sides(workflow, slots["width"], slots["height"], values)
    if current is None:
        return None
    choices: dict[str, Choice] = {}
    for name in FORMATS:
        match sized(workflow, name, _model(workflow, values)):
            case {"width": int(width), "height": int(height)}:
                value = side_texts(width, height)
                choices.setdefault(value, Choice(texts.format_label(name, width, height), value))
            case _:
                continue
    value = side_texts(*current)
    if value not in choices:
        choices = {value: Choice(texts.current_format(*current), value), **choices}
    return ChoiceField(
        name=FORMAT, label=texts.FORMAT, choices=tuple(choices.values()), value=value, required=len(choices) > 1
    )


def side_texts(width: int, height: int) -> str:
    """Two sides as a value: `1024x768`."""
    return f"{width}x{height}"


def _model(workflow: Workflow, values: Mapping[str, Json]) -> str:
    """The file of the model that somebody has chosen; "" for the workflow's own."""
    return next(
        (str(values[slot.name]) for slot in workflow.slots if slot.kind == "model" and values.get(slot.name)), ""
    )


def _sides(workflow: Workflow, width: Slot, height: Slot, values: Mapping[str, Json]) -> tuple[int, int] | None:
    """Both sides as they apply if nothing is changed; None if they are not known."""
    present = [
        value if (value := values.get(slot.name, slot.default)) is not None else current_value(slot, workflow.graph)
        for slot in (width, height)
    ]
    match present:
        case [int(across), int(down)] if across > 0 < down:
            return across, down
        case _:
            return None


def _which(results: int) -> Field:
    label = shorten(which_result(results), LONGEST_LABEL)
    if results > MOST_CHOICES:
        return TextField(name=RESULT, label=label, value="1", required=True, most=4)
    choices = tuple(Choice(texts.result_number(number), str(number)) for number in range(1, results + 1))
    return ChoiceField(name=RESULT, label=texts.WHICH_RESULT, choices=choices, value="1", required=True)


def _rank(field: Field, workflow: Workflow, needed: Collection[str]) -> tuple[int, bool]:
    """The place of a field: what must be given, then what people change most. The sort keeps the order of equals."""
    slot = next((slot for slot in workflow.slots if slot.name == field.name), None)
    first = field.name != "prompt"
    if field.name in needed or (slot is not None and slot.required and slot.kind == "text"):
        return 0, first
    if slot is None:
        # A preset and the shape of the picture.
        return 5 if field.name == FORMAT else 4, first
    match slot.kind:
        case "text":
            return 1, first
        case "image" | "video" | "audio":
            return 2, first
        case "model":
            return 4, first
        case "size":
            return 5, first
        case "seed":
            return 6, first
        case "integer" | "number":
            return 3 if slot.name in STRENGTHS else 7, first
        case _:
            return 7, first


def refilled(form: Form, fields: Mapping[str, str]) -> Form:
    """The form with what was filled in earlier, as far as it still has the fields and the choices."""
    return replace(form, fields=tuple(_refilled(field, fields.get(field.name)) for field in form.fields))


def _refilled(field: Field, value: str | None) -> Field:
    match field:
        case FileField():
            return field
        case ChoiceField() if value is None or all(choice.value != value for choice in field.choices):
            return field
        case _:
            return field if value is None else replace(field, value=value)


def answers(
    workflow: Workflow, fields: Mapping[str, str], asked: Form | None = None, *, chosen: str = ""
) -> tuple[dict[str, Json], int]:
    """Read a submitted form: values by slot, and the number of the result, from 1. Raises `WorkflowError`.

    With `asked`, a field that must be filled in and is not, and a choice that is not offered, are refused. A preset,
    named in the form or `chosen` earlier, overrides the values prefilled in `asked`, but not the values that the person
    changed.
    """
    slots = {slot.name: slot for slot in workflow.slots if slot.kind not in UPLOADED}
    # A form of an earlier version has other fields.
    if asked is not None and SETTINGS not in fields:
        _check_fields(workflow, asked, fields)
    uploads = {slot.name for slot in workflow.slots if slot.kind in UPLOADED}
    filled_in = {name: text for name, text in _pairs(fields).items() if name not in uploads}
    if has_presets(workflow):
        chosen = filled_in.pop(PRESET, "") or chosen
    values: dict[str, Json] = {}
    text_by_slot: dict[str, str] = {}
    for name, text in filled_in.items():
        slot = slots.get(name) or next((slot for slot in slots.values() if slot.title.lower() == name.lower()), None)
        if slot is None:
            raise WorkflowError(UnknownSetting(workflow.title, name, tuple(slots)))
        text_by_slot[slot.name] = text
        if text and not (slot.kind == "model" and text == AUTOMATIC):
            values[slot.name] = slot.read(text)
    prefilled = _pairs({field.name: field.value for field in asked.fields}) if asked is not None else {}
    for name, value in preset(workflow, chosen).items():
        if name not in values or text_by_slot[name] == prefilled.get(name):
            values[name] = value
    number = fields.get(RESULT, "1").strip()
    if not (number.isascii() and number.isdecimal()) or int(number) < 1:
        raise WorkflowError(NotAResultNumber(number))
    return values, int(number)


def unasked(values: Mapping[str, Json], fields: Mapping[str, str]) -> dict[str, Json]:
    """The values of the slots that a submitted form has no field for; none if it is of an earlier version."""
    if SETTINGS in fields:
        return {}
    asked = {*fields, *(SIDES if FORMAT in fields else ())}
    return {name: value for name, value in values.items() if name not in asked}


def _check_fields(workflow: Workflow, asked: Form, fields: Mapping[str, str]) -> None:
    for field in asked.fields:
        value = fields.get(field.name, "").strip()
        if isinstance(field, FileField):
            continue
        # A choice that is missing keeps its value: the workflow may have got it since the form was opened.
        if not value and field.required and (field.name in fields or not isinstance(field, ChoiceField)):
            raise WorkflowError(ValueMissing(workflow.title, field.label))
        if value and isinstance(field, ChoiceField) and field.name != FORMAT:
            choices = tuple(choice.value for choice in field.choices)
            if value not in choices:
                raise WorkflowError(NotAChoice(field.label, value, choices))


def has_presets(workflow: Workflow) -> bool:
    """Whether the name `preset` means a preset and not a slot."""
    return bool(workflow.presets) and all(slot.name != PRESET for slot in workflow.slots)


def _pairs(fields: Mapping[str, str]) -> dict[str, str]:
    """The text of each slot or setting that was filled in, by name."""
    pairs: dict[str, str] = {}
    for name, text in fields.items():
        if name == SETTINGS:
            pairs.update(_lines(text.splitlines()))
        elif name == FORMAT:
            pairs.update(zip(SIDES, _side_texts(text), strict=True))
        elif name != RESULT:
            pairs[name] = text.strip()
    return pairs


def _side_texts(text: str) -> tuple[str, str]:
    if not text.strip():
        return "", ""
    try:
        width, height = sides(text)
    except NotMeant as error:
        raise WorkflowError(WrongType(texts.FORMAT, error.expected, text)) from None
    return str(width), str(height)


def _lines(lines: Iterable[str]) -> dict[str, str]:
    """The pairs in lines of `name = value`."""
    pairs: dict[str, str] = {}
    for line in filter(str.strip, lines):
        name, equals, value = line.partition("=")
        if not equals:
            raise WorkflowError(NotASetting(line.strip()))
        pairs[name.strip()] = value.strip()
    return pairs
