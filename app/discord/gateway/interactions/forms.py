"""Forms with the fields that hikari does not know: sent as raw components, and read from the raw event.

hikari 2.6 knows only text inputs in rows. It leaves out every other field of a submitted form without an error. So
forms are built here, and submissions are read from `hikari.ShardPayloadEvent`, which hikari dispatches before the event
of the same interaction. Nothing else knows of this: it can go when hikari has these components.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import anyio
import hikari
import structlog

from app.discord.gateway.rest.client import translated
from app.discord.messages.ports import Unacceptable
from app.discord.ui.forms import ON, ChoiceField, Field, FileField, Form, SwitchField, TextField, only_texts
from app.discord.ui.submission import Component, Submission, read_submission

logger = structlog.stdlib.get_logger(__name__)

SHORT, PARAGRAPH = 1, 2
"""Discord's styles of text inputs."""

REMEMBERED = 600.0
"""Seconds for which forms have only text fields after Discord refused one: it may refuse all."""

MOST_RECEIVED = 64
"""Submissions that wait for hikari's event of them, which follows at once; it is missing if hikari cannot decode it."""


class RawComponent(hikari.api.ComponentBuilder):
    """A component as JSON."""

    def __init__(self, payload: dict[str, Any]) -> None:
        self._payload = payload

    @property
    def type(self) -> int:
        """Discord's number for the kind of component."""
        return int(self._payload["type"])

    @property
    def id(self) -> hikari.UndefinedType:
        """Discord numbers the components itself."""
        return hikari.UNDEFINED

    def build(self) -> tuple[MutableMapping[str, Any], Sequence[hikari.files.Resource[hikari.files.AsyncReader]]]:
        """See `hikari.api.ComponentBuilder`; a form has no files to send."""
        return dict(self._payload), ()


class Forms:
    """Opens forms, and keeps each submission until its interaction is handled. Everything runs in hikari's loop."""

    def __init__(self) -> None:
        self._received: dict[str, Submission] = {}
        self._typed: dict[str, str] = {}
        """What people wrote in forms that are being handled."""
        self._texts_only_until = 0.0

    async def receive(self, event: hikari.ShardPayloadEvent) -> None:
        """Keep what a submitted form says. It must not wait: the interaction's own event comes next."""
        if event.name != "INTERACTION_CREATE" or (submission := read_submission(dict(event.payload))) is None:
            return
        self._received[str(event.payload.get("id"))] = submission
        while len(self._received) > MOST_RECEIVED:
            del self._received[next(iter(self._received))]

    def take(self, interaction: hikari.ModalInteraction) -> Submission:
        """What a submitted form says. Call `finish` once it is handled."""
        submission = self._received.pop(str(interaction.id), None) or Submission(damaged=True)
        self._typed[str(interaction.id)] = submission.typed
        return submission

    def typed(self, interaction: int) -> str:
        """What a person wrote in a form whose interaction is being handled, to give back; "" for everything else."""
        return self._typed.get(str(interaction), "")

    def finish(self, interaction: int) -> None:
        """Forget a form: its interaction, which has this id, is handled."""
        self._typed.pop(str(interaction), None)

    async def open(self, interaction: hikari.CommandInteraction | hikari.ComponentInteraction, form: Form) -> None:
        """Answer with a form; where Discord refuses it, with text fields only. Raises `SendError`."""
        if anyio.current_time() >= self._texts_only_until:
            try:
                await _send(interaction, form, [_label(field) for field in form.fields])
            except Unacceptable as error:
                logger.warning("Discord refuses a form", form=form.custom_id, reason=str(error))
                self._texts_only_until = anyio.current_time() + REMEMBERED
            else:
                return
        plain = only_texts(form)
        await _send(interaction, plain, [_row(field) for field in plain.fields if isinstance(field, TextField)])


async def _send(
    interaction: hikari.CommandInteraction | hikari.ComponentInteraction, form: Form, parts: Sequence[dict[str, Any]]
) -> None:
    with translated():
        await interaction.create_modal_response(form.title, form.custom_id, components=list(map(RawComponent, parts)))


def _label(field: Field) -> dict[str, Any]:
    """A field below its label."""
    described = {"description": field.description} if field.description else {}
    return {"type": Component.LABEL.value, "label": field.label, **described, "component": _component(field)}


def _row(field: TextField) -> dict[str, Any]:
    """A text field in a row, as Discord took it before there were labels."""
    return {"type": Component.ROW.value, "components": [{**_text(field), "label": field.label}]}


def _component(field: Field) -> dict[str, Any]:
    match field:
        case TextField():
            return _text(field)
        case ChoiceField():
            options = [_option(choice.label, choice.value, field.value) for choice in field.choices]
            chosen = {"custom_id": field.name, "options": options}
            if field.shows_all:
                # What is chosen at first can only be exchanged, so it needs no mark that something must be chosen.
                required = field.required and not field.value
                return {"type": Component.RADIO_GROUP.value, **chosen, "required": required}
            limits = {"required": field.required, "min_values": int(field.required)}
            return {"type": Component.STRING_SELECT.value, **chosen, **limits}
        case SwitchField():
            return {"type": Component.CHECKBOX.value, "custom_id": field.name, "default": field.value == ON}
        case FileField():
            limits = {"required": field.required, "min_values": int(field.required), "max_values": 1}
            return {"type": Component.FILE_UPLOAD.value, "custom_id": field.name, **limits}


def _option(label: str, value: str, chosen: str) -> Mapping[str, Any]:
    return {"label": label, "value": value, **({"default": True} if value == chosen else {})}


def _text(field: TextField) -> dict[str, Any]:
    """A text input; Discord takes neither an empty value nor an empty placeholder."""
    return {
        "type": Component.TEXT_INPUT.value,
        "custom_id": field.name,
        "style": PARAGRAPH if field.long else SHORT,
        "required": field.required,
        "max_length": field.most,
        **({"value": field.value} if field.value else {}),
        **({"placeholder": field.hint} if field.hint else {}),
    }
