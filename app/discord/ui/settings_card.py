"""The card on which a person sets every slot of a workflow, and the small forms that its buttons open. Pure.

A form has five fields and cannot open another one. So the card has a select for what has few choices, and for each
group of other slots a button that opens a form for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from app.discord import custom_id
from app.discord.text import escape, shorten
from app.discord.ui.components import (
    INK,
    MOST_COMPONENTS,
    MOST_TEXT,
    Block,
    Button,
    Card,
    Choice,
    Line,
    Select,
    Text,
    rows,
    weight,
)
from app.discord.ui.forms import (
    LONGEST_CHOICE,
    LONGEST_LABEL,
    LONGEST_TITLE,
    MOST_CHOICES,
    MOST_FIELDS,
    ChoiceField,
    Field,
    Form,
)
from app.discord.ui.modals import FORMAT, answers, format_field, has_presets, unasked
from app.discord.ui.options import PRESET
from app.discord.ui.slot_fields import Offered, choices_of, shown_choices, slot_field, value_text
from app.ports import Json
from app.service.reasons import OneChoiceOnly
from app.service.requests import AttachedFile
from app.service.values import preset
from app.texts.discord import settings_card as texts
from app.texts.discord.forms import SEED_DESCRIPTION
from app.texts.model_names import model_name
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED, Kind, Slot, WorkflowError
from app.workflows.reasons.values import NotAChoice

PICK, GROUP, RUN, SAVE, DISCARD = "pick", "group", "run", "save", "discard"
"""Verbs of the card's custom ids, which are about a draft."""

MOST_SELECTS = 4
"""Selects on the card: it has forty components in all. Further ones are fields of forms."""

MOST_GROUPS = 20
"""Groups of slots, four rows of buttons. A workflow with more slots than they hold has those at the end left out."""

LONGEST_VALUES = (300, 100, 25)
"""Characters of a value on the card: the first of these with which Discord takes the whole card."""

LONGEST_NAME = 40
"""Characters of a slot's name that fits into the custom id of a select, beside the id of a draft."""

MEASURES = frozenset(
    {"width", "height", "count", "frames", "length", "seconds", "left", "right", "top", "bottom", "factor", "margin"}
)
"""Names of slots that say how large or how many; the other numbers say how it is made."""

NUMBERS: frozenset[Kind] = frozenset({"integer", "number", "seed", "boolean", "size", "choice", "model"})
"""Kinds of slots that share forms."""

PART = "+"
"""Begins the name of a field that has a part of a list which is too long for one field: `+2.sampler`."""


class Group(Struct, frozen=True):
    """Slots that one button opens a form for, at most `MOST_FIELDS` fields."""

    title: str
    slots: tuple[Slot, ...]


def groups(workflow: Workflow, offered: Offered) -> list[Group]:
    """All slots that have no select on the card, in groups."""
    chosen = {slot.name for slot in _selected(workflow, offered)}
    slots = [slot for slot in workflow.slots if slot.name not in chosen]
    long = [slot for slot in slots if len(_parts(slot, offered)) > 1 or slot.kind == "lora"]
    others = [slot for slot in slots if slot not in long]
    several = [
        (texts.TEXTS, [slot for slot in others if slot.kind == "text"]),
        (texts.FILES, [slot for slot in others if slot.kind in UPLOADED]),
        (texts.MEASURES, [slot for slot in others if slot.kind in NUMBERS and _measures(slot)]),
        (texts.DETAILS, [slot for slot in others if slot.kind in NUMBERS and not _measures(slot)]),
    ]
    made = [Group(title, chunk) for title, members in several for chunk in _chunks(members)]
    made += [Group(slot.title, (slot,)) for slot in long]
    return made[:MOST_GROUPS]


def _measures(slot: Slot) -> bool:
    return slot.name in MEASURES or slot.kind == "size"


def _chunks(slots: Sequence[Slot]) -> Iterator[tuple[Slot, ...]]:
    for start in range(0, len(slots), MOST_FIELDS):
        yield tuple(slots[start : start + MOST_FIELDS])


def _selected(workflow: Workflow, offered: Offered) -> list[Slot]:
    """The slots that have a select on the card."""
    room = MOST_SELECTS - _has_format(workflow) - _has_preset_select(workflow)
    few = [
        slot
        for slot in workflow.slots
        if slot.kind in {"model", "choice"} and len(slot.name) <= LONGEST_NAME and len(shown_choices(slot, offered)) > 1
    ]
    return few[:room]


def _has_format(workflow: Workflow) -> bool:
    return {"width", "height"} <= {slot.name for slot in workflow.slots}


def _has_preset_select(workflow: Workflow) -> bool:
    names = list(workflow.presets)
    return has_presets(workflow) and len(names) <= MOST_CHOICES and all(len(name) <= LONGEST_CHOICE for name in names)


