"""Handles every interaction: acknowledges it in hikari's own loop, then sends it to the core as plain data.

Discord waits three seconds, whatever the core does. So before the acknowledgement the core is asked only for the
prefilled form, and only for a short time.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import anyio
import hikari
from anyio.abc import ObjectSendStream
from msgspec.structs import replace

from app.discord import custom_id
from app.discord.bridge import CrossLoopCall
from app.discord.custom_id import Press
from app.discord.files.attachment_rules import NAMES
from app.discord.follow_ups import find_follow_up
from app.discord.gateway.commands import Given
from app.discord.gateway.responses import (
    ALONE,
    PUBLIC,
    Answerable,
    ask,
    attached,
    caller_of,
    defer,
    defer_update,
    files_of,
    say,
)
from app.discord.requests.pending_forms import PendingForm, PendingForms
from app.discord.ui import modals
from app.discord.ui.components import Form
from app.discord.ui.options import PRESET, SPOILER, Command, missing, verify
from app.discord.user_request import Attached, BuiltinCommand, ButtonPressed, Caller, CreateJob, UserRequest
from app.events import JobId
from app.ports import Json
from app.texts.reasons import reason_text
from app.workflows.load import Workflow
from app.workflows.model import WorkflowError

PATIENCE = 1.5
"""Seconds that the core gets to answer a question: half of what Discord waits."""

ASKS_FIRST = frozenset({"vary", "use"})
MAKES_NEW = frozenset({"again", "retry", "vary", "use"})
ANSWERS_ALONE = frozenset({"settings", "keep"})
OUT_OF_DATE = "This is out of date. Start again with a command."
BEGINS = frozenset({"menu", "order"})
"""Verbs of forms that have no job yet: their id is that of the interaction that opened the form."""


class Core(Protocol):
    """What the core is asked while an interaction waits for its first answer."""

    async def form(self, press: Press, caller: Caller) -> Form | str | None:
        """See `app.discord.requests.dispatcher.RequestDispatcher.form`."""
        ...

    async def suggest(self, workflow: str, slot: str, typed: str) -> list[str]:
        """The values to suggest for a slot."""
        ...

    async def suggest_own(self, command: str, user: str, typed: str) -> list[tuple[str, str]]:
        """The user's own jobs or settings to suggest for a command."""
        ...


