"""The first answer to an interaction, sent at once in hikari's own loop; and its caller and files as plain data."""

from __future__ import annotations

from typing import TypeAlias

import hikari

from app.discord.gateway.rest.client import translated
from app.discord.gateway.rest.component_builders import build
from app.discord.ui.pages import refusal
from app.discord.user_request import Caller
from app.service.requests import AttachedFile

PUBLIC = hikari.UNDEFINED
ALONE = hikari.MessageFlag.EPHEMERAL
"""Who sees an answer: everybody, or only the person who interacted."""


Answerable: TypeAlias = hikari.CommandInteraction | hikari.ComponentInteraction | hikari.ModalInteraction


async def say(interaction: Answerable, sentence: str, typed: str = "") -> None:
    """Answer at once, visible only to the person who interacted; give back what was `typed`. Raises `SendError`."""
    with translated():
        await interaction.create_initial_response(
            hikari.ResponseType.MESSAGE_CREATE, flags=ALONE, components=[build(refusal(sentence, typed))]
        )


async def defer_update(interaction: hikari.ComponentInteraction | hikari.ModalInteraction) -> None:
    """Acknowledge a button press, or its form, whose message may change. Raises `SendError`."""
    with translated():
        await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_UPDATE)


async def defer(interaction: Answerable, flags: hikari.UndefinedOr[hikari.MessageFlag]) -> Caller:
    """Acknowledge an interaction whose answer follows; `flags` say who sees it. Raises `SendError`."""
    with translated():
        answer = await interaction.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE, flags=flags)
    message = answer.interaction.response_message_id if answer else hikari.UNDEFINED
    return caller_of(
        interaction, "" if message is hikari.UNDEFINED else str(message), fresh=True, alone=flags is not PUBLIC
    )


def caller_of(
    interaction: Answerable | hikari.AutocompleteInteraction, message: str, *, fresh: bool, alone: bool = False
) -> Caller:
    """Who interacted, and how to answer."""
    outside = is_outside(interaction)
    member, channel = None if outside else interaction.member, interaction.channel
    guild = str(interaction.guild_id or "")
    return Caller(
        user=str(interaction.user.id),
        channel=str(channel.id),
        # Other channels have one, too: it is their category.
        parent=str(channel.parent_id or "") if channel.thread_metadata is not None else "",
        guild="" if outside else guild,
        outside=outside,
        outside_guild=guild if outside else "",
        token=interaction.token,
        message=message,
        fresh=fresh,
        alone=alone,
        moderator=member is not None and bool(member.permissions & hikari.Permissions.MANAGE_MESSAGES),
        roles=frozenset(map(str, member.role_ids)) if member is not None else frozenset(),
        limit=interaction.attachment_size_limit,
    )


def is_outside(interaction: Answerable | hikari.AutocompleteInteraction) -> bool:
    """Whether the bot has no access to the channel of an interaction: only a person brought the application along."""
    if interaction.context is hikari.ApplicationContextType.BOT_DM:
        return False
    guild_install = hikari.ApplicationIntegrationType.GUILD_INSTALL
    return interaction.guild_id is None or guild_install not in interaction.authorizing_integration_owners


def attached(slot: str, file: hikari.Attachment) -> AttachedFile:
    """An attachment, for a slot."""
    return AttachedFile(slot, file.url, file.filename, file.size, file.media_type or "")
