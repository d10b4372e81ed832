"""Builds the commands and menus for lightbulb. What they do is not decided here: see `InteractionHandler`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias, cast

import hikari
import lightbulb
from hikari.impl import AutocompleteChoiceBuilder
from msgspec import Struct

from app.config.tables.limits import MOST_JOBS, MOST_SECONDS
from app.discord.ui.menus import menu_name
from app.discord.ui.options import MOST_CHOICES, Command, Option
from app.discord.ui.pages import LONGEST_BAN_REASON
from app.entry_points import run_request
from app.texts.discord.commands import (
    BAN_DAYS,
    BAN_REASON,
    BAN_WHO,
    BUILT_IN,
    CANCEL_JOB,
    LIMIT_JOBS,
    LIMIT_SECONDS,
    MODERATOR,
    RESET_WORKFLOW,
    SHOW_JOB,
    UNBAN_WHO,
)
from app.workflows.load import Workflow
from app.workflows.task import Task


class Places(Struct, frozen=True):
    """Where global commands appear. lightbulb's default is everywhere, including where the bot may not post."""

    contexts: tuple[hikari.ApplicationContextType, ...]
    installed: tuple[hikari.ApplicationIntegrationType, ...]


CHANNELS = Places((hikari.ApplicationContextType.GUILD,), (hikari.ApplicationIntegrationType.GUILD_INSTALL,))
"""In Discord servers that the bot is in."""

WITH_BOT = Places((*CHANNELS.contexts, hikari.ApplicationContextType.BOT_DM), CHANNELS.installed)
"""There, and in direct messages with the bot."""

WITH_PEOPLE = Places(
    (*WITH_BOT.contexts, hikari.ApplicationContextType.PRIVATE_CHANNEL),
    (*WITH_BOT.installed, hikari.ApplicationIntegrationType.USER_INSTALL),
)
"""Also where only a person brought the application along."""

NAMED = {
    "cancel": ("job", CANCEL_JOB, False),
    "show": ("job", SHOW_JOB, True),
    "settings": ("reset", RESET_WORKFLOW, False),
}
"""The bot's own commands that have an option: its name, its description, and whether it is required."""

SHORTEST_BAN, LONGEST_BAN = 0.01, 3650.0
"""Days."""

Given: TypeAlias = Mapping[str, object]
Made: TypeAlias = "type[lightbulb.SlashCommand] | type[lightbulb.MessageCommand]"
Complete: TypeAlias = Callable[["lightbulb.AutocompleteContext[str]"], Awaitable[None]]
Offer: TypeAlias = Callable[[hikari.AutocompleteInteraction, str], Awaitable[list[tuple[str, str]]]]
"""Takes the interaction and what was typed; returns pairs of what to show and the value it stands for."""


class InteractionHandler(Protocol):
    """Handles command interactions and autocomplete; everything here runs in hikari's loop."""

    async def ordered(self, interaction: hikari.CommandInteraction, command: Command, given: Given) -> None:
        """Handle the command of a workflow."""
        ...

    async def asked(self, interaction: hikari.CommandInteraction, command: str, argument: str) -> None:
        """Handle one of the bot's own commands."""
        ...

    async def moderated(self, interaction: hikari.CommandInteraction, command: str, given: Given) -> None:
        """Handle a command of moderators."""
        ...

    async def chosen(self, interaction: hikari.CommandInteraction, workflow: str, message: hikari.Message) -> None:
        """Handle a workflow's menu on a message."""
        ...

    async def suggest(self, workflow: str, slot: str, typed: str) -> list[str]:
        """The values to suggest for a slot."""
        ...

    async def suggest_for_task(
        self, interaction: hikari.AutocompleteInteraction, task: Task, option: str, typed: str
    ) -> list[str]:
        """The models or presets to suggest for an option of a task's command."""
        ...

    async def suggest_own(self, command: str, user: str, typed: str) -> list[tuple[str, str]]:
        """The user's own jobs or settings to suggest for a command: pairs of what to show and its value."""
        ...


def workflow_command(command: Command, handler: InteractionHandler, places: Places = WITH_BOT) -> Made:
    """The slash command of a workflow, or of a task."""
    attributes = {option.name: f"option_{number}" for number, option in enumerate(command.options)}

    async def invoke(self: lightbulb.SlashCommand, ctx: lightbulb.Context) -> None:
        given = {name: cast("object", getattr(self, attribute)) for name, attribute in attributes.items()}
        await handler.ordered(_interaction(ctx), command, given)

    options = {attributes[option.name]: _option(option, command, handler) for option in command.options}
    return _slash(command.name, command.description, options, invoke, places)


