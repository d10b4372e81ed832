"""Forms for a workflow's slots, and how to read a submitted form. Pure.

Discord's forms have five text fields. Long texts get their own fields; everything else shares one field of lines,
`name = value`, so that no workflow has too many slots.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import get_args

from msgspec.structs import replace

from app.discord.text import current_value, format_value, shorten
from app.discord.ui.components import Field, Form
from app.discord.ui.options import PRESET
from app.ports import Json
from app.service.reasons import NotAResultNumber, NotASetting, UnknownSetting
from app.service.values import LONGEST_TEXT, missing_slots, preset
from app.texts.commands import FORM_SETTINGS, which_result
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED, Show, Slot, WorkflowError

MOST_FIELDS = 5
LONGEST_TITLE = 45
"""Discord's limits; labels have the same limit as titles."""

SETTINGS = "+settings"
RESULT = "+result"
"""Names of fields that are not slots: no slot's name begins with "+"."""

ALL: frozenset[Show] = frozenset(get_args(Show))
OFFERED: frozenset[Show] = frozenset({"command", "modal"})
"""`ALL` is every place where slots are shown; `OFFERED` are those that a new job asks for.

The rest (`show = "settings"`) can be set only by varying a job that exists.
"""


def form(
    workflow: Workflow,
    custom_id: str,
    values: Mapping[str, Json],
    *,
    results: int = 1,
    show: Collection[Show] = ALL,
    without: str = "",
) -> Form | None:
    """The form to fill in before a job is created, prefilled with `values`; None if there is nothing to ask.

    `results` is the number of results to choose from; if it is more than one, the form asks which. It asks for the
    slots that are shown in one of the places `show`, except `without`, and for every required slot without a value.
    """
    needed = missing_slots(workflow, values)
    slots = [
        slot
        for slot in workflow.slots
        if slot.kind not in UPLOADED and slot.name != without and (slot.show in show or slot in needed)
    ]
    if not any(slot.kind != "seed" for slot in slots) and results <= 1:
        return None
    fields: list[Field] = []
    if results > 1:
        fields.append(Field(RESULT, which_result(results), "1", required=True, most=4))
    texts = [slot for slot in slots if slot.kind == "text"]
    texts.sort(key=lambda slot: (not slot.required, slot.name != "prompt"))
    own = texts[: MOST_FIELDS - len(fields) - 1]
    for slot in own:
        value = _value_text(workflow, slot, values)
        label = shorten(slot.title, LONGEST_TITLE)
        fields.append(Field(slot.name, label, value[:LONGEST_TEXT], slot.required, long=True, most=LONGEST_TEXT))
    lines = [f"{PRESET} ="] if _has_presets(workflow) and "command" in show else []
    lines += [
        f"{slot.name} = {' '.join(_value_text(workflow, slot, values).split())}" for slot in slots if slot not in own
    ]
    while sum(map(len, lines)) + len(lines) > LONGEST_TEXT:
        # A line that is dropped leaves its slot at the workflow's default.
        lines.pop()
    if lines:
        fields.append(Field(SETTINGS, FORM_SETTINGS, "\n".join(lines), long=True))
    return Form(custom_id, shorten(workflow.title, LONGEST_TITLE), tuple(fields))


def refilled(form: Form, fields: Mapping[str, str]) -> Form:
    """The form with what was filled in earlier, as far as it still has the fields."""
    return replace(
        form, fields=tuple(replace(field, value=fields.get(field.name, field.value)) for field in form.fields)
    )


def answers(
    workflow: Workflow, fields: Mapping[str, str], asked: Form | None = None, *, chosen: str = ""
) -> tuple[dict[str, Json], int]:
    """Read a submitted form: values by slot, and the number of the result, from 1. Raises `WorkflowError`.

    A preset, named in the form or `chosen` earlier, overrides the values prefilled in `asked`, but not the values that
    the person changed.
    """
    slots = {slot.name: slot for slot in workflow.slots if slot.kind not in UPLOADED}
    filled_in = _pairs(fields)
    if _has_presets(workflow):
        chosen = filled_in.pop(PRESET, "") or chosen
    values: dict[str, Json] = {}
    text_by_slot: dict[str, str] = {}
    for name, text in filled_in.items():
        slot = slots.get(name) or next((slot for slot in slots.values() if slot.title.lower() == name.lower()), None)
        if slot is None:
            raise WorkflowError(UnknownSetting(workflow.title, name, tuple(slots)))
        text_by_slot[slot.name] = text
        if text:
            values[slot.name] = slot.read(text)
    prefilled = _pairs({field.name: field.value for field in asked.fields}) if asked is not None else {}
    for name, value in preset(workflow, chosen).items():
        if name not in values or text_by_slot[name] == prefilled.get(name):
            values[name] = value
    number = fields.get(RESULT, "1").strip()
    if not (number.isascii() and number.isdecimal()) or int(number) < 1:
        raise WorkflowError(NotAResultNumber(number))
    return values, int(number)


def typed(fields: Mapping[str, str]) -> str:
    """Everything that was filled in, texts first, to give back when the form cannot be used."""
    ordered = sorted(fields, key=lambda name: name.startswith("+"))
    return "\n".join(fields[name] for name in ordered if name != RESULT and fields[name].strip())


def _has_presets(workflow: Workflow) -> bool:
    """Whether the name `preset` means a preset and not a slot."""
    return bool(workflow.presets) and all(slot.name != PRESET for slot in workflow.slots)


def _pairs(fields: Mapping[str, str]) -> dict[str, str]:
    """The text of each slot or setting that was filled in, by name."""
    pairs: dict[str, str] = {}
    for name, text in fields.items():
        if name == SETTINGS:
            pairs.update(_line(line) for line in text.splitlines() if line.strip())
        elif name != RESULT:
            pairs[name] = text.strip()
    return pairs


def _line(line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals:
        raise WorkflowError(NotASetting(line.strip()))
    return name.strip(), value.strip()


def _value_text(workflow: Workflow, slot: Slot, values: Mapping[str, Json]) -> str:
    """The value that applies if nothing is changed, as text."""
    value = values.get(slot.name, slot.default)
    if value is None and slot.kind not in {"seed", "model"} and not slot.required:
        value = current_value(slot, workflow.graph)
    return format_value(slot, value)
