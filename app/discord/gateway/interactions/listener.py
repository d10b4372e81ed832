"""The one listener: every interaction that arrives is handled inside the error boundary."""

from __future__ import annotations

import re
from functools import partial
from typing import TypeAlias, cast

import hikari
import lightbulb
import structlog
from msgspec import Struct

from app.discord.gateway.interactions.handlers import InteractionHandlers
from app.discord.gateway.interactions.responses import ALONE, Stopping, say
from app.discord.gateway.rest.client import translated
from app.discord.gateway.rest.component_builders import build
from app.discord.messages.ports import Away, Expired, Gone, Unacceptable
from app.discord.ui.pages import refusal
from app.entry_points import run_request
from app.service.reasons import Draining
from app.texts.discord.answers import COMMAND_OUT_OF_DATE
from app.texts.reasons.text import reason_text

logger = structlog.stdlib.get_logger(__name__)

AUTOCOMPLETE, CHOICES, MESSAGE = 4, 8, 4
"""Discord's numbers for the autocomplete interaction, and for the two kinds of answer that are given here."""

EVERYWHERE = 0
"""The key under which lightbulb keeps commands that belong to no guild."""

TOKEN = re.compile(r"[\w.=~+-]{1,512}")
"""An interaction's token becomes part of a URL: no other characters are allowed."""

Answerable: TypeAlias = hikari.CommandInteraction | hikari.ComponentInteraction | hikari.ModalInteraction


class Unread(Struct, frozen=True):
    """An interaction that hikari cannot decode: the fields needed to answer it."""

    id: int
    token: str
    kind: int


class Listener:
    """Passes each interaction to the handlers; if they fail, the person gets one sentence."""

    def __init__(self, client: lightbulb.GatewayEnabledClient, handlers: InteractionHandlers) -> None:
        self._client = client
        self._handlers = handlers

    async def handle(self, event: hikari.InteractionCreateEvent) -> None:
        """Handle one interaction; hikari calls this in a task of its own."""
        interaction = event.interaction
        tell = partial(self._apologise, interaction) if isinstance(interaction, Answerable) else None
        try:
            await run_request(
                partial(self._handle, interaction), "an interaction failed", tell, kind=str(interaction.type)
            )
        finally:
            self._handlers.forms.finish(interaction.id)

    async def _apologise(self, interaction: Answerable, sentence: str) -> None:
        await apologise(interaction, sentence, self._handlers.forms.typed(interaction.id))

    async def _handle(self, interaction: hikari.PartialInteraction) -> None:
        try:
            await self._route(interaction)
        except Stopping:
            await self._apologise(cast("Answerable", interaction), reason_text(Draining()))
        except (Away, Expired) as error:
            # Discord does not answer, or it is too late: the person cannot be told.
            logger.warning("an interaction could not be answered", reason=str(error))

    async def _route(self, interaction: hikari.PartialInteraction) -> None:
        match interaction:
            case hikari.ComponentInteraction():
                await self._handlers.pressed(interaction)
            case hikari.ModalInteraction():
                await self._handlers.sent(interaction)
            case hikari.CommandInteraction() if not self._knows(interaction):
                await say(interaction, COMMAND_OUT_OF_DATE)
            case _:
                await self._client.handle_interaction_create(interaction)

    def _knows(self, interaction: hikari.CommandInteraction) -> bool:
        """Whether lightbulb has this command; it would leave an unknown one without an answer."""
        known = self._client.invokable_commands.get(interaction.registered_guild_id or EVERYWHERE, {})
        command = known.get((interaction.command_name,))
        if command is None:
            return False
        menus = {hikari.CommandType.SLASH: command.slash, hikari.CommandType.MESSAGE: command.message}
        return menus.get(hikari.CommandType(interaction.command_type)) is not None


async def raise_failure(failure: lightbulb.exceptions.ExecutionPipelineFailedException) -> bool:
    """Raise the exception that a command failed with: lightbulb's own handling only logs it."""
    raise failure.causes[0]


async def apologise(interaction: Answerable, sentence: str, typed: str = "") -> None:
    """Answer the person who interacted, and nobody else; as a follow-up if there was an answer already.

    Gives back what was `typed`.
    """
    try:
        await say(interaction, sentence, typed)
    except (Gone, Unacceptable):
        with translated():
            await interaction.app.rest.execute_webhook(
                interaction.application_id, interaction.token, flags=ALONE, components=[build(refusal(sentence, typed))]
            )


def unread(payload: object) -> Unread | None:
    """The interaction in a payload that hikari cannot decode; None if there is none that can be answered."""
    match payload:
        case {"id": str(ident), "token": str(token), "type": int(kind)} if ident.isdecimal() and TOKEN.fullmatch(token):
            return Unread(int(ident[:20]), token, kind)
        case _:
            return None


async def answer_unread(rest: hikari.api.RESTClient, interaction: Unread, sentence: str) -> None:
    """Answer the sender of an undecodable interaction; an autocomplete request gets an empty list."""
    with translated():
        if interaction.kind == AUTOCOMPLETE:
            await rest.create_autocomplete_response(interaction.id, interaction.token, [])
        else:
            await rest.create_interaction_response(
                interaction.id, interaction.token, MESSAGE, flags=ALONE, components=[build(refusal(sentence))]
            )