class InteractionHandlers:
    """See `app.discord.gateway.commands.InteractionHandler`. Owns the pending forms until they are submitted."""

    def __init__(self, core: Core, inbox: ObjectSendStream[UserRequest], into_core: CrossLoopCall) -> None:
        self._core = core
        self._inbox = inbox
        self._into_core = into_core
        self._pending_forms = PendingForms()
        self.workflows: Mapping[str, Workflow] = {}

    async def ordered(self, interaction: hikari.CommandInteraction, command: Command, given: Given) -> None:
        """See `app.discord.gateway.commands.InteractionHandler`."""
        workflow = self.workflows.get(command.workflow)
        if workflow is None:
            await say(interaction, f"“{command.workflow}” is not offered here any more.")
            return
        values: dict[str, Json] = {}
        files: list[Attached] = []
        own: dict[str, object] = {}
        for option in command.options:
            match given.get(option.name):
                case hikari.Attachment() as file:
                    files.append(attached(option.slot, file))
                case (str() | int() | float()) as value if option.slot:
                    values[option.slot] = value
                case value if not option.slot:
                    own[option.name] = value
                case _:
                    continue
        chosen, spoiler = str(own.get(PRESET) or ""), bool(own.get(SPOILER))
        pending = PendingForm(values=values, files=tuple(files), preset=chosen, spoiler=spoiler)
        try:
            told = pending.check(workflow, whole=False)
        except WorkflowError as error:
            await say(interaction, reason_text(error.reason))
            return
        if any(slot.show != "command" for slot in missing(workflow, told)):
            await self._ask(interaction, "order", workflow, pending)
        else:
            await self._order(interaction, workflow, pending)

    async def asked(self, interaction: hikari.CommandInteraction, command: str, argument: str) -> None:
        """See `app.discord.gateway.commands.InteractionHandler`."""
        caller = await defer(interaction, PUBLIC if command == "show" else ALONE)
        await self._tell(BuiltinCommand(caller=caller, command=command, argument=argument))

    async def chosen(self, interaction: hikari.CommandInteraction, workflow: str, message: hikari.Message) -> None:
        """See `app.discord.gateway.commands.InteractionHandler`."""
        found = self.workflows.get(workflow)
        follow_up = find_follow_up(found) if found is not None else None
        if found is None or follow_up is None:
            await say(interaction, f"“{workflow}” is not offered here any more.")
            return
        file = next(files_of(message, follow_up.slot.kind), None)
        if file is None:
            await say(interaction, f"There is no {NAMES[follow_up.slot.kind]} in this message.")
            return
        await self._ask(interaction, "menu", found, PendingForm(files=(replace(file, slot=follow_up.slot.name),)))

    async def _ask(
        self, interaction: hikari.CommandInteraction, verb: str, workflow: Workflow, pending: PendingForm
    ) -> None:
        """Open the form for a pending request; if there is nothing to ask, create the job at once."""
        asked = await self._form(interaction, Press(verb, JobId(str(interaction.id)), workflow.name))
        if isinstance(asked, str):
            await say(interaction, asked)
        elif asked is None:
            await self._order(interaction, workflow, pending)
        else:
            self._pending_forms.put(str(interaction.id), replace(pending, asked=asked))
            await ask(interaction, asked)

    async def _form(self, interaction: Answerable, press: Press) -> Form | str | None:
        with anyio.move_on_after(PATIENCE):
            return await self._into_core(self._core.form, press, caller_of(interaction, "", fresh=False))
        return "The bot is busy: try again in a moment."

    async def suggest(self, workflow: str, slot: str, typed: str) -> list[str]:
        """See `app.discord.gateway.commands.InteractionHandler`."""
        with anyio.move_on_after(PATIENCE):
            return await self._into_core(self._core.suggest, workflow, slot, typed)
        return []

    async def suggest_own(self, command: str, user: str, typed: str) -> list[tuple[str, str]]:
        """See `app.discord.gateway.commands.InteractionHandler`."""
        with anyio.move_on_after(PATIENCE):
            return await self._into_core(self._core.suggest_own, command, user, typed)
        return []

    async def pressed(self, interaction: hikari.ComponentInteraction) -> None:
        """Handle a button. Raises `SendError`."""
        press = custom_id.read(interaction.custom_id)
        if press is None:
            await say(interaction, OUT_OF_DATE)
            return
        if press.verb in ASKS_FIRST:
            asked = await self._form(interaction, press)
            if isinstance(asked, str):
                await say(interaction, asked)
                return
            if asked is not None:
                await ask(interaction, asked)
                return
        if press.verb in MAKES_NEW:
            caller = await defer(interaction, PUBLIC)
        elif press.verb in ANSWERS_ALONE:
            caller = await defer(interaction, ALONE)
        else:
            await defer_update(interaction)
            caller = caller_of(interaction, str(interaction.message.id), fresh=False)
        await self._tell(ButtonPressed(caller=caller, press=press))

    async def sent(self, interaction: hikari.ModalInteraction) -> None:
        """Handle a submitted form. Raises `SendError`."""
        told = {
            field.custom_id: field.value
            for row in interaction.components
            for field in getattr(row, "components", ())
            if isinstance(field, hikari.TextInputComponent)
        }
        press = custom_id.read(interaction.custom_id)
        if press is None:
            await say(interaction, OUT_OF_DATE, modals.typed(told))
            return
        if press.verb in BEGINS:
            await self._pending_form_sent(interaction, press, told)
            return
        if (workflow := self.workflows.get(press.workflow)) is not None:
            try:
                verify(workflow, modals.answers(workflow, told)[0], whole=False)
            except WorkflowError as error:
                await say(interaction, reason_text(error.reason), modals.typed(told))
                return
        caller = await defer(interaction, PUBLIC)
        await self._tell(ButtonPressed(caller=caller, press=press, fields=told))

    async def _pending_form_sent(
        self, interaction: hikari.ModalInteraction, press: Press, told: Mapping[str, str]
    ) -> None:
        workflow = self.workflows.get(press.workflow)
        pending = self._pending_forms.take(press.job)
        if workflow is None or pending is None:
            await say(interaction, "This form is too old: begin anew.", modals.typed(told))
            return
        try:
            values, _ = modals.answers(workflow, told, pending.asked, chosen=pending.preset)
        except WorkflowError as error:
            await say(interaction, reason_text(error.reason), modals.typed(told))
            return
        pending = replace(pending, values={**values, **pending.values})
        await self._order(interaction, workflow, pending, modals.typed(told))

    async def _order(
        self,
        interaction: hikari.CommandInteraction | hikari.ModalInteraction,
        workflow: Workflow,
        pending: PendingForm,
        typed: str = "",
    ) -> None:
        try:
            pending.check(workflow)
        except WorkflowError as error:
            await say(interaction, reason_text(error.reason), typed)
            return
        told = CreateJob(
            caller=await defer(interaction, PUBLIC),
            workflow=workflow.name,
            values=pending.values,
            files=pending.files,
            preset=pending.preset,
            spoiler=pending.spoiler,
        )
        await self._tell(told)

    async def _tell(self, word: UserRequest) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            # The application is shutting down; nothing was promised to the person yet.
            await self._into_core(self._inbox.send, word)