def built_in_command(name: str, handler: InteractionHandler, places: Places = WITH_BOT) -> Made:
    """The slash command for one of the bot's own commands."""

    async def offer(interaction: hikari.AutocompleteInteraction, typed: str) -> list[tuple[str, str]]:
        return await handler.suggest_own(name, str(interaction.user.id), typed)

    async def invoke(self: lightbulb.SlashCommand, ctx: lightbulb.Context) -> None:
        await handler.asked(_interaction(ctx), name, str(getattr(self, "told", None) or ""))

    options: dict[str, object] = {}
    if name in NAMED:
        called, meaning, required = NAMED[name]
        wanted: Any = {} if required else {"default": None}
        options["told"] = lightbulb.string(called, meaning, autocomplete=_completion(offer), **wanted)
    return _slash(name, BUILT_IN[name], options, invoke, places)


def moderator_command(name: str, handler: InteractionHandler) -> Made:
    """The slash command for one of the commands of moderators, which are only shown in servers."""
    options: dict[str, dict[str, object]] = {
        "limits": {
            "jobs": lightbulb.integer("jobs", LIMIT_JOBS, default=None, min_value=0, max_value=MOST_JOBS),
            "seconds": lightbulb.integer("seconds", LIMIT_SECONDS, default=None, min_value=0, max_value=MOST_SECONDS),
        },
        "ban": {
            "who": lightbulb.mentionable("who", BAN_WHO),
            "reason": lightbulb.string("reason", BAN_REASON, default=None, max_length=LONGEST_BAN_REASON),
            "days": lightbulb.number("days", BAN_DAYS, default=None, min_value=SHORTEST_BAN, max_value=LONGEST_BAN),
        },
        "unban": {"who": lightbulb.mentionable("who", UNBAN_WHO)},
    }

    async def invoke(self: lightbulb.SlashCommand, ctx: lightbulb.Context) -> None:
        given = {option: cast("object", getattr(self, f"given_{option}")) for option in options[name]}
        await handler.moderated(_interaction(ctx), name, given)

    attributes = {f"given_{option}": value for option, value in options[name].items()}
    return _slash(name, MODERATOR[name], attributes, invoke, CHANNELS)


def menu(workflow: Workflow, handler: InteractionHandler, places: Places = WITH_BOT) -> Made:
    """The workflow's menu on a message with a picture, or with any other file that the workflow takes."""

    async def invoke(self: lightbulb.MessageCommand, ctx: lightbulb.Context) -> None:
        await handler.chosen(_interaction(ctx), workflow.name, self.target)

    namespace: dict[str, object] = {"invoke": lightbulb.invoke(invoke)}
    return cast(
        "Made",
        type(lightbulb.MessageCommand)(
            menu_name(workflow),
            (lightbulb.MessageCommand,),
            namespace,
            name=menu_name(workflow),
            contexts=places.contexts,
            integration_types=places.installed,
        ),
    )


def _slash(
    name: str,
    description: str,
    options: Mapping[str, object],
    invoke: object,
    places: Places,
) -> Made:
    namespace = {**options, "invoke": lightbulb.invoke(cast("Any", invoke))}
    return cast(
        "Made",
        type(lightbulb.SlashCommand)(
            name,
            (lightbulb.SlashCommand,),
            namespace,
            name=name,
            description=description,
            contexts=places.contexts,
            integration_types=places.installed,
        ),
    )


def _interaction(ctx: lightbulb.Context) -> hikari.CommandInteraction:
    return ctx.interaction


def _option(option: Option, command: Command, handler: InteractionHandler) -> object:
    kind = {
        "string": lightbulb.string,
        "integer": lightbulb.integer,
        "number": lightbulb.number,
        "boolean": lightbulb.boolean,
        "attachment": lightbulb.attachment,
    }[option.kind]
    wanted: dict[str, Any] = {} if option.required else {"default": None}
    whole = option.kind == "integer"
    if option.minimum is not None:
        wanted["min_value"] = int(option.minimum) if whole else option.minimum
    if option.maximum is not None:
        wanted["max_value"] = int(option.maximum) if whole else option.maximum
    if option.choices:
        wanted["choices"] = [lightbulb.Choice(choice, choice) for choice in option.choices]
    if option.suggest:
        wanted["autocomplete"] = _completion(_offer(option, command, handler))
    return cast("Any", kind)(option.name, option.description, **wanted)


def _offer(option: Option, command: Command, handler: InteractionHandler) -> Offer:
    """What to suggest for an option of a workflow's command, or of a task's."""

    async def offer(interaction: hikari.AutocompleteInteraction, typed: str) -> list[tuple[str, str]]:
        if command.task:
            names = await handler.suggest_for_task(interaction, command.task, option.name, typed)
        else:
            names = await handler.suggest(command.workflow, option.slot, typed)
        return [(name, name) for name in names]

    return offer


def _completion(offer: Offer) -> Complete:
    """Make an autocomplete callback that answers with an empty list on failure; lightbulb would not answer at all."""

    async def complete(ctx: lightbulb.AutocompleteContext[str]) -> None:
        suggestions: list[tuple[str, str]] = []

        async def ask() -> None:
            suggestions.extend(await offer(ctx.interaction, str(ctx.focused.value or "")))

        await run_request(ask, "autocomplete failed")
        await ctx.respond(
            [AutocompleteChoiceBuilder(name=label, value=value) for label, value in suggestions[:MOST_CHOICES]]
        )

    return complete