def settings_card(
    workflow: Workflow,
    draft_id: str,
    values: Mapping[str, Json],
    files: Sequence[AttachedFile],
    offered: Offered,
    *,
    edits: bool,
    note: str = "",
) -> Card:
    """The card of a draft with these values and new files; if it `edits` a waiting job, its last button saves them."""
    heading = f"### {texts.heading(escape(workflow.title))}\n-# {texts.EDIT_HINT if edits else texts.RUN_HINT}"
    made = groups(workflow, offered)
    last = [
        Button(texts.SAVE if edits else texts.RUN, custom_id.write(SAVE if edits else RUN, draft_id), "primary"),
        Button(texts.DISCARD, custom_id.write(DISCARD, draft_id)),
    ]
    selects = _selects(workflow, draft_id, values, offered)
    end: list[Block] = [*selects, *([Text(note)] if note else []), *rows(last)]
    for longest in LONGEST_VALUES:
        lines = [
            Line(_values(workflow, group, values, files, longest), _button(draft_id, number, group))
            for number, group in enumerate(made, 1)
        ]
        card = Card((Text(heading), *lines, *end), INK)
        written = len(heading) + len(note) + sum(len(line.text) for line in lines)
        if weight(card) <= MOST_COMPONENTS and written <= MOST_TEXT:
            return card
    buttons = [_button(draft_id, number, group) for number, group in enumerate(made, 1)]
    return Card((Text(heading), *rows(buttons), *end), INK)


def _button(draft_id: str, number: int, group: Group) -> Button:
    """The button that opens the form of a group."""
    label = texts.change(shorten(group.title, LONGEST_LABEL - 2))
    return Button(label, custom_id.write(GROUP, draft_id, number=number))


def _values(
    workflow: Workflow, group: Group, values: Mapping[str, Json], files: Sequence[AttachedFile], longest: int
) -> str:
    """What a group's slots are now."""
    shown = [
        f"**{escape(shorten(slot.title, LONGEST_LABEL))}** {_shown(workflow, slot, values, files, longest)}"
        for slot in group.slots
    ]
    return ("\n" if group.slots[0].kind == "text" else " · ").join(shown)


def _shown(
    workflow: Workflow, slot: Slot, values: Mapping[str, Json], files: Sequence[AttachedFile], longest: int
) -> str:
    if slot.kind in UPLOADED:
        new = next((file for file in reversed(files) if file.slot == slot.name), None)
        if new is not None:
            return escape(shorten(new.name, longest))
        return texts.KEPT if values.get(slot.name) else texts.NO_FILE
    value = " ".join(value_text(workflow, slot, values).split())
    if not value:
        return texts.NEW_SEED if slot.kind == "seed" else texts.NOTHING
    if slot.kind in {"model", "lora"} and ":" not in value:
        value = model_name(value) or value
    return escape(shorten(value, longest))


def _selects(workflow: Workflow, draft_id: str, values: Mapping[str, Json], offered: Offered) -> Iterator[Select]:
    if _has_preset_select(workflow):
        choices = tuple(Choice(name, name) for name in workflow.presets)
        yield Select(custom_id.write(PICK, draft_id, PRESET), texts.CHOOSE_PRESET, choices)
    if _has_format(workflow) and (field := _format(workflow, values)) is not None:
        yield Select(custom_id.write(PICK, draft_id, FORMAT), field.label, _named(field), field.value)
    for slot in _selected(workflow, offered):
        field = slot_field(workflow, slot, values, offered)
        if isinstance(field, ChoiceField):
            placeholder = shorten(f"{slot.title}: {field.description}" if field.description else slot.title, 100)
            yield Select(custom_id.write(PICK, draft_id, slot.name), placeholder, _named(field), field.value)


def _named(field: ChoiceField) -> tuple[Choice, ...]:
    """The choices with the name of what is chosen: a select has no label."""
    return tuple(
        replace(choice, label=shorten(f"{field.label}: {choice.label}", LONGEST_CHOICE)) for choice in field.choices
    )


def _format(workflow: Workflow, values: Mapping[str, Json]) -> ChoiceField | None:
    return format_field(workflow, {slot.name: slot for slot in workflow.slots}, values)


def picked(workflow: Workflow, name: str, value: str, values: Mapping[str, Json], offered: Offered) -> dict[str, Json]:
    """The values after something was chosen in a select of the card. Raises `WorkflowError`."""
    if name == PRESET:
        return {**values, **preset(workflow, value)}
    if name == FORMAT:
        sides, _ = answers(workflow, {FORMAT: value})
        return {**values, **sides}
    slot = next((slot for slot in workflow.slots if slot.name == name), None)
    if slot is not None and value not in (shown := [choice.value for choice in shown_choices(slot, offered)]):
        raise WorkflowError(NotAChoice(slot.title, value, tuple(shown)))
    chosen, _ = answers(workflow, {name: value})
    return {**unasked(values, {name: value}), **chosen}


