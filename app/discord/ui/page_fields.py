"""The fields of a form as the page shows them: all at once, with lists of any length. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from app.discord.ui.forms import ChoiceField, Field, FileField, Form, SwitchField, TextField
from app.discord.ui.modals import RESULT
from app.discord.ui.slot_fields import Offered, choices_of
from app.service.page_actions import FieldKind, PageField
from app.texts.discord.forms import AUTOMATIC
from app.workflows.load import Workflow
from app.workflows.model import Kind, Slot

NUMBERS: frozenset[Kind] = frozenset({"integer", "number"})
"""Kinds of slots whose fields take numbers. A seed is none: browsers round large numbers."""

EVERY_FIELD = 1000
"""More fields than any workflow has slots."""


def page_fields(form: Form, workflow: Workflow, offered: Offered) -> tuple[PageField, ...]:
    """The fields of a form, without those for files, which stay as they are. The servers have what is `offered`."""
    return tuple(_fields(form, {slot.name: slot for slot in workflow.slots}, offered))


def needs_file(form: Form) -> bool:
    """Whether a file must be given, which the page does not take."""
    return any(isinstance(field, FileField) and field.required for field in form.fields)


def _fields(form: Form, slots: dict[str, Slot], offered: Offered) -> Iterator[PageField]:
    for field in form.fields:
        if not isinstance(field, FileField):
            yield _field(field, slots.get(field.name), offered)


def _field(field: TextField | ChoiceField | SwitchField, slot: Slot | None, offered: Offered) -> PageField:
    match field:
        case TextField():
            if slot is not None and slot.kind in {"choice", "model"} and (listed := _listed(field, slot, offered)):
                return _choice(field, listed)
            kind: FieldKind = "long" if field.long else "text"
            if field.name == RESULT or (slot is not None and slot.kind in NUMBERS):
                kind = "number"
            return PageField(
                name=field.name,
                label=field.label,
                kind=kind,
                value=field.value,
                hint=field.description or field.hint,
                required=field.required,
                most=field.most,
            )
        case ChoiceField():
            return _choice(field, tuple((choice.value, choice.label) for choice in field.choices))
        case SwitchField():
            return PageField(name=field.name, label=field.label, kind="yes", value=field.value, hint=field.description)


def _choice(field: TextField | ChoiceField, choices: tuple[tuple[str, str], ...]) -> PageField:
    return PageField(
        name=field.name,
        label=field.label,
        kind="choice",
        value=field.value,
        choices=choices,
        hint=field.description,
        required=field.required,
    )


def _listed(field: Field, slot: Slot, offered: Offered) -> tuple[tuple[str, str], ...]:
    """All choices of a slot that has too many for a list in Discord; none if nobody knows them."""
    values = [value for value in dict.fromkeys(slot.choices or offered.get(slot.name, ())) if value]
    if not values:
        return ()
    first = [] if field.required else [("", AUTOMATIC if slot.kind == "model" else "")]
    # What stands there keeps its value, although no server has it now.
    gone = [(field.value, field.value)] if field.value and field.value not in values else []
    return (*first, *gone, *((choice.value, choice.label) for choice in choices_of(slot, values)))
