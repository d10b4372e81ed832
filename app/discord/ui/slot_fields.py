"""The field of a form for one slot of a workflow. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from app.discord.text import shorten
from app.discord.ui.components import Choice
from app.discord.ui.forms import (
    LONGEST_CHOICE,
    LONGEST_DESCRIPTION,
    LONGEST_LABEL,
    MOST_CHOICES,
    OFF,
    ON,
    ChoiceField,
    Field,
    FileField,
    SwitchField,
    TextField,
)
from app.ports import Json
from app.service.slot_values import current_value, format_value
from app.service.values import LONGEST_TEXT
from app.texts.discord import forms as texts
from app.texts.model_names import model_name
from app.workflows.load import Workflow
from app.workflows.model import UPLOADED, Slot

LONGEST_NUMBER = 40
"""Characters of a field for a number, a size or a seed."""

AUTOMATIC = "automatic"
"""The value of the choice that leaves a model to the server."""

LONGEST_LINE = 400
"""Characters of a field for a name."""

Offered: TypeAlias = Mapping[str, Sequence[str]]
"""What the servers have, by the name of the slot that chooses from it; a slot may be missing if nobody knows."""

NOTHING_OFFERED: Offered = MappingProxyType({})
"""Nothing is known of what the servers have."""


def slot_field(workflow: Workflow, slot: Slot, values: Mapping[str, Json], offered: Offered) -> Field:
    """The field for a slot, filled in with the value that applies if nothing is changed."""
    label, value = shorten(slot.title, LONGEST_LABEL), value_text(workflow, slot, values)
    description = shorten(_description(slot), LONGEST_DESCRIPTION)
    match slot.kind:
        case "text":
            # The label says enough about the prompt, and its field is the largest.
            return TextField(
                name=slot.name,
                label=label,
                value=value[:LONGEST_TEXT],
                required=slot.required,
                long=True,
                most=LONGEST_TEXT,
                hint=description,
            )
        case "boolean":
            on = value.lower() == ON
            return SwitchField(name=slot.name, label=label, description=description, value=ON if on else OFF)
        case "image" | "video" | "audio":
            kept = bool(values.get(slot.name))
            return FileField(
                name=slot.name,
                label=label,
                description=texts.KEPT_FILE if kept else description,
                required=slot.required and not kept,
            )
        case "choice" | "model" if choices := shown_choices(slot, offered):
            known = any(choice.value == value for choice in choices)
            if value and not known:
                description = texts.gone(shorten(value, LONGEST_DESCRIPTION - len(texts.gone(""))))
            elif any(choice.value == AUTOMATIC for choice in choices):
                # The first choice says what the description would.
                description, value, known = "", value or AUTOMATIC, True
            return ChoiceField(
                name=slot.name,
                label=label,
                choices=choices,
                description=description,
                value=value if known else "",
                required=slot.required or known,
            )
        case _:
            longest = LONGEST_NUMBER if slot.kind in {"integer", "number", "seed", "size"} else LONGEST_LINE
            return TextField(
                name=slot.name,
                label=label,
                description=description,
                value=value[:longest],
                required=slot.required,
                most=longest,
            )


def shown_choices(slot: Slot, offered: Offered) -> tuple[Choice, ...]:
    """The choices of a slot as those of one field; none if there are too many, or if one is too long."""
    values = list(dict.fromkeys(slot.choices or offered.get(slot.name, ())))
    if not 1 <= len(values) <= MOST_CHOICES or any(not 1 <= len(value) <= LONGEST_CHOICE for value in values):
        return ()
    choices = choices_of(slot, values)
    if slot.kind == "model" and slot.default is None and not slot.required and len(choices) < MOST_CHOICES:
        return Choice(texts.AUTOMATIC, AUTOMATIC), *choices
    return choices


def choices_of(slot: Slot, values: Sequence[str]) -> tuple[Choice, ...]:
    """These values as choices: files of models by their human names, unless two have the same."""
    labels = [model_name(value) or value for value in values] if slot.kind in {"model", "lora"} else list(values)
    return tuple(
        Choice(shorten(label if labels.count(label) == 1 else value, LONGEST_CHOICE), value)
        for label, value in zip(labels, values, strict=True)
    )


def value_text(workflow: Workflow, slot: Slot, values: Mapping[str, Json]) -> str:
    """The value that applies if nothing is changed, as text; "" for files."""
    if slot.kind in UPLOADED:
        return ""
    value = values.get(slot.name, slot.default)
    if value is None and slot.kind not in {"seed", "model"} and not slot.required:
        value = current_value(slot, workflow.graph)
    text = format_value(slot, value)
    return text if slot.kind == "text" else " ".join(text.split())


def _description(slot: Slot) -> str:
    match slot.kind:
        case "seed":
            return texts.SEED_DESCRIPTION
        case "lora":
            return texts.LORA_DESCRIPTION
        case "size":
            return texts.SIZE_DESCRIPTION
        case "integer" | "number":
            return texts.described(slot.description, texts.number_range(_limit(slot.minimum), _limit(slot.maximum)))
        case _:
            return slot.description


def _limit(limit: float | None) -> str:
    if limit is None:
        return ""
    return str(int(limit)) if limit == int(limit) else str(limit)