def group_form(
    workflow: Workflow, draft_id: str, number: int, values: Mapping[str, Json], offered: Offered
) -> Form | None:
    """The form of a group, counted from 1; None if there is no such group any more."""
    made = groups(workflow, offered)
    if not 1 <= number <= len(made):
        return None
    group = made[number - 1]
    fields = [field for slot in group.slots for field in _fields(workflow, slot, values, offered)]
    title = shorten(f"{workflow.title}: {group.title}", LONGEST_TITLE)
    return Form(custom_id.write(GROUP, draft_id, number=number), title, tuple(fields[:MOST_FIELDS]))


def _fields(workflow: Workflow, slot: Slot, values: Mapping[str, Json], offered: Offered) -> Iterator[Field]:
    parts = _parts(slot, offered)
    current = value_text(workflow, slot, values)
    if len(parts) == 1 or slot.kind == "lora":
        field = slot_field(workflow, slot, values, offered)
        if slot.kind == "seed":
            field = replace(field, description=SEED_DESCRIPTION)
        yield field
        parts = parts if slot.kind == "lora" else []
    for number, part in enumerate(parts, 1):
        first, last = part[0].label, part[-1].label
        label = (
            texts.add_lora(number, len(parts)) if slot.kind == "lora" else texts.part(slot.title, number, len(parts))
        )
        chosen = current if any(choice.value == current for choice in part) else ""
        yield ChoiceField(
            name=f"{PART}{number}.{slot.name}",
            label=shorten(label, LONGEST_LABEL),
            choices=part,
            description=texts.from_to(first, last),
            value="" if slot.kind == "lora" else chosen,
        )


def _parts(slot: Slot, offered: Offered) -> list[tuple[Choice, ...]]:
    """The choices of a slot, in fields of `MOST_CHOICES`; one empty part if a text says what is chosen."""
    values = [value for value in dict.fromkeys(slot.choices or offered.get(slot.name, ())) if value]
    most = MOST_FIELDS - (slot.kind == "lora")
    long = any(len(value) > LONGEST_CHOICE for value in values)
    lists = slot.kind == "lora" or (slot.kind in {"model", "choice"} and len(values) > MOST_CHOICES)
    if not values or long or not lists or len(values) > most * MOST_CHOICES:
        return [()] if slot.kind != "lora" else []
    choices = choices_of(slot, sorted(values, key=str.lower))
    return [choices[start : start + MOST_CHOICES] for start in range(0, len(choices), MOST_CHOICES)]


def filled(workflow: Workflow, form: Form, fields: Mapping[str, str], values: Mapping[str, Json]) -> dict[str, Json]:
    """The values after a form of the card was submitted. Raises `WorkflowError`."""
    plain = {name: text for name, text in fields.items() if not name.startswith(PART)}
    parts = {name: text for name, text in fields.items() if name.startswith(PART)}
    for slot in workflow.slots:
        if any(name.endswith(f".{slot.name}") for name in parts):
            _choose(slot, form, parts, plain, values)
    asked = replace(form, fields=tuple(field for field in form.fields if not field.name.startswith(PART)))
    chosen, _ = answers(workflow, plain, asked)
    uploads = {slot.name for slot in workflow.slots if slot.kind in UPLOADED}
    # A file field that is left empty keeps the file.
    return {**unasked(values, {name: text for name, text in plain.items() if name not in uploads}), **chosen}


def _choose(
    slot: Slot, form: Form, parts: Mapping[str, str], plain: dict[str, str], values: Mapping[str, Json]
) -> None:
    """Put what was chosen in the parts of a list into the value of the slot. Raises `WorkflowError`."""
    before = {field.name: field.value for field in form.fields}
    offered = {field.name: _values_of(field) for field in form.fields}
    own = {name: value for name, value in parts.items() if name.endswith(f".{slot.name}") and value}
    for name, value in own.items():
        if value not in offered.get(name, ()):
            raise WorkflowError(NotAChoice(slot.title, value, tuple(offered.get(name, ()))))
    if slot.kind == "lora":
        named = [plain.get(slot.name, ""), *own.values()]
        plain[slot.name] = ", ".join(name for name in named if name.strip())
        return
    # What stands there at first does not count beside what was chosen in another part.
    new = [value for name, value in own.items() if value != before.get(name)] or list(own.values())
    if len(new) > 1:
        raise WorkflowError(OneChoiceOnly(slot.title))
    plain[slot.name] = new[0] if new else ""


def _values_of(field: Field) -> Collection[str]:
    return [choice.value for choice in field.choices] if isinstance(field, ChoiceField) else ()
