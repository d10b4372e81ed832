"""A form as plain data: its fields, what each accepts, and what stands in it. No hikari, no Discord types."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from app.discord.text import shorten
from app.discord.ui.components import Choice

MOST_FIELDS = 5
"""Fields of one form."""

LONGEST_TITLE = 45
LONGEST_LABEL = 45
"""Characters of the title of a form, and of the label of a field."""

LONGEST_DESCRIPTION = 100
LONGEST_PLACEHOLDER = 100
LONGEST_CHOICE = 100
"""Characters below a label, in an empty text field, and of the label and the value of a choice."""

MOST_CHARACTERS = 4000
"""Characters of a text field."""

MOST_CHOICES = 25
"""Choices of a list. All of these are Discord's limits: https://discord.com/developers/docs/components/reference"""

MOST_SHOWN = 6
"""Choices that are all shown at once. Discord allows ten, but two such fields would fill more than a screen."""

ON, OFF = "true", "false"
"""The values of a switch."""


class TextField(Struct, frozen=True, kw_only=True):
    """A text: one line, or several if `long`. `most` is its limit in characters; `hint` is shown while it is empty."""

    name: str
    label: str
    description: str = ""
    value: str = ""
    required: bool = False
    long: bool = False
    most: int = MOST_CHARACTERS
    hint: str = ""


class ChoiceField(Struct, frozen=True, kw_only=True):
    """One of 1 to `MOST_CHOICES` choices; `value` is the one that is chosen at first, "" for none."""

    name: str
    label: str
    choices: tuple[Choice, ...]
    description: str = ""
    value: str = ""
    required: bool = False

    @property
    def shows_all(self) -> bool:
        """Whether all choices are shown at once; otherwise they are in a list that is opened."""
        return 2 <= len(self.choices) <= MOST_SHOWN


class SwitchField(Struct, frozen=True, kw_only=True):
    """Yes or no; `value` is `ON` or `OFF`."""

    name: str
    label: str
    description: str = ""
    value: str = OFF

    @property
    def required(self) -> bool:
        """A switch always has a value."""
        return False


class FileField(Struct, frozen=True, kw_only=True):
    """One file to upload. It is always empty at first: `value` is ""."""

    name: str
    label: str
    description: str = ""
    required: bool = False

    @property
    def value(self) -> str:
        """No form can be opened with a file in it."""
        return ""


Field: TypeAlias = TextField | ChoiceField | SwitchField | FileField


class Form(Struct, frozen=True):
    """A form with 1 to `MOST_FIELDS` fields, whose names are different. Submitting it sends `custom_id` to the bot."""

    custom_id: str
    title: str
    fields: tuple[Field, ...]


def only_texts(form: Form) -> Form:
    """The form with text fields in place of all others, for a Discord that takes nothing else. Files are left out."""
    return Form(
        form.custom_id, form.title, tuple(_as_text(field) for field in form.fields if not isinstance(field, FileField))
    )


def _as_text(field: TextField | ChoiceField | SwitchField) -> TextField:
    match field:
        case TextField():
            return field
        case ChoiceField(choices=choices):
            values = [choice.value for choice in choices]
        case SwitchField():
            values = [ON, OFF]
    hint = shorten(", ".join(values), LONGEST_PLACEHOLDER)
    return TextField(name=field.name, label=field.label, value=field.value, required=field.required, hint=hint)
