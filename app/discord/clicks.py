"""Everything that people do, acknowledged in hikari's own loop, then told to the core as plain words.

Discord waits three seconds, whatever the core does: so only what a form is filled in with is asked of the core
first, and not for long.
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
from app.discord import form as forms
from app.discord.acknowledge import ALONE, PUBLIC, attached, caller_of, defer, files_of, say
from app.discord.attachments import check
from app.discord.blocks import Form
from app.discord.commands import Given
from app.discord.crossing import Crossing
from app.discord.custom_id import Press
from app.discord.onward import way
from app.discord.options import PRESET, SPOILER, Command, preset, verify
from app.discord.rest import fields
from app.discord.words import Asked, Attached, Ordered, Pressed, Word
from app.ports import Json
from app.workflows.load import Workflow
from app.workflows.slots import WorkflowError

PATIENCE = 1.5
"""Seconds that the core gets to answer a question: half of what Discord waits."""

MOST_MENUS = 256
"""Files that may wait for their menu's form: a form that is older is asked for again."""

ASKS_FIRST = frozenset({"vary", "use"})
MAKES_NEW = frozenset({"again", "retry", "vary", "use"})
ANSWERS_ALONE = frozenset({"settings", "keep"})


NAMES = {"image": "picture", "video": "video", "audio": "sound"}
"""What people call files of a kind."""


class Core(Protocol):
    """What the core is asked while somebody waits."""

    async def form(self, press: Press) -> Form | str | None:
        """See `app.discord.desk.Desk.form`."""
        ...

    async def suggest(self, workflow: str, slot: str, typed: str) -> list[str]:
        """What may stand in a slot."""
        ...

    async def suggest_own(self, command: str, user: str, typed: str) -> list[tuple[str, str]]:
        """What of somebody's own a command may mean."""
        ...


class Clicks:
    """See `app.discord.commands.Takes`. Owns what menus were opened at, until their form comes back."""

    def __init__(self, core: Core, inbox: ObjectSendStream[Word], into_core: Crossing) -> None:
        self._core = core
        self._inbox = inbox
        self._into_core = into_core
        self._menus: dict[str, Attached] = {}
        self.workflows: Mapping[str, Workflow] = {}

    async def ordered(self, interaction: hikari.CommandInteraction, command: Command, given: Given) -> None:
        """See `app.discord.commands.Takes`."""
        workflow = self.workflows.get(command.workflow)
        if workflow is None:
            await say(interaction, f"The workflow “{command.workflow}” was removed.")
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
        await self._order(interaction, workflow, values, tuple(files), chosen=chosen, spoiler=spoiler)

    async def asked(self, interaction: hikari.CommandInteraction, command: str, argument: str) -> None:
        """See `app.discord.commands.Takes`."""
        caller = await defer(interaction, PUBLIC if command == "show" else ALONE)
        await self._tell(Asked(caller=caller, command=command, argument=argument))

    async def chosen(self, interaction: hikari.CommandInteraction, workflow: str, message: hikari.Message) -> None:
        """See `app.discord.commands.Takes`."""
        found = self.workflows.get(workflow)
        onward = way(found) if found is not None else None
        if found is None or onward is None:
            await say(interaction, "This workflow was removed.")
            return
        file = next(files_of(message, onward.slot.kind), None)
        if file is None:
            await say(interaction, f"There is no {NAMES[onward.slot.kind]} in this message.")
            return
        file = replace(file, slot=onward.slot.name)
        asked = forms.form(found, custom_id.write("menu", str(interaction.id), workflow), {})
        if asked is None:
            await self._order(interaction, found, {}, (file,))
            return
        self._menus[str(interaction.id)] = file
        while len(self._menus) > MOST_MENUS:
            del self._menus[next(iter(self._menus))]
        await interaction.create_modal_response(asked.title, asked.custom_id, components=fields(asked))

    async def suggest(self, workflow: str, slot: str, typed: str) -> list[str]:
        """See `app.discord.commands.Takes`."""
        with anyio.move_on_after(PATIENCE):
            return await self._into_core(self._core.suggest, workflow, slot, typed)
        return []

    async def suggest_own(self, command: str, user: str, typed: str) -> list[tuple[str, str]]:
        """See `app.discord.commands.Takes`."""
        with anyio.move_on_after(PATIENCE):
            return await self._into_core(self._core.suggest_own, command, user, typed)
        return []

    async def pressed(self, event: hikari.ComponentInteractionCreateEvent) -> None:
        """A button."""
        interaction = event.interaction
        press = custom_id.read(interaction.custom_id)
        if press is None:
            return
        if press.verb in ASKS_FIRST:
            asked: Form | str | None = "The bot is busy: press again in a moment."
            with anyio.move_on_after(PATIENCE):
                asked = await self._into_core(self._core.form, press)
            if isinstance(asked, str):
                await say(interaction, asked)
                return
            if asked is not None:
                await interaction.create_modal_response(asked.title, asked.custom_id, components=fields(asked))
                return
        if press.verb in MAKES_NEW:
            caller = await defer(interaction, PUBLIC)
        elif press.verb in ANSWERS_ALONE:
            caller = await defer(interaction, ALONE)
        else:
            await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_UPDATE)
            caller = caller_of(interaction, str(interaction.message.id), fresh=False)
        await self._tell(Pressed(caller=caller, press=press))

    async def sent(self, event: hikari.ModalInteractionCreateEvent) -> None:
        """A form."""
        interaction = event.interaction
        press = custom_id.read(interaction.custom_id)
        if press is None:
            return
        told = {
            field.custom_id: field.value
            for row in interaction.components
            for field in getattr(row, "components", ())
            if isinstance(field, hikari.TextInputComponent)
        }
        if press.verb == "menu":
            await self._menu_sent(interaction, press, told)
            return
        if (workflow := self.workflows.get(press.workflow)) is not None:
            try:
                verify(workflow, forms.answers(workflow, told)[0])
            except WorkflowError as error:
                await say(interaction, str(error))
                return
        caller = await defer(interaction, PUBLIC)
        await self._tell(Pressed(caller=caller, press=press, fields=told))

    async def _menu_sent(self, interaction: hikari.ModalInteraction, press: Press, told: Mapping[str, str]) -> None:
        workflow = self.workflows.get(press.workflow)
        file = self._menus.pop(press.job, None)
        if workflow is None or file is None:
            await say(interaction, "This form is too old: choose the menu again.")
            return
        try:
            values, _ = forms.answers(workflow, told)
        except WorkflowError as error:
            await say(interaction, str(error))
            return
        await self._order(interaction, workflow, values, (file,))

    async def _order(
        self,
        interaction: hikari.CommandInteraction | hikari.ModalInteraction,
        workflow: Workflow,
        values: dict[str, Json],
        files: tuple[Attached, ...],
        *,
        chosen: str = "",
        spoiler: bool = False,
    ) -> None:
        kinds: dict[str, str] = {slot.name: slot.kind for slot in workflow.slots}
        try:
            verify(workflow, {**preset(workflow, chosen), **values})
            for file in files:
                check(file, kinds.get(file.slot, "image"))
        except WorkflowError as error:
            await say(interaction, str(error))
            return
        caller = await defer(interaction, PUBLIC)
        told = Ordered(
            caller=caller, workflow=workflow.name, values=values, files=files, preset=chosen, spoiler=spoiler
        )
        await self._tell(told)

    async def _tell(self, word: Word) -> None:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            # The house is closing; nothing was promised yet.
            await self._into_core(self._inbox.send, word)
